"""What never left is taken back, by a person or by the desk itself, with the reason kept; by one transaction."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from withdrawals.actions.audit import WORKER, Fact, Origin, record
from withdrawals.models import Batch, BatchState, Cancellation, CancellationState, Source
from withdrawals.models.cancellation import NOT_LEFT_STATES

STOPPED = gettext_noop("The batch was stopped before AssetPay was asked.")


def take_back(cancellation: Cancellation, *, because: str, now: datetime) -> Fact | None:
    """Withdraw one cancellation (its item loaded) that has not left; None where it has left meanwhile.

    The caller records the fact in the same transaction.
    """
    row = Cancellation.objects.filter(pk=cancellation.pk, state__in=NOT_LEFT_STATES)
    if not row.move(
        to=CancellationState.WITHDRAWN,
        now=now,
        waits_for="",
        needs_person="",
        read_from=None,
        ended_because=because[:500],
    ):
        return None
    before = {"cancellation": str(cancellation.state)}
    after = {"cancellation": str(CancellationState.WITHDRAWN)}
    return Fact("cancellation.withdrawn", item=cancellation.item, before=before, after=after, reason=because)


def take_back_rest(batch: Batch, *, now: datetime) -> list[Fact]:
    """Withdraw what a stopped batch still holds, in the caller's transaction, which records the facts."""
    held = Cancellation.objects.filter(batch=batch, state__in=NOT_LEFT_STATES).select_related("item__trade")
    facts = [take_back(cancellation, because=STOPPED, now=now) for cancellation in held.order_by("pk")]
    return [fact for fact in facts if fact is not None]


def wind_up_batches(*, now: datetime) -> None:
    """End the running batches of which nothing can leave any more, and take back what came back to stopped ones.

    A request that was on its way when its batch was stopped may be told to wait: then it must not leave again.
    """
    origin = Origin(Source.WORKER, name=WORKER)
    # Not asked once more either: what is unknown of them is for a person now.
    Cancellation.objects.filter(batch__state=BatchState.STOPPED, state=CancellationState.UNCERTAIN).filter(
        may_resend=True
    ).update(
        may_resend=False,
        waits_for=gettext_noop("No answer came, and the batch was stopped: it is not asked once more."),
    )
    for batch in Batch.objects.filter(state=BatchState.STOPPED, cancellations__state__in=NOT_LEFT_STATES).distinct():
        with transaction.atomic():
            record(take_back_rest(batch, now=now), origin=origin, now=now)
    for batch in Batch.objects.with_nothing_to_send():
        with transaction.atomic():
            running = Batch.objects.with_nothing_to_send().filter(pk=batch.pk)
            if running.update(state=BatchState.FINISHED, ended_at=now):
                fact = Fact(
                    "batch.finished", before={"state": "running"}, after={"batch": batch.pk, "state": "finished"}
                )
                record([fact], origin=origin, now=now)
