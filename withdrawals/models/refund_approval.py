"""A second person's approval of a refund above the limit, bound to exactly what the first one saw."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.refund import Refund, Shown, fingerprint_of
from withdrawals.models.user import User


class ApprovalState(models.TextChoices):
    """Where the request for a second person's approval stands."""

    OPEN = "open", gettext_lazy("Waiting")
    APPROVED = "approved", gettext_lazy("Approved")
    SENT_BACK = "sent_back", gettext_lazy("Sent back")
    VOID = "void", gettext_lazy("Void: something changed")
    EXPIRED = "expired", gettext_lazy("Expired")


class RefundApproval(models.Model):
    """The first person's word on a refund that takes two, bound to exactly what they saw (`shown`, `fingerprint`)."""

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="approvals", db_index=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=ApprovalState, default=ApprovalState.OPEN)
    reference = models.CharField(max_length=200)
    shown = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refund_approvals_are_numbered"),
            models.UniqueConstraint(
                fields=["refund"], condition=Q(state=ApprovalState.OPEN), name="one_open_approval_per_refund"
            ),
            models.CheckConstraint(condition=Q(state__in=ApprovalState.values), name="refund_approval_state_known"),
            models.CheckConstraint(
                condition=Q(state=ApprovalState.OPEN, ended_at=None)
                | (~Q(state=ApprovalState.OPEN) & Q(ended_at__isnull=False)),
                name="ended_refund_approval_has_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(state=ApprovalState.APPROVED) | (Q(ended_by__isnull=False) & ~Q(ended_by=F("asked_by"))),
                name="nobody_approves_their_own_refund",
            ),
        ]
        indexes = [models.Index(fields=["state", "expires_at"], name="refund_approval_by_expiry")]

    def __str__(self) -> str:
        return f"approval {self.number} of refund {self.refund_id}"

    @property
    def seal(self) -> str:
        """Hash of what the second person approves: what the first one saw, and their word on it."""
        return fingerprint_of(
            self.shown | {"asked_by": self.asked_by_id, "number": self.number, "paid": self.reference}
        )

    def refusal(self, person: User, now: datetime) -> str:
        """Why `person` cannot approve this at `now`; empty where they can."""
        if is_same_person(person, self.asked_by):
            return gettext("You asked for this yourself: another person approves it.")
        if now >= self.expires_at:
            return gettext("This request has expired: the refund is confirmed anew by a first person.")
        return (
            "" if person.may("approve_refund") else gettext("A supervisor approves: your role may look, not approve.")
        )

    def changes(self, now_shown: Shown) -> str:
        """What changed since the first person looked, in words; empty where nothing did."""
        names = [name for name in now_shown if self.shown.get(name) != now_shown[name]]
        moves = (
            f"{name.replace('_', ' ')} was {_or_nothing(self.shown.get(name))}, is {_or_nothing(now_shown[name])}"
            for name in names
        )
        return "; ".join(moves)


def _or_nothing(value: object) -> str:
    return "unknown" if value is None else str(value)


def is_same_person(one: User, other: User) -> bool:
    """Whether two accounts belong to one person, as far as it can be known: the same mail box, whatever its tag.

    One subject of an identity provider opens one account only (`admit_by_company`), so that needs no look here.
    """
    return one.pk == other.pk or _mail_box(one.email) == _mail_box(other.email)


def _mail_box(email: str) -> str:
    name, _, host = email.strip().casefold().rpartition("@")
    return f"{name.partition('+')[0]}@{host}"
