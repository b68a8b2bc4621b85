"""What people and AssetPay's news do to cancellations. Sending them is in `withdrawals.actions.sending`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils.translation import gettext, gettext_noop

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.sending import drain_cancellations
from withdrawals.actions.taking_back import take_back
from withdrawals.models import Cancellation, CancellationState, Evidence, Item, Lane, SendBudget, Trade, User
from withdrawals.models.cancellation import ASKED_STATES, OPEN_STATES, SETTLED
from withdrawals.models.prepared import found_models, rows_of


class CancelRefused(Exception):
    """The item cannot be cancelled; the sentence names the rule, or who was first and when."""


class UndoRefused(Exception):
    """It is too late to take the request back; the sentence says what happened instead."""


class RetryRefused(Exception):
    """The request does not wait for a person, or no longer does."""


def request_cancellation(
    *,
    item_id: int,
    reason: str,
    note: str,
    actor: User,
    origin: Origin,
    now: datetime,
    number: int | None = None,
) -> Cancellation:
    """Ask for one item to be cancelled: intent, audit entry and wake-up in one transaction. Nothing leaves here.

    `number` is the count that the person's form was made for: a form that is sent again after its request has ended
    asks for nothing new. Raises CancelRefused, or Item.DoesNotExist.
    """
    with transaction.atomic():
        item = _take_item(item_id)
        refusal = item.cancel_refusal(now)
        if refusal is not None:
            raise CancelRefused(refusal.sentence)
        cancellation = Cancellation(
            item=item,
            state=CancellationState.REQUESTED,
            reason=reason,
            note=note,
            requested_by=actor,
            send_from=now + timedelta(seconds=settings.UNDO_SECONDS),
        )
        _insert(cancellation, number, now)
        drain_cancellations.using(run_after=cancellation.send_from).enqueue()
        record([_asked(cancellation)], origin=origin, now=now)
    return cancellation


def arm_cancellation(
    *,
    item_id: int,
    reason: str,
    note: str,
    actor: User,
    origin: Origin,
    now: datetime,
    number: int | None = None,
) -> Cancellation:
    """Ask for one item to be cancelled as soon as its window opens; before it fires the state is read again.

    Only the item's age may stand in the way. `number` as in `request_cancellation`. Raises CancelRefused, or
    Item.DoesNotExist.
    """
    with transaction.atomic():
        item = _take_item(item_id)
        refusal = item.arm_refusal(now)
        if refusal is not None:
            raise CancelRefused(refusal.sentence)
        fires_at = item.fires_at(SendBudget.objects.get(pk=1).margin(now))
        cancellation = Cancellation(
            item=item,
            state=CancellationState.SCHEDULED,
            lane=Lane.BATCH,
            armed_status=item.status,
            reason=reason,
            note=note,
            requested_by=actor,
            send_from=fires_at,
            waits_for=armed_for(item, fires_at),
        )
        _insert(cancellation, number, now)
        record([_asked(cancellation)], origin=origin, now=now)
    return cancellation


def armed_for(item: Item, fires_at: datetime) -> str:
    """What an armed cancellation waits for, in words."""
    auto_cancel_at = item.trade.auto_cancel_at
    if auto_cancel_at is not None and auto_cancel_at < fires_at:
        return (
            f"Asks AssetPay at {fires_at:%H:%M:%S} UTC, if AssetPay's own auto-cancel of "
            f"{auto_cancel_at:%H:%M:%S} UTC has not ended the item by then."
        )
    return f"Asks AssetPay at {fires_at:%H:%M:%S} UTC, as soon as the item is old enough."


def already_asked(first: Cancellation) -> str:
    """Who was first and when, for the one who comes second; `first` has its person loaded."""
    if first.state == CancellationState.SCHEDULED and not first.needs_person:
        return gettext("Already armed by {who} at {at} UTC: it asks AssetPay at {send_from} UTC.").format(
            who=first.requested_by,
            at=f"{first.requested_at:%H:%M:%S}",
            send_from=f"{first.send_from:%H:%M:%S}",
        )
    return gettext("Already asked for by {who} at {at} UTC: {state}.").format(
        who=first.requested_by,
        at=f"{first.requested_at:%H:%M:%S}",
        state=first.get_state_display().lower(),
    )


def _take_item(item_id: int) -> Item:
    # The row lock keeps two clicks in line on PostgreSQL; SQLite's transactions are in line anyway. The unique
    # constraint holds without it.
    item = Item.objects.select_for_update(of=("self",), no_key=True).select_related("trade").get(pk=item_id)
    _refuse_second(item)
    return item


def _refuse_second(item: Item) -> None:
    first = item.cancellations.open().select_related("requested_by").first()
    if first is not None:
        raise CancelRefused(already_asked(first))


def _insert(cancellation: Cancellation, number: int | None, now: datetime) -> None:
    item = cancellation.item
    before = item.cancellations.aggregate(last=Max("number"), settled=Count("pk", filter=SETTLED))
    last = before["last"] or 0
    if number is not None and number != last + 1:
        raise CancelRefused(gettext("This request was already made. The row below shows what became of it."))
    cancellation.number, cancellation.requested_at, cancellation.changed_at = last + 1, now, now
    cancellation.was_uncertain = before["settled"] > 0
    try:
        with transaction.atomic():
            cancellation.save(force_insert=True)
    except IntegrityError as error:
        _refuse_second(item)
        raise CancelRefused(gettext("Somebody else asked for this a moment ago.")) from error


def _asked(cancellation: Cancellation) -> Fact:
    after: dict[str, Value] = {
        "cancellation": str(cancellation.state),
        "number": cancellation.number,
        "note": cancellation.note,
    }
    if cancellation.state == CancellationState.SCHEDULED:
        after["send_from"] = cancellation.send_from.isoformat()
    verb = "cancellation.armed" if cancellation.state == CancellationState.SCHEDULED else "cancellation.requested"
    return Fact(verb, item=cancellation.item, after=after, reason=cancellation.reason)


def undo_cancellation(*, cancellation_id: int, actor: User, origin: Origin, now: datetime) -> Cancellation:
    """Take a request back before it leaves, armed or asked for. Raises UndoRefused, or Cancellation.DoesNotExist."""
    with transaction.atomic():
        cancellation = Cancellation.objects.select_related("item__trade").get(pk=cancellation_id)
        fact = take_back(cancellation, because=f"Taken back by {actor}.", now=now)
        if fact is None:
            cancellation.refresh_from_db()
            raise UndoRefused(
                gettext("Too late to undo: {state}.").format(state=cancellation.get_state_display().lower())
            )
        record([fact], origin=origin, now=now)
    cancellation.refresh_from_db()
    return cancellation


def retry_cancellation(*, cancellation_id: int, actor: User, origin: Origin, now: datetime) -> Cancellation:
    """Hand a request that the workers gave up back to them, its tries counted anew.

    Whatever was certain stays so: an unknown outcome gets no second resend by this. Raises RetryRefused, or
    Cancellation.DoesNotExist.
    """
    with transaction.atomic():
        cancellation = Cancellation.objects.select_related("item__trade").get(pk=cancellation_id)
        to = cancellation.waits_in if cancellation.can_be_undone else CancellationState(cancellation.state)
        moved = (
            Cancellation.objects.stuck()
            .filter(pk=cancellation_id, state=cancellation.state)
            .move(
                to=to,
                now=now,
                needs_person="",
                not_sent_count=0,
                busy_count=0,
                lost_worker_count=0,
                send_from=max(cancellation.send_from, now),
            )
        )
        if not moved:
            raise RetryRefused(
                gettext("It does not wait for anybody: {state}.").format(state=cancellation.get_state_display().lower())
            )
        drain_cancellations.enqueue()
        before = {"needs_person": cancellation.needs_person, "cancellation": str(cancellation.state)}
        after = {"needs_person": "", "cancellation": str(to)}
        fact = Fact("cancellation.retried", item=cancellation.item, before=before, after=after)
        record([fact], origin=origin, now=now)
    cancellation.refresh_from_db()
    return cancellation


def hold_open(items: Iterable[Item]) -> None:
    """Lock the open cancellations of these items until the transaction ends, waiting for nobody.

    For news of several trades, whose cancellations are then followed trade by trade: everybody else takes those of
    several trades in the order of their keys. Raises OperationalError as soon as somebody else holds one.
    """
    keys = tuple(item.pk for item in items)
    if keys and connection.vendor == "postgresql":
        # Always eight, sixteen and so on, so that there are few such statements.
        rows_of(_held, items=keys + keys[-1:] * (-len(keys) % 8))


def _held(items: tuple[int, ...]) -> QuerySet[Cancellation, tuple[int]]:
    rows = Cancellation.objects.open().filter(item__in=items).order_by("pk")
    return rows.select_for_update(no_key=True, nowait=True).values_list("pk")


def follow_items(items: Iterable[Item], *, now: datetime) -> list[Fact]:
    """End the open cancellation of each item that ended, in the caller's transaction.

    Undelivered confirms it, delivered overtakes it, whatever state it was in: the item's own end is the truth, and
    an answer that comes later changes nothing. Returns the facts for the caller to record.
    """
    ended = {item.pk: item for item in items if item.has_ended}
    facts: list[Fact] = []
    if not ended:
        return facts
    for cancellation in found_models(_open_of, items=tuple(ended)).models():
        item = ended[cancellation.item_id]
        end = CancellationState.CONFIRMED if item.ended_undelivered else CancellationState.OVERTAKEN
        row = Cancellation.objects.filter(pk=cancellation.pk, state__in=OPEN_STATES)
        because = gettext_noop("The item ended before AssetPay was asked.") if cancellation.claim == 0 else ""
        if row.move(
            to=end,
            now=now,
            lease_until=None,
            may_resend=False,
            waits_for="",
            needs_person="",
            read_from=None,
            ended_because=because,
        ):
            before = {"cancellation": str(cancellation.state)}
            after = {"cancellation": str(end), "item_status": item.status}
            facts.append(Fact(f"cancellation.{end}", item=item, before=before, after=after, reason=because))
    return facts


def _open_of(items: tuple[int, ...]) -> QuerySet[Cancellation]:
    # In the order of the keys, as the answer to a whole trade is recorded: else the two could wait for each other.
    return Cancellation.objects.open().filter(item__in=items).order_by("pk")


def follow_times(trade: Trade, items: Iterable[Item], *, now: datetime) -> list[Fact]:
    """Move the moment at which armed items fire, after AssetPay told another age or another auto-cancel.

    In the caller's transaction; returns the facts for the caller to record.
    """
    known = {item.pk: item for item in items}
    margin = SendBudget.objects.get(pk=1).margin(now)
    facts = []
    # One that was sent and put off, as too soon or for a while, waits for a moment of its own.
    armed = Cancellation.objects.armed().filter(item__in=known, claim=0).select_related("batch")
    for cancellation in armed.order_by("pk"):
        item = known[cancellation.item_id]
        item.trade = trade
        fires_at = item.fires_at(margin)
        if cancellation.batch is not None and cancellation.batch.send_from is not None:
            # Nothing of a batch leaves while all of it can be undone.
            fires_at = max(fires_at, cancellation.batch.send_from)
        row = Cancellation.objects.armed().filter(pk=cancellation.pk, claim=0).exclude(send_from=fires_at)
        waits_for = armed_for(item, fires_at)
        if row.move(to=CancellationState.SCHEDULED, now=now, send_from=fires_at, waits_for=waits_for):
            before = {"send_from": cancellation.send_from.isoformat()}
            after = {"send_from": fires_at.isoformat()}
            facts.append(Fact("cancellation.rescheduled", item=item, before=before, after=after))
    return facts


@dataclass(frozen=True)
class SeenOpen:
    """Items that AssetPay certainly still showed open at `at`, and what says so."""

    items: Sequence[Item]
    at: datetime
    evidence: Evidence

    @property
    def source(self) -> str:
        """What says so, in words."""
        kind = "delivery" if self.evidence.delivery is not None else "read"
        return f"{kind} of {self.at:%Y-%m-%d %H:%M:%S} UTC, sha256 {self.evidence.sha256}"


def note_seen_open(seen: Sequence[SeenOpen]) -> None:
    """Keep when AssetPay last showed open what it was asked to cancel: what a settlement may stand on."""
    keys = tuple(item.pk for each in seen for item in each.items)
    # Most trades have none.
    asked = {item for (item,) in rows_of(_asked_items, items=keys)} if keys else set()
    for each in seen:
        shown = asked.intersection(item.pk for item in each.items)
        if shown:
            rows = Cancellation.objects.filter(item__in=shown, state__in=ASKED_STATES)
            older = rows.filter(Q(seen_open_at=None) | Q(seen_open_at__lt=each.at))
            older.update(seen_open_at=each.at, seen_open_by=each.source)


def _asked_items(items: tuple[int, ...]) -> QuerySet[Cancellation, tuple[int]]:
    return Cancellation.objects.filter(item__in=items, state__in=ASKED_STATES).values_list("item")
