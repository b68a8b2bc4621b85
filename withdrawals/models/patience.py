"""Waiting for the database: a transaction that would rather fail than wait. One that waits is in `turns`."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def brief_transaction(wait_ms: int) -> Iterator[None]:
    """A transaction of which no statement waits longer than this many milliseconds; then OperationalError.

    Only for this transaction: the connection goes on to serve pages, which may wait longer. On SQLite all the waiting
    is for the write lock, which BEGIN takes; on PostgreSQL it is for any lock, and for the statement itself.
    """
    if connection.vendor == "sqlite":
        with _busy_timeout(wait_ms), transaction.atomic():
            yield
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    [str(wait_ms), str(wait_ms)],
                )
            yield


@contextmanager
def _busy_timeout(wait_ms: int) -> Iterator[None]:
    usual_ms = round(1_000 * connection.settings_dict["OPTIONS"]["timeout"])
    _set_busy_timeout(wait_ms)
    try:
        yield
    finally:
        _set_busy_timeout(usual_ms)


def _set_busy_timeout(wait_ms: int) -> None:
    # A setting of the open connection, not a statement on data.
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.execute(f"PRAGMA busy_timeout={wait_ms}")
