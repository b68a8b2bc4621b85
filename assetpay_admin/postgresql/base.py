"""PostgreSQL as Django speaks it, but for one question (decision 48)."""

import select

from django.db.backends.postgresql import base
from psycopg import OperationalError
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn

# It would take another statement.
READY = (TransactionStatus.IDLE, TransactionStatus.INTRANS)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that outlives requests, and is looked at before each without a word to the server."""

    def is_usable(self) -> bool:
        """Whether the server still holds the other end. After an error it is asked, as Django does."""
        if self.connection is None or self.errors_occurred:
            return bool(super().is_usable())
        return _still_open(self.connection.pgconn)


def _still_open(pgconn: PGconn) -> bool:
    """A server that went away has closed the line, which can be read at once; one that is there says nothing."""
    try:
        line = select.poll()
        line.register(pgconn.socket, select.POLLIN)
        # Once for a last word, such as who shut it down, and once for the end that follows.
        while line.poll(0):
            pgconn.consume_input()
    except OperationalError:
        return False
    return bool(pgconn.status == ConnStatus.OK and pgconn.transaction_status in READY)
