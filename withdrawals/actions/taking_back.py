"""What never left is taken back, by a person or by the desk itself, with the reason kept; by one transaction."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from withdrawals.actions.audit import WORKER, Fact, Origin, record
from withdrawals.models import Batch, BatchState, Cancellation, CancellationState, Source, User
from withdrawals.models.cancellation import MAY_LEAVE, NOT_LEFT_STATES
from withdrawals.models.prepared import found_models

STOPPED = gettext_noop("The batch was stopped before AssetPay was asked.")
NOT_AGAIN = gettext_noop("No answer came, and the batch was stopped: it is not asked once more.")


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


def ask_no_more(cancellation: Cancellation, *, because: str, now: datetime) -> Fact | None:
    """Leave one of unknown outcome (its item loaded) to people: AssetPay is not asked once more; None if it was.

    The caller records the fact in the same transaction. It names no column: no entry told that another call
    was planned, and what an entry calls "before" an earlier one has told.
    """
    row = Cancellation.objects.filter(pk=cancellation.pk, state=CancellationState.UNCERTAIN, may_resend=True)
    if not row.move(to=CancellationState.UNCERTAIN, now=now, may_resend=False, waits_for=because[:300]):
        return None
    return Fact("cancellation.resend_dropped", item=cancellation.item, reason=because)


def take_back_of(person: User, *, now: datetime) -> list[Fact]:
    """Let nothing leave any more that somebody asked for; the caller's transaction records the facts."""
    facts = []
    for cancellation in (
        Cancellation.objects.filter(MAY_LEAVE, requested_by=person).select_related("item__trade").order_by("pk")
    ):
        if cancellation.can_be_undone:
            because = f"Not sent: {person}, who asked for it, was switched off. It can be asked for again."
            facts.append(take_back(cancellation, because=because, now=now))
        else:
            because = f"No answer came, and {person}, who asked for it, was switched off: it is not asked once more."
            facts.append(ask_no_more(cancellation, because=because, now=now))
    return [fact for fact in facts if fact is not None]


def wind_up_closed_accounts(*, now: datetime) -> None:
    """Let nothing leave in the name of a closed account.

    Whoever was switched off at the desk left nothing behind; this finds what was on its way just then and was told to
    wait, and accounts that were closed past the desk.
    """
    for person in found_models(_closed_accounts).models():
        with transaction.atomic():
            record(take_back_of(person, now=now), origin=Origin(Source.WORKER, name=WORKER), now=now)


def _closed_accounts() -> QuerySet[User]:
    held = Cancellation.objects.open().filter(MAY_LEAVE, requested_by__is_active=False)
    return User.objects.filter(pk__in=held.values("requested_by"))


def wind_up_batches(*, now: datetime) -> None:
    """End the running batches of which nothing can leave any more, and take back what came back to stopped ones.

    A request that was on its way when its batch was stopped may be told to wait: then it must not leave again.
    """
    origin = Origin(Source.WORKER, name=WORKER)
    _ask_no_more_of_stopped(origin, now=now)
    for batch in found_models(_stopped_with_a_rest).models():
        with transaction.atomic():
            record(take_back_rest(batch, now=now), origin=origin, now=now)
    for batch in found_models(_with_nothing_to_send).models():
        with transaction.atomic():
            running = Batch.objects.with_nothing_to_send().filter(pk=batch.pk)
            if running.update(state=BatchState.FINISHED, ended_at=now):
                fact = Fact(
                    "batch.finished", before={"state": "running"}, after={"batch": batch.pk, "state": "finished"}
                )
                record([fact], origin=origin, now=now)


def _with_nothing_to_send() -> QuerySet[Batch]:
    return Batch.objects.with_nothing_to_send()


def _stopped_with_a_rest() -> QuerySet[Batch]:
    return Batch.objects.filter(state=BatchState.STOPPED, cancellations__state__in=NOT_LEFT_STATES).distinct()


def _ask_no_more_of_stopped(origin: Origin, *, now: datetime) -> None:
    """What is unknown of a stopped batch is not asked once more either: it is for a person now."""
    # One after the other in the order of their keys, as answers and news are recorded.
    for cancellation in found_models(_to_resend_of_stopped).models():
        with transaction.atomic():
            fact = ask_no_more(cancellation, because=NOT_AGAIN, now=now)
            record([fact] if fact else [], origin=origin, now=now)


def _to_resend_of_stopped() -> QuerySet[Cancellation]:
    unknown = Cancellation.objects.filter(batch__state=BatchState.STOPPED, state=CancellationState.UNCERTAIN)
    return unknown.filter(may_resend=True).select_related("item__trade").order_by("pk")
