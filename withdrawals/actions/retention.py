"""Forgetting what nobody needs any more: the bytes of old callbacks. Never evidence, never the log."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import Delivery

BATCH = 1_000


def forget_bodies(*, before: datetime, origin: Origin, now: datetime) -> int:
    """Empty the bodies of callbacks last received before `before` that nothing rests on; how many there were.

    The row stays with its hash, verdict and changes. A thousand at a time, each with its audit entry, so that
    callbacks which come in meanwhile are not held up; stopped in the middle, the next run goes on.
    """
    forgotten = 0
    while True:
        with transaction.atomic():
            rows = Delivery.objects.forgettable(before).order_by("pk")
            keys = list(rows.values_list("pk", flat=True)[:BATCH])
            if not keys:
                return forgotten
            count = Delivery.objects.filter(pk__in=keys).update(body=b"")
            after: dict[str, Value] = {
                "deliveries": count,
                "first": keys[0],
                "last": keys[-1],
                "before": before.isoformat(),
            }
            record([Fact("deliveries.bodies_forgotten", after=after)], origin=origin, now=now)
        forgotten += count
