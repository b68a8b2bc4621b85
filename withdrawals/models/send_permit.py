"""The sending limit. AssetPay counts cancels per merchant, so every process counts in this one table."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.cancellation import Lane, sending_lease
from withdrawals.models.prepared import rows_of

WINDOW = timedelta(seconds=60)
# What AssetPay's "too soon" taught us about its clock is believed this far, and this long.
GREATEST_MARGIN = timedelta(minutes=5)
MARGIN_KEPT = timedelta(days=1)


def share_of(lane: Lane) -> int:
    """How many of a minute's cancels a lane may use: clicks all of them, batches all but a fifth, at least one.

    With a limit of one both may use it: a click that is due goes first then, and waits for at most one permit.
    """
    limit: int = settings.ASSETPAY_CANCELS_PER_MINUTE
    return limit if lane == Lane.CLICK else max(1, limit - max(1, limit // 5))


class SendBudget(models.Model):
    """One row, locked by whoever claims: it puts the claims in line and holds the pause that AssetPay asked for.

    It also keeps the margin by which AssetPay's window opened later than we reckoned, for all items.
    """

    paused_until = models.DateTimeField(null=True)
    paused_because = models.CharField(max_length=200, blank=True, default="")
    margin_seconds = models.PositiveSmallIntegerField(default=0)
    margin_learned_at = models.DateTimeField(null=True)
    # The wake-up that waits for a free permit, so that many that leave work behind order one.
    wake_up_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_send_budget")]

    def __str__(self) -> str:
        return "send budget"

    def free_at(self, now: datetime, lane: Lane = Lane.CLICK) -> datetime:
        """The earliest moment at which one more cancel of this lane may leave; `now` or earlier means at once.

        A permit counts until 60 s after its call ended, or could have ended at the latest: AssetPay sees a request
        at some moment during the call, so that no 60 s there ever hold more than the limit.
        """
        free = [self.paused_until or now, _freed(settings.ASSETPAY_CANCELS_PER_MINUTE, tuple(Lane), now)]
        if lane == Lane.BATCH:
            free.append(_freed(share_of(lane), (Lane.BATCH,), now))
        return max(free)

    def margin(self, now: datetime) -> timedelta:
        """How long after an item's window opens it is wise to ask; nothing unless AssetPay taught us lately."""
        if self.margin_learned_at is None or self.margin_learned_at < now - MARGIN_KEPT:
            return timedelta()
        return timedelta(seconds=self.margin_seconds)


def _freed(limit: int, lanes: tuple[Lane, ...], now: datetime) -> datetime:
    """When fewer than `limit` permits of these lanes count."""
    ends: list[tuple[datetime]] = rows_of(_last_to_end, limit, lanes, now=now)
    return ends[-1][0] if len(ends) == limit else now


def _last_to_end(limit: int, lanes: tuple[Lane, ...], now: datetime) -> "models.QuerySet[SendPermit, tuple[datetime]]":
    counting = SendPermit.objects.filter(counts_until__gt=now)
    if len(lanes) < len(Lane):
        counting = counting.filter(lane__in=lanes)
    return counting.order_by("-counts_until").values_list("counts_until")[:limit]


class SendPermit(models.Model):
    """Leave for one cancel to go to AssetPay, reserved in the transaction that claims it.

    A call for a whole trade needs one; it hangs on the first of its attempts.
    """

    attempt = models.OneToOneField("withdrawals.Attempt", on_delete=models.PROTECT, related_name="permit")
    lane = models.CharField(max_length=8, choices=Lane, default=Lane.CLICK)
    reserved_at = models.DateTimeField()
    counts_until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"permit of {self.reserved_at:%H:%M:%S}"

    @staticmethod
    def latest_end(now: datetime) -> datetime:
        """When a permit reserved at `now` stops counting if nobody ever reports the end of its call."""
        return now + sending_lease() + WINDOW
