"""Killing with -9 at a named point: a forked process does one walk of the desk, and dies in the middle of it."""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

from django.db import connections

# (what is called, whether it dies before or after), on the way from the click to the recorded answer and the callback.
CLICK = (
    "withdrawals.actions.cancellations._take_item",
    "withdrawals.actions.cancellations._insert",
    "withdrawals.actions.cancellations._asked",
    "withdrawals.actions.cancellations.record",
)
CLAIM = (
    "withdrawals.actions.sending.settle_abandoned",
    "withdrawals.actions.sending.claim_next",
    "withdrawals.models.send_permit.SendBudget.free_at",
    "withdrawals.actions.claiming._rest_of_its_trade",
    "withdrawals.actions.claiming._claim",
    "withdrawals.models.cancellation.CancellationQuerySet.move",
    "withdrawals.models.send_permit.SendPermit.latest_end",
    "withdrawals.actions.claiming.record",
)
CALL = (
    "withdrawals.actions.sending._ask",
    "withdrawals.gateway._client_token",
    "withdrawals.gateway._client",
    "withdrawals.assetpay.transport.Transport.send",
    "httpcore._backends.sync.SyncBackend.connect_tcp",
    "httpcore._backends.sync.SyncStream.write",
    "httpcore._backends.sync.SyncStream.read",
    "withdrawals.assetpay.client.open_answer",
    "withdrawals.assetpay.client.read_item_cancel",
)
RECORD = (
    "withdrawals.actions.sending.record_answer",
    "withdrawals.actions.sending.judge_answer",
    "withdrawals.actions.sending._conclude",
    "withdrawals.actions.sending._move",
    "withdrawals.actions.sending._note_attempt",
    "withdrawals.actions.sending.record",
    "withdrawals.actions.sending.wind_up_batches",
    "withdrawals.actions.sending.order_wake_up",
)
CALLBACK = (
    "withdrawals.actions.trades.mirror_trades",
    "withdrawals.actions.trades._save",
    "withdrawals.actions.cancellations.follow_items",
    "withdrawals.actions.trades.record_all",
)
# Kept, so that no collected object says goodbye to the server on a socket that is its parent's too.
INHERITED: list[Any] = []

POINTS = [(name, after) for name in (*CLICK, *CLAIM, *CALL, *RECORD, *CALLBACK) for after in (False, True)]


def die() -> None:
    """As `kill -9` does: nothing of ours runs any more, not even the end of a transaction."""
    os.kill(os.getpid(), signal.SIGKILL)


def forked(act: Callable[[], None]) -> int:
    """Do `act` in a process of its own, with database connections of its own; its exit status, -9 for killed."""
    connections.close_all()
    with warnings.catch_warnings():
        # No thread of ours runs here that the child could miss.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            leave_inherited_connections()
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leave_inherited_connections() -> None:
    """In a forked process: never speak on a connection of the one that forked it.

    Where a browser test ran before in this process, Playwright's event loop goes on in its thread, and asgiref then
    keeps a second set of connections for that loop. The child has no such loop: it would find the first set, which
    `close_all` did not see, and leave its transaction open on a socket that outlives it.
    """
    for connection in connections.all(initialized_only=True):
        INHERITED.append(connection.connection)
        connection.connection = None


def arm(name: str, *, after: bool) -> None:
    """Make this process die when it comes to the point; for a forked one only."""
    owner, attribute = find(name)
    kept = vars(owner)[attribute]
    called = kept.__func__ if isinstance(kept, staticmethod) else kept

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if not after:
            die()
        called(*args, **kwargs)
        return die()

    setattr(owner, attribute, staticmethod(deadly) if isinstance(kept, staticmethod) else deadly)


def find(name: str) -> tuple[Any, str]:
    """The module or class that holds the last part of a dotted name."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        if module is not None:
            owner: Any = module
            for part in parts[length:-1]:
                owner = getattr(owner, part)
            return owner, parts[-1]
    raise LookupError(name)
