"""A delivery: one callback received, kept as the bytes that came, with its verdict."""

import hashlib
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from withdrawals.models.item import Item


class Verdict(models.TextChoices):
    """What became of a delivery."""

    RECEIVED = "received", gettext_lazy("Received")
    APPLIED = "applied", gettext_lazy("Applied")
    NOTED = "noted", gettext_lazy("Kept")
    APPROVAL = "approval", gettext_lazy("Approval")
    QUARANTINED = "quarantined", gettext_lazy("Not understood")
    FAILED = "failed", gettext_lazy("Failed here")


# How long everybody is warned of an approval that came to this desk itself.
WARN_FOR = timedelta(hours=24)
# Kept, but without their effect.
UNAPPLIED = (Verdict.QUARANTINED, Verdict.FAILED)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Reads of the inbox."""

    def unmarked_approvals(self, since: datetime) -> Self:
        """Approvals that AssetPay sent to us directly, not as the backend's copy."""
        return self.filter(verdict=Verdict.APPROVAL, is_copy=False, last_received_at__gte=since)

    def needing_a_person(self) -> Self:
        """Kept but without their effect."""
        return self.filter(verdict__in=UNAPPLIED)

    def forgettable(self, before: datetime) -> Self:
        """Those last received before `before` whose bytes nothing rests on.

        Kept are all of a trade that has a refund, what an item's status stands on, approvals, whatever waits for a
        person, and two bodies under one id.
        """
        settled = self.filter(last_received_at__lt=before, verdict__in=[Verdict.APPLIED, Verdict.NOTED])
        evidence = Q(trade__items__refund__isnull=False) | Q(conflicts__isnull=False)
        rows = settled.filter(conflicts_with=None).exclude(body=b"")
        rows = rows.exclude(pk__in=self.filter(evidence).values("pk"))
        return rows.exclude(pk__in=Item.objects.filter(status_delivery__isnull=False).values("status_delivery"))


class Delivery(models.Model):
    """A well signed callback. Its bytes never change; what is learned about it does.

    The same delivery id with other bytes is a second row that names the first in `conflicts_with`.
    """

    delivery_id = models.CharField(max_length=64)
    body = models.BinaryField()
    body_sha256 = models.CharField(max_length=64)
    signature = models.CharField(max_length=512)
    signed_at = models.DateTimeField()
    received_at = models.DateTimeField(db_index=True)
    last_received_at = models.DateTimeField()
    times_received = models.PositiveIntegerField(default=1)
    remote_address = models.CharField(max_length=64)
    is_copy = models.BooleanField()
    is_late = models.BooleanField(default=False)
    kind = models.CharField(max_length=32, blank=True, default="")
    subject_id = models.CharField(max_length=128, blank=True, default="")
    trade = models.ForeignKey("withdrawals.Trade", on_delete=models.PROTECT, null=True, related_name="deliveries")
    verdict = models.CharField(max_length=16, choices=Verdict, default=Verdict.RECEIVED)
    problem = models.TextField(blank=True, default="")
    changes = models.JSONField(default=list)
    applied_at = models.DateTimeField(null=True)
    # From the first byte understood to the last effect written, its own and of those that it was written with; without
    # the wait for the commit.
    took_ms = models.PositiveIntegerField(null=True)
    conflicts_with = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="conflicts")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["delivery_id"], condition=Q(conflicts_with=None), name="one_delivery_per_id"
            ),
            models.UniqueConstraint(fields=["delivery_id", "body_sha256"], name="one_delivery_per_id_and_body"),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="delivery_verdict_known"),
            models.CheckConstraint(
                condition=~Q(verdict=Verdict.APPLIED) | Q(applied_at__isnull=False),
                name="applied_delivery_has_a_time",
            ),
        ]
        indexes = [models.Index(fields=["verdict", "last_received_at"], name="delivery_by_verdict")]

    def __str__(self) -> str:
        return self.delivery_id

    @property
    def is_forgotten(self) -> bool:
        """Whether its bytes were let go when they were old; the hash says that there were some."""
        return not self.body and self.body_sha256 != hashlib.sha256(b"").hexdigest()

    @property
    def age_seconds(self) -> int:
        """How old its signature was when it came; below zero where AssetPay's clock is ahead of ours."""
        return round((self.received_at - self.signed_at).total_seconds())


class RejectedCall(models.Model):
    """The bounded trace of a call that was not let in: what was wrong and from where, never its body."""

    received_at = models.DateTimeField()
    reason = models.CharField(max_length=64)
    remote_address = models.CharField(max_length=64)
    body_sha256 = models.CharField(max_length=64)
    body_bytes = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return f"{self.reason} from {self.remote_address}"
