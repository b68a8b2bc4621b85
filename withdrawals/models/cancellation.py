"""A cancellation: our staff's request to cancel one item. AssetPay's 200 is not its end."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.answers import answer_sentence
from withdrawals.models.item import Item
from withdrawals.models.status import Status


class CancellationState(models.TextChoices):
    """Where a cancellation stands; the labels are the words on the screens."""

    SCHEDULED = "scheduled", gettext_lazy("Scheduled")
    REQUESTED = "requested", gettext_lazy("Waiting to be sent")
    SENDING = "sending", gettext_lazy("Asking AssetPay")
    ACCEPTED = "accepted", gettext_lazy("Accepted")
    UNCERTAIN = "uncertain", gettext_lazy("Outcome unknown")
    CONFIRMED = "confirmed", gettext_lazy("Undone")
    OVERTAKEN = "overtaken", gettext_lazy("Delivered")
    REFUSED = "refused", gettext_lazy("Refused")
    WITHDRAWN = "withdrawn", gettext_lazy("Taken back")


OPEN_STATES = (
    CancellationState.SCHEDULED,
    CancellationState.REQUESTED,
    CancellationState.SENDING,
    CancellationState.ACCEPTED,
    CancellationState.UNCERTAIN,
)
CLOSED_STATES = tuple(state for state in CancellationState if state not in OPEN_STATES)
# Nothing of these has left: a person may take them back.
NOT_LEFT_STATES = (CancellationState.SCHEDULED, CancellationState.REQUESTED)
# What a worker may still send by itself: for the first time, again, or once more after a lost answer.
MAY_LEAVE = Q(state__in=NOT_LEFT_STATES) | Q(state=CancellationState.UNCERTAIN, may_resend=True)
# These have left, and their end is AssetPay's to tell.
ASKED_STATES = (CancellationState.ACCEPTED, CancellationState.UNCERTAIN)


# An item that AssetPay still shows open this long after the last request speaks for "not done". A request of unknown
# outcome may have been accepted, and AssetPay shows no mark of that: so no less than for one that was accepted.
OPEN_LONG = timedelta(minutes=30)


class Lane(models.TextChoices):
    """Who waits for it: somebody who clicked, or a batch. A part of the sending limit is kept for clicks."""

    CLICK = "click", gettext_lazy("Single clicks")
    BATCH = "batch", gettext_lazy("Batches and armed items")


# Ended by people's word. AssetPay may all the same be carrying it out, so that its "not cancellable" to a later request
# for the same item may mean just that.
SETTLED = Q(settlement__settled_at__isnull=False)


def sending_lease() -> timedelta:
    """How long a worker may hold a claim: longer than any call can last, so that a live one is never overtaken."""
    return timedelta(seconds=3 * settings.ASSETPAY_TIMEOUT_SECONDS)


# A batch that is paused or stopped keeps what has not left yet.
GOING = "running"
NOT_HELD = Q(batch=None) | Q(batch__state=GOING)
HELD = Q(batch__isnull=False) & ~Q(batch__state=GOING)
# The conditions of the queryset's reads of the same names.
WAITING = (Q(state=CancellationState.REQUESTED) | Q(state=CancellationState.UNCERTAIN, may_resend=True)) & Q(
    needs_person=""
)
ARMED = Q(state=CancellationState.SCHEDULED, needs_person="")
# The offer is out: the customer may be taking it at this moment.
OFFERED = (Status.ACTIVE, Status.HOLD)
# What was armed leaves within this time after its look, or is looked at once more: see decision 11.
FRESH_LOOK = timedelta(minutes=5)
# A batch that was paused asks nothing once more, maybe for ever.
OUTCOME_UNKNOWN = Q(state=CancellationState.UNCERTAIN) & (Q(may_resend=False) | ~Q(needs_person="") | HELD)
STUCK = Q(state__in=OPEN_STATES) & ~Q(needs_person="")


def in_the_queue(now: datetime) -> Q:
    """What waits for a permit alone, be it that what was armed is looked at once more before."""
    return WAITING | ARMED & Q(send_from__lte=now)


def looked_at_before(fresh_since: datetime) -> Q:
    """What was released after a look that is not fresh any more: the state was changed by that look, and by no other.

    News of an offer end a look's freshness at once.
    """
    offered_since = Q(item__status__in=OFFERED) & ~Q(armed_status__in=OFFERED)
    is_stale = Q(changed_at__lt=fresh_since) | offered_since
    return Q(state=CancellationState.REQUESTED) & ~Q(armed_status="") & is_stale


class CancellationQuerySet(models.QuerySet["Cancellation"]):
    """Reads of cancellations, and the one mutator."""

    def open(self) -> Self:
        """Those that may still change."""
        # What is open has no end, as a constraint says; without parameters SQLite sees that an index holds just these.
        return self.filter(ended_at=None)

    def due(self, now: datetime, *, fresh_since: datetime | None = None) -> Self:
        """Those that a worker may send now, oldest first: asked for, or once more after a lost answer.

        `fresh_since` is FRESH_LOOK before `now`, for whoever has the statement written once.
        """
        is_stale = looked_at_before(fresh_since or now - FRESH_LOOK)
        due = self.waiting().filter(NOT_HELD, ~is_stale, send_from__lte=now)
        return due.order_by("send_from", "pk")

    def to_arm_again(self, fresh_since: datetime) -> Self:
        """Those that were armed, released after a look that is not fresh any more, and have not left yet."""
        return self.filter(looked_at_before(fresh_since), NOT_HELD, needs_person="").order_by("pk")

    def waiting(self) -> Self:
        """Those that will be due at some time, unless a person or a paused batch holds them for ever."""
        return self.filter(WAITING)

    def armed(self) -> Self:
        """Those that wait for their item's window, or for another look, unless a person holds them."""
        return self.filter(ARMED)

    def to_release(self, now: datetime) -> Self:
        """Armed ones whose moment has come and whose trade may be read now, oldest first."""
        may_read = Q(read_from=None) | Q(read_from__lte=now)
        armed = self.armed().filter(NOT_HELD, may_read, send_from__lte=now)
        return armed.order_by("send_from", "pk")

    def to_read(self, now: datetime) -> Self:
        """Those of unknown outcome whose next look at AssetPay is due, oldest first."""
        return self.filter(state=CancellationState.UNCERTAIN, read_from__lte=now).order_by("read_from", "pk")

    def outcome_unknown(self) -> Self:
        """The worklist "outcome unknown": nothing will be sent by itself any more, and nobody knows."""
        return self.filter(OUTCOME_UNKNOWN)

    def stuck(self) -> Self:
        """The dead letters: given up by the workers until a person says what to do."""
        return self.filter(STUCK)

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

    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="cancellations", db_index=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=CancellationState)
    batch = models.ForeignKey("withdrawals.Batch", on_delete=models.PROTECT, null=True, related_name="cancellations")
    lane = models.CharField(max_length=8, choices=Lane, default=Lane.CLICK)
    # The item's status when this was armed; empty for what was asked at once.
    armed_status = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=200)
    note = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # Not sent before this moment: the item's window, the time to undo, a pause that AssetPay asked for, our backoff.
    send_from = models.DateTimeField()
    # Shown while it waits: why it waits.
    waits_for = models.CharField(max_length=300, blank=True, default="")
    # The fencing token: a worker that lost its lease holds an old number, and its result changes nothing.
    claim = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    may_resend = models.BooleanField(default=False)
    was_resent = models.BooleanField(default=False)
    # An earlier sending of it, or an earlier request for its item that people settled, may have been carried out.
    was_uncertain = models.BooleanField(default=False)
    too_soon_count = models.PositiveSmallIntegerField(default=0)
    not_sent_count = models.PositiveSmallIntegerField(default=0)
    token_renewals = models.PositiveSmallIntegerField(default=0)
    # How often AssetPay said that this item is busy, and how often a worker died with it.
    busy_count = models.PositiveSmallIntegerField(default=0)
    lost_worker_count = models.PositiveSmallIntegerField(default=0)
    # Why the workers gave it up; empty while they have not. A dead letter: a person tries again or takes it back.
    needs_person = models.CharField(max_length=300, blank=True, default="")
    # The next look at AssetPay for this one alone: while armed after a failed look, while unknown by growing pauses.
    read_from = models.DateTimeField(null=True)
    read_count = models.PositiveSmallIntegerField(default=0)
    # The last moment at which AssetPay certainly still showed the item open, and what said so.
    seen_open_at = models.DateTimeField(null=True)
    seen_open_by = models.CharField(max_length=200, blank=True, default="")
    accepted_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Why it was taken back, disarmed or settled, in words; empty where AssetPay's answer or the item's end says it.
    ended_because = models.CharField(max_length=500, blank=True, default="")
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
            models.Index(fields=["item"], condition=Q(ended_at=None), name="cancellation_open"),
            models.Index(fields=["state", "send_from"], name="cancellation_due"),
            models.Index(fields=["-requested_at", "-id"], name="cancellation_newest_first"),
            models.Index(fields=["state", "read_from"], name="cancellation_to_read"),
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
        return self.state in NOT_LEFT_STATES

    @property
    def waits_in(self) -> CancellationState:
        """The state in which it waits to leave, once more too: what was armed is looked at again before it fires."""
        return CancellationState.SCHEDULED if self.armed_status else CancellationState.REQUESTED

    @property
    def is_asked_again(self) -> bool:
        """Whether the desk will ask AssetPay once more by itself: nobody gave it up, and no batch holds it."""
        if not self.may_resend or self.needs_person:
            return False
        return self.batch is None or str(self.batch.state) == GOING

    def settle_refusal(self, now: datetime) -> str:
        """Why a person may not settle this at `now`, in a sentence; empty where it may be."""
        if self.state == CancellationState.UNCERTAIN:
            if self.is_asked_again:
                return gettext("The desk asks AssetPay once more by itself first.")
            return ""
        if self.state != CancellationState.ACCEPTED:
            return gettext("There is nothing to settle: {state}.").format(state=self.get_state_display().lower())
        open_long = (self.accepted_at or self.changed_at) + OPEN_LONG
        if now < open_long:
            return gettext("AssetPay accepted it; give it until {at} UTC to end.").format(at=f"{open_long:%H:%M:%S}")
        return ""

    @property
    def last_asked_at(self) -> datetime | None:
        """When the last request to AssetPay was answered, or left where no answer is known; None before any."""
        last: datetime | None = self.attempts.aggregate(at=models.Max(Coalesce("answered_at", "started_at")))["at"]
        return last

    def settle_evidence(self) -> str:
        """What AssetPay showed after the last request, so that one person may settle it as not done; else empty.

        What was accepted, or may have been, takes its time: the item stays open meanwhile, and only a long silence
        speaks against it.
        """
        last = self.last_asked_at
        if self.seen_open_at is None or last is None or self.seen_open_at < last + OPEN_LONG:
            return ""
        return f"AssetPay showed it open: {self.seen_open_by}"

    @property
    def word(self) -> str:
        """Where it stands, for the screens: what people settled was not refused by AssetPay."""
        if self.state == CancellationState.REFUSED and self.ended_because:
            return gettext("Settled as not done")
        return str(self.get_state_display())

    @property
    def sentence(self) -> str:
        """What the last answer means to an agent; empty before any answer."""
        return answer_sentence(self.answer_key) if self.answer_key else ""


class AttemptOutcome(models.TextChoices):
    """What one sending came to."""

    SENDING = "sending", gettext_lazy("No answer yet")
    ACCEPTED = "accepted", gettext_lazy("Accepted")
    REFUSED = "refused", gettext_lazy("Refused")
    WAIT = "wait", gettext_lazy("Told to wait")
    NOT_SENT = "not_sent", gettext_lazy("Not sent")
    UNKNOWN = "unknown", gettext_lazy("Outcome unknown")


# After any other outcome nothing was done.
MAY_BE_DONE = (AttemptOutcome.SENDING, AttemptOutcome.ACCEPTED, AttemptOutcome.UNKNOWN)


class Attempt(models.Model):
    """One sending of a cancellation, committed before the request leaves. `number` is the claim it was sent under.

    The attempts of one call for a whole trade share its request id.
    """

    cancellation = models.ForeignKey(Cancellation, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    request_id = models.UUIDField(db_index=True)
    is_whole_trade = models.BooleanField(default=False)
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
