"""AssetPay's statuses of trades and items, and the order in which they overrule each other.

Source: AssetPay's OpenAPI 0.8.3 (the five final statuses) and its page on cancelling an item, where a cancelled
item ends `reverted`. A status is compared by what it is and by when AssetPay reported it, never by when it reached
us, so the mirror ends the same whatever the order, and however often, the messages arrive.
"""

from datetime import UTC, datetime

from django.db import models


class Status(models.TextChoices):
    """The known statuses of a trade or an item, in AssetPay's spelling."""

    INITIATED = "initiated"
    PENDING = "pending"
    ACTIVE = "active"
    HOLD = "hold"
    FAILED = "failed"
    DECLINED = "declined"
    CANCELED = "canceled"
    COMPLETED = "completed"
    REVERTED = "reverted"


OPEN = (Status.INITIATED, Status.PENDING, Status.ACTIVE, Status.HOLD)
# Where two different ends carry the same time, the later in this line wins: delivered before undelivered, since
# the mistake that cannot be taken back is paying for a skin that the customer has.
ENDED = (Status.FAILED, Status.DECLINED, Status.CANCELED, Status.COMPLETED)
UNDELIVERED = (Status.FAILED, Status.DECLINED, Status.CANCELED, Status.REVERTED)
FINAL = (*ENDED, Status.REVERTED)
# Every known status, and its place where two of one class carry the same time.
RANKS = {status.value: rank for rank, status in enumerate((*OPEN, *FINAL))}

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)

Weight = tuple[int, bool, datetime, int, str]


def status_class(status: str) -> int:
    """0 open or unknown, 1 ended, 2 reverted. It never falls, but `completed` may still be reverted."""
    if status == Status.REVERTED:
        return 2
    return 1 if status in ENDED else 0


def is_known(status: str) -> bool:
    """Whether AssetPay's documents name this status."""
    return status in RANKS


def status_weight(status: str, reported_at: datetime | None) -> Weight:
    """What a reported status weighs; the heaviest of a set of messages is the truth.

    `reported_at` is the trade's `updatedAt`; a message without one never beats one with it. A status that nobody
    documented weighs less than every known one of its class: it is shown, but changes nothing.
    """
    return (status_class(status), is_known(status), reported_at or LONG_AGO, RANKS.get(status, -1), status)
