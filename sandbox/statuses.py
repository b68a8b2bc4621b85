"""The status machine of trades and items."""

from collections.abc import Iterable
from enum import StrEnum


class Status(StrEnum):
    """Where a trade or an item stands; the same words serve for both."""

    INITIATED = "initiated"
    PENDING = "pending"
    ACTIVE = "active"
    HOLD = "hold"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    DECLINED = "declined"
    REVERTED = "reverted"


OPEN = (Status.INITIATED, Status.PENDING, Status.ACTIVE, Status.HOLD)
"""The open statuses, in the order in which a withdrawal walks through them."""

FINAL = frozenset(Status) - frozenset(OPEN)

UNSENT = frozenset({Status.INITIATED, Status.PENDING})
"""The seller has not sent an offer yet, so auto-cancel may still strike."""


def trade_status(items: Iterable[Status], *, least_advanced: bool = False) -> Status:
    """The one status a trade shows for its items.

    While any item is open: the most advanced open status (the least advanced, if asked). When all have
    ended: completed if any was delivered, else the status they share, else reverted.
    """
    found = set(items)
    still_open = [status for status in OPEN if status in found]
    if still_open:
        return still_open[0] if least_advanced else still_open[-1]
    if Status.COMPLETED in found:
        return Status.COMPLETED
    return found.pop() if len(found) == 1 else Status.REVERTED
