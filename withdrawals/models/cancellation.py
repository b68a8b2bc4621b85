"""A cancellation: our staff's request to cancel one item. AssetPay's 200 is not its end."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.answers import answer_sentence
from withdrawals.models.item import Item


class CancellationState(models.TextChoices):
    """Where a cancellation stands; the labels are the words on the screens."""

    SCHEDULED = "scheduled", "Scheduled"
    REQUESTED = "requested", "Waiting to be sent"
    SENDING = "sending", "Asking AssetPay"
    ACCEPTED = "accepted", "Accepted"
    UNCERTAIN = "uncertain", "Outcome unknown"
    CONFIRMED = "confirmed", "Undone"
    OVERTAKEN = "overtaken", "Delivered"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Taken back"


OPEN_STATES = (
    CancellationState.SCHEDULED,
    CancellationState.REQUESTED,
    CancellationState.SENDING,
    CancellationState.ACCEPTED,
    CancellationState.UNCERTAIN,
)
CLOSED_STATES = tuple(state for state in CancellationState if state not in OPEN_STATES)


def sending_lease() -> timedelta:
    """How long a worker may hold a claim: longer than any call can last, so that a live one is never overtaken."""
    return timedelta(seconds=3 * settings.ASSETPAY_TIMEOUT_SECONDS)


class CancellationQuerySet(models.QuerySet["Cancellation"]):
    """Reads of cancellations, and the one mutator."""

    def open(self) -> Self:
        """Those that may still change."""
        return self.filter(state__in=OPEN_STATES)

    def due(self, now: datetime) -> Self:
        """Those that a worker may send now, oldest first: asked for, or once more after a lost answer."""
        may_send = Q(state=CancellationState.REQUESTED) | Q(state=CancellationState.UNCERTAIN, may_resend=True)
        return self.filter(may_send, send_from__lte=now).order_by("send_from", "pk")

    def waiting(self) -> Self:
        """Those that will be due at some time."""
        return self.filter(Q(state=CancellationState.REQUESTED) | Q(state=CancellationState.UNCERTAIN, may_resend=True))

    def abandoned(self, now: datetime) -> Self:
        """Those whose worker has died: claimed, and the lease has run out."""
        return self.filter(state=CancellationState.SENDING, lease_until__lt=now)

    def move(self, *, to: CancellationState, now: datetime, held_under: int | None = None, **changes: Any) -> bool:
        """Move the one row that this queryset names; False when somebody was quicker (nothing is changed).

        The queryset holds the row's key and the states it may leave; `held_under` is the worker's fencing token.
        """
        rows = self if held_under is None else self.filter(claim=held_under)
        ended_at = now if to in CLOSED_STATES else None
        moved = rows.update(state=to, changed_at=now, ended_at=ended_at, **changes)
        if moved > 1:
            raise ValueError("move() changes one cancellation.")
        return moved == 1


class Cancellation(models.Model):
    """One request. `number` counts the requests for this item from 1, without gaps."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="cancellations")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=CancellationState)
    reason = models.CharField(max_length=200)
    note = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # Not sent before this moment: the time to undo, a pause that AssetPay asked for, or our own backoff.
    send_from = models.DateTimeField()
    # Shown while it waits: why it waits.
    waits_for = models.CharField(max_length=300, blank=True, default="")
    # The fencing token: a worker that lost its lease holds an old number, and its result changes nothing.
    claim = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    may_resend = models.BooleanField(default=False)
    was_resent = models.BooleanField(default=False)
    was_uncertain = models.BooleanField(default=False)
    too_soon_count = models.PositiveSmallIntegerField(default=0)
    not_sent_count = models.PositiveSmallIntegerField(default=0)
    token_renewals = models.PositiveSmallIntegerField(default=0)
    accepted_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # The last answer, in AssetPay's words.
    answer_key = models.CharField(max_length=128, blank=True, default="")
    answer_message = models.TextField(blank=True, default="")
    answer_request_id = models.CharField(max_length=128, blank=True, default="")

    objects = CancellationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item"], condition=Q(state__in=OPEN_STATES), name="one_open_cancellation_per_item"
            ),
            models.UniqueConstraint(fields=["item", "number"], name="cancellations_are_numbered"),
            models.CheckConstraint(condition=Q(state__in=CancellationState.values), name="cancellation_state_known"),
            models.CheckConstraint(
                condition=(Q(state__in=OPEN_STATES) & Q(ended_at=None))
                | (~Q(state__in=OPEN_STATES) & Q(ended_at__isnull=False)),
                name="closed_cancellation_has_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(state=CancellationState.SENDING) | Q(lease_until__isnull=False),
                name="sending_cancellation_has_a_lease",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "send_from"], name="cancellation_due"),
            models.Index(fields=["-requested_at", "-id"], name="cancellation_newest_first"),
        ]

    def __str__(self) -> str:
        return f"cancellation {self.number} of {self.item_id}"

    @property
    def is_open(self) -> bool:
        """Whether it may still change."""
        return self.state in OPEN_STATES

    @property
    def can_be_undone(self) -> bool:
        """Whether it certainly has not been done and waits to be sent, for the first time or again."""
        return self.state in (CancellationState.SCHEDULED, CancellationState.REQUESTED)

    @property
    def sentence(self) -> str:
        """What the last answer means to an agent; empty before any answer."""
        return answer_sentence(self.answer_key) if self.answer_key else ""


class AttemptOutcome(models.TextChoices):
    """What one sending came to."""

    SENDING = "sending", "No answer yet"
    ACCEPTED = "accepted", "Accepted"
    REFUSED = "refused", "Refused"
    WAIT = "wait", "Told to wait"
    NOT_SENT = "not_sent", "Not sent"
    UNKNOWN = "unknown", "Outcome unknown"


class Attempt(models.Model):
    """One sending of a cancellation, committed before the request leaves. `number` is the claim it was sent under."""

    cancellation = models.ForeignKey(Cancellation, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    request_id = models.UUIDField(unique=True)
    started_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, choices=AttemptOutcome, default=AttemptOutcome.SENDING)
    http_status = models.PositiveSmallIntegerField(null=True)
    key = models.CharField(max_length=128, blank=True, default="")
    code = models.BigIntegerField(null=True)
    message = models.TextField(blank=True, default="")
    answer_request_id = models.CharField(max_length=128, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cancellation", "number"], name="attempts_are_numbered"),
            models.CheckConstraint(condition=Q(outcome__in=AttemptOutcome.values), name="attempt_outcome_known"),
        ]

    def __str__(self) -> str:
        return str(self.request_id)
