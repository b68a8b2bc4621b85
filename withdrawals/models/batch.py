"""A batch: many items chosen at once, frozen and counted before anything is asked."""

from dataclasses import dataclass
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from withdrawals.models.cancellation import NOT_LEFT_STATES, Cancellation, CancellationState, Lane
from withdrawals.models.item import Item


class BatchState(models.TextChoices):
    """Where a batch stands; the labels are the words on the screens."""

    DRAFT = "draft", gettext_lazy("Not started")
    RUNNING = "running", gettext_lazy("Running")
    PAUSED = "paused", gettext_lazy("Paused")
    STOPPED = "stopped", gettext_lazy("Stopped")
    FINISHED = "finished", gettext_lazy("Everything was asked")


# Something of these may still leave.
LIVE_STATES = (BatchState.RUNNING, BatchState.PAUSED)


@dataclass(frozen=True)
class Tally:
    """What became of each item of a batch. Each item counts once: the parts always sum to `total`.

    `waiting` has not left yet, or is on its way; `accepted` waits for the item to come back; `not_attempted` was
    excluded, skipped, taken back or disarmed, so AssetPay was never asked.
    """

    total: int
    waiting: int
    accepted: int
    done: int
    refused: int
    unknown: int
    overtaken: int
    not_attempted: int


TALLY_OF = {
    CancellationState.SCHEDULED: "waiting",
    CancellationState.REQUESTED: "waiting",
    CancellationState.SENDING: "waiting",
    CancellationState.ACCEPTED: "accepted",
    CancellationState.CONFIRMED: "done",
    CancellationState.REFUSED: "refused",
    CancellationState.UNCERTAIN: "unknown",
    CancellationState.OVERTAKEN: "overtaken",
    CancellationState.WITHDRAWN: "not_attempted",
}


class BatchQuerySet(models.QuerySet["Batch"]):
    """Reads of batches."""

    def live(self) -> Self:
        """Those of which something may still leave."""
        return self.filter(state__in=LIVE_STATES)

    def with_nothing_to_send(self) -> Self:
        """Running ones of which everything has left for good: what is unknown may stay so for long."""
        states = (*NOT_LEFT_STATES, CancellationState.SENDING)
        to_send = Cancellation.objects.filter(batch=models.OuterRef("pk")).filter(
            Q(state__in=states) | Q(state=CancellationState.UNCERTAIN, may_resend=True)
        )
        return self.filter(~models.Exists(to_send), state=BatchState.RUNNING)

    def newest_first(self) -> Self:
        """As the list shows them."""
        return self.order_by("-created_at", "-pk")


class Batch(models.Model):
    """One selection, and the one reason that was given for all of it."""

    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    # What was chosen, in words: the filter, or "5 rows by hand".
    selection = models.CharField(max_length=500)
    reason = models.CharField(max_length=200, blank=True, default="")
    note = models.TextField(blank=True, default="")
    lane = models.CharField(max_length=8, choices=Lane, default=Lane.BATCH)
    state = models.CharField(max_length=16, choices=BatchState, default=BatchState.DRAFT)
    # Nothing leaves before: the time to undo.
    send_from = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=BatchState.values), name="batch_state_known"),
            models.CheckConstraint(
                condition=Q(state=BatchState.DRAFT) | Q(started_at__isnull=False), name="started_batch_has_a_start"
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="batch_newest_first")]

    def __str__(self) -> str:
        return f"batch {self.pk}"

    @property
    def is_live(self) -> bool:
        """Whether something of it may still leave."""
        return self.state in LIVE_STATES

    def tally(self) -> Tally:
        """What became of each item, counted now, in one query."""
        counts = dict.fromkeys(TALLY_OF.values(), 0)
        rows = self.items.values_list("cancellation__state").annotate(count=models.Count("pk")).order_by()
        for state, count in rows:
            counts[TALLY_OF[CancellationState(state)] if state else "not_attempted"] += count
        return Tally(total=sum(counts.values()), **counts)

    def leftovers(self) -> models.QuerySet["BatchItem"]:
        """Those for which nothing was reached and everything may be tried again: refused or never attempted."""
        again = Q(cancellation=None) | Q(
            cancellation__state__in=(CancellationState.REFUSED, CancellationState.WITHDRAWN)
        )
        return self.items.filter(again).order_by("position")


class BatchItem(models.Model):
    """One item of a batch. Without a cancellation nothing was asked, and `excluded_because` says why."""

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="items", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()
    # A word to group by: a rule's, or "already_asked"; and the sentence for the agent.
    excluded_rule = models.CharField(max_length=32, blank=True, default="")
    excluded_because = models.CharField(max_length=300, blank=True, default="")
    cancellation = models.OneToOneField(Cancellation, on_delete=models.PROTECT, null=True, related_name="batch_item")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "item"], name="one_row_per_batch_and_item"),
            models.UniqueConstraint(fields=["batch", "position"], name="batch_items_are_numbered"),
        ]

    def __str__(self) -> str:
        return f"item {self.item_id} of batch {self.batch_id}"
