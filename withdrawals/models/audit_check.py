"""A check of the audit log: how far it has come, and what it found."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.audit import GENESIS
from withdrawals.models.audit_chain import Position, TamperKind


class AuditCheckQuerySet(models.QuerySet["AuditCheck"]):
    """Reads of checks."""

    def open(self) -> Self:
        """Those that have not come to the end; the database allows one."""
        return self.filter(is_open=True)

    def ended(self) -> Self:
        """Those that have, the latest first."""
        return self.filter(is_open=False).order_by("-ended_at", "-pk")


class AuditCheck(models.Model):
    """One walk along the whole chain, taken up slice by slice, so that a worker's death costs one slice."""

    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    is_open = models.BooleanField(default=True)
    # Where the walk stands: the last entry that holds, its hash, and the last that an anchor vouches for.
    number = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=GENESIS)
    anchored = models.BigIntegerField(default=0)
    # The end of the log when it was asked for, for the progress.
    target = models.BigIntegerField()
    # What it found, empty where the log holds.
    kind = models.CharField(max_length=16, choices=TamperKind, blank=True, default="")
    bad_number = models.BigIntegerField(null=True)
    problem = models.CharField(max_length=300, blank=True, default="")

    objects = AuditCheckQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_open"], condition=Q(is_open=True), name="one_open_audit_check"),
            models.CheckConstraint(
                condition=Q(is_open=True, ended_at=None) | Q(is_open=False, ended_at__isnull=False),
                name="ended_audit_check_has_an_end",
            ),
            models.CheckConstraint(condition=Q(kind__in=["", *TamperKind.values]), name="audit_check_kind_known"),
        ]

    def __str__(self) -> str:
        return f"check {self.pk} at {self.number}"

    @property
    def position(self) -> Position:
        """Where the walk goes on."""
        return Position(self.number, self.hash, self.anchored)

    @property
    def percent(self) -> int:
        """How much of the log is behind it."""
        return min(99, 100 * self.number // self.target) if self.target else 0
