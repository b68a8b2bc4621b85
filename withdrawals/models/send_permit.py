"""The sending limit. AssetPay counts cancels per merchant, so every process counts in this one table."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.cancellation import sending_lease

WINDOW = timedelta(seconds=60)


class SendBudget(models.Model):
    """One row, locked by whoever claims: it puts the claims in line and holds the pause that AssetPay asked for."""

    paused_until = models.DateTimeField(null=True)
    paused_because = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_send_budget")]

    def __str__(self) -> str:
        return "send budget"

    def free_at(self, now: datetime) -> datetime:
        """The earliest moment at which one more cancel may leave; `now` or earlier means at once.

        A permit counts until 60 s after its call ended, or could have ended at the latest: AssetPay sees a request
        at some moment during the call, so that no 60 s there ever hold more than the limit.
        """
        pause = self.paused_until or now
        limit: int = settings.ASSETPAY_CANCELS_PER_MINUTE
        counting = SendPermit.objects.filter(counts_until__gt=now).order_by("-counts_until")
        ends = list(counting.values_list("counts_until", flat=True)[:limit])
        return max(pause, ends[-1]) if len(ends) == limit else pause


class SendPermit(models.Model):
    """Leave for one cancel to go to AssetPay, reserved in the transaction that claims it."""

    attempt = models.OneToOneField("withdrawals.Attempt", on_delete=models.PROTECT, related_name="permit")
    reserved_at = models.DateTimeField()
    counts_until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"permit of {self.reserved_at:%H:%M:%S}"

    @staticmethod
    def latest_end(now: datetime) -> datetime:
        """When a permit reserved at `now` stops counting if nobody ever reports the end of its call."""
        return now + sending_lease() + WINDOW
