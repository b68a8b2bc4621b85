"""Batches: many items chosen at once, frozen first, then asked for one by one within the sending limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max
from django.utils.translation import gettext

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.budget import estimated_end
from withdrawals.actions.cancellations import already_asked, armed_for
from withdrawals.actions.sending import drain_cancellations
from withdrawals.actions.taking_back import take_back_rest
from withdrawals.models import (
    Batch,
    BatchItem,
    BatchState,
    Cancellation,
    CancellationState,
    Item,
    Lane,
    Rule,
    SendBudget,
    Trade,
    User,
)
from withdrawals.models.batch import LIVE_STATES
from withdrawals.models.cancellation import SETTLED, in_the_queue
from withdrawals.models.item import cancel_window
from withdrawals.models.status import FINAL
from withdrawals.models.words import as_kept

MAX_ITEMS = 2_000
SHOWN_OF_AN_EXCLUSION = 50
ALREADY_ASKED = "already_asked"


class BatchRefused(Exception):
    """The batch cannot be drafted, started, paused, resumed or stopped; the sentence says why."""


@dataclass(frozen=True)
class Exclusion:
    """Items of a selection that one rule keeps out: how many, one of their sentences, and the first fifty."""

    rule: str
    sentence: str
    count: int
    items: tuple[BatchItem, ...]


@dataclass(frozen=True)
class Preview:
    """What starting a draft would do: `can` of `total`, some of them armed, in so many calls, done about then (UTC)."""

    total: int
    can: int
    at_once: int
    armed: int
    exclusions: tuple[Exclusion, ...]
    calls: int
    whole_trades: int
    estimated_end: datetime | None


def draft_batch(*, item_ids: Sequence[int], selection: str, actor: User, origin: Origin, now: datetime) -> Batch:
    """Freeze and count a selection, in the order given, with the reason for each item that cannot be cancelled.

    What is only too young is not excluded: it is armed when the batch starts. Raises BatchRefused.
    """
    ids = list(dict.fromkeys(item_ids))
    if not ids:
        raise BatchRefused(gettext("Nothing is selected."))
    if len(ids) > MAX_ITEMS:
        raise BatchRefused(
            gettext("{count} items are selected; a batch takes at most {most}. Narrow the filter.").format(
                count=f"{len(ids):,}", most=f"{MAX_ITEMS:,}"
            )
        )
    with transaction.atomic():
        items = Item.objects.select_related("trade").in_bulk(ids)
        batch = Batch.objects.create(
            requested_by=actor, created_at=now, selection=selection[:500], state=BatchState.DRAFT
        )
        _freeze(batch, [items[pk] for pk in ids if pk in items], now)
        after: dict[str, Value] = {"batch": batch.pk, "items": len(items), "selection": batch.selection}
        record([Fact("batch.drafted", after=after)], origin=origin, now=now)
    return batch


def _freeze(batch: Batch, items: Sequence[Item], now: datetime) -> None:
    first_asked = _open_ones(items)
    rows = []
    for position, item in enumerate(items, start=1):
        rule, because = _exclusion(item, first_asked.get(item.pk), now)
        rows.append(
            BatchItem(batch=batch, item=item, position=position, excluded_rule=rule, excluded_because=because[:300])
        )
    BatchItem.objects.bulk_create(rows, batch_size=500)


def _open_ones(items: Sequence[Item]) -> dict[int, Cancellation]:
    asked = Cancellation.objects.open().filter(item__in=[item.pk for item in items]).select_related("requested_by")
    return {cancellation.item_id: cancellation for cancellation in asked}


def _exclusion(item: Item, first: Cancellation | None, now: datetime) -> tuple[str, str]:
    """Why this item is left out: a word to group by and the sentence; both empty where it is not."""
    with as_kept():
        if first is not None:
            return ALREADY_ASKED, already_asked(first)
        refusal = item.cancel_refusal(now)
        if refusal is None or refusal.rule == Rule.OLD_ENOUGH:
            return "", ""
        return str(refusal.rule), refusal.sentence


def preview(batch: Batch, *, now: datetime) -> Preview:
    """What starting `batch` at `now` would do, of the selection as it was frozen."""
    chosen = batch.items.filter(excluded_rule="")
    total, can = batch.items.count(), chosen.count()
    armed = chosen.filter(item__opened_at__gt=now - cancel_window()).count()
    whole, calls = _calls(batch)
    ends = [estimated_end(calls + _queued(batch.lane, now), lane=Lane(batch.lane), now=now)] if can else []
    if armed:
        youngest = chosen.aggregate(last=Max("item__opened_at"))["last"]
        ends.append(youngest + cancel_window() + SendBudget.objects.get(pk=1).margin(now))
    return Preview(
        total=total,
        can=can,
        at_once=can - armed,
        armed=armed,
        exclusions=_exclusions(batch),
        calls=calls,
        whole_trades=whole,
        estimated_end=max((end for end in ends if end is not None), default=None),
    )


def _calls(batch: Batch) -> tuple[int, int]:
    """How many whole-trade calls, and how many calls in all, this selection takes."""
    chosen = batch.items.filter(excluded_rule="").exclude(item__status__in=FINAL)
    per_trade = dict(chosen.values_list("item__trade").annotate(Count("pk")).order_by())
    unended = Item.objects.filter(trade__in=chosen.values("item__trade")).exclude(status__in=FINAL)
    left = dict(unended.values_list("trade").annotate(Count("pk")).order_by())
    whole = sum(1 for trade, count in per_trade.items() if count > 1 and left[trade] == count)
    saved = sum(count - 1 for trade, count in per_trade.items() if count > 1 and left[trade] == count)
    return whole, sum(per_trade.values()) - saved


def _queued(lane: str, now: datetime) -> int:
    return Cancellation.objects.filter(in_the_queue(now), lane=lane).count()


def _exclusions(batch: Batch) -> tuple[Exclusion, ...]:
    counts = batch.items.exclude(excluded_rule="").values_list("excluded_rule").annotate(count=Count("pk"))
    exclusions = []
    for rule, count in counts.order_by("-count", "excluded_rule"):
        rows = batch.items.filter(excluded_rule=rule).select_related("item__trade").order_by("position")
        shown = tuple(rows[:SHOWN_OF_AN_EXCLUSION])
        exclusions.append(Exclusion(rule, shown[0].excluded_because, count, shown))
    return tuple(exclusions)


def start_batch(*, batch_id: int, reason: str, note: str, actor: User, origin: Origin, now: datetime) -> Batch:
    """Ask for, or arm, each item of a draft, once; each with its own audit entry. Nothing leaves here.

    An item that ended, or that somebody else asked for meanwhile, is skipped with its reason. Only who drafted it may
    start it. Raises BatchRefused, or Batch.DoesNotExist.
    """
    with transaction.atomic():
        batch = Batch.objects.get(pk=batch_id)
        if batch.requested_by_id != actor.pk:
            raise BatchRefused(
                gettext("{who} made this selection, and only they can start it.").format(who=batch.requested_by)
            )
        facts = _start(batch, reason, note, actor, now)
        record(facts, origin=origin, now=now)
    return batch


def _start(batch: Batch, reason: str, note: str, actor: User, now: datetime) -> list[Fact]:
    send_from = now + timedelta(seconds=settings.UNDO_SECONDS)
    # First and conditional: of two who start it, the second finds no draft.
    started = Batch.objects.filter(pk=batch.pk, state=BatchState.DRAFT).update(
        state=BatchState.RUNNING, reason=reason, note=note, started_at=now, send_from=send_from
    )
    if not started:
        raise BatchRefused(gettext("This batch was already started."))
    batch.refresh_from_db()
    rows = list(batch.items.filter(excluded_rule="").order_by("position"))
    # Trades before items, and each in the order of their keys: news lock in that order too.
    chosen = Item.objects.filter(pk__in=[row.item_id for row in rows])
    trades = Trade.objects.select_for_update(no_key=True).order_by("pk")
    list(trades.filter(pk__in=chosen.values("trade")).values_list("pk"))
    locked = Item.objects.select_for_update(of=("self",), no_key=True).select_related("trade").order_by("pk")
    items = {item.pk: item for item in locked.filter(pk__in=chosen.values("pk"))}
    first_asked = _open_ones(list(items.values()))
    earlier = Cancellation.objects.filter(item__in=items).values_list("item").order_by()
    last = {item: rest for item, *rest in earlier.annotate(last=Max("number"), settled=Count("pk", filter=SETTLED))}
    margin = SendBudget.objects.get(pk=1).margin(now)
    made, skipped = [], []
    for row in rows:
        item = items[row.item_id]
        row.excluded_rule, row.excluded_because = _exclusion(item, first_asked.get(item.pk), now)
        row.excluded_because = row.excluded_because[:300]
        if row.excluded_rule:
            skipped.append(row)
            continue
        number, settled = last.get(item.pk, (0, 0))
        cancellation = _cancellation(batch, item, number + 1, actor, margin, now)
        cancellation.was_uncertain = settled > 0
        row.cancellation = cancellation
        made.append((row, cancellation))
    Cancellation.objects.bulk_create([cancellation for _, cancellation in made], batch_size=500)
    for row, cancellation in made:
        row.cancellation = cancellation
    BatchItem.objects.bulk_update(
        [*(row for row, _ in made), *skipped], ["cancellation", "excluded_rule", "excluded_because"], batch_size=200
    )
    drain_cancellations.using(run_after=send_from).enqueue()
    after: dict[str, Value] = {"batch": batch.pk, "state": "running", "asked": len(made), "skipped": len(skipped)}
    return [
        Fact("batch.started", before={"state": "draft"}, after=after, reason=reason),
        *(_asked(batch, cancellation) for _, cancellation in made),
    ]


def _cancellation(batch: Batch, item: Item, number: int, actor: User, margin: timedelta, now: datetime) -> Cancellation:
    assert batch.send_from is not None  # noqa: S101 # it was started a moment ago
    cancellation = Cancellation(
        item=item,
        number=number,
        state=CancellationState.REQUESTED,
        batch=batch,
        lane=batch.lane,
        reason=batch.reason,
        note=batch.note,
        requested_by=actor,
        requested_at=now,
        changed_at=now,
        send_from=batch.send_from,
    )
    if item.cancel_refusal(now) is not None:
        fires_at = max(item.fires_at(margin), batch.send_from)
        cancellation.state = CancellationState.SCHEDULED
        cancellation.armed_status = item.status
        cancellation.send_from = fires_at
        cancellation.waits_for = armed_for(item, fires_at)
    return cancellation


def _asked(batch: Batch, cancellation: Cancellation) -> Fact:
    is_armed = cancellation.state == CancellationState.SCHEDULED
    after: dict[str, Value] = {
        "cancellation": str(cancellation.state),
        "number": cancellation.number,
        "batch": batch.pk,
        "note": batch.note,
    }
    verb = "cancellation.armed" if is_armed else "cancellation.requested"
    return Fact(verb, item=cancellation.item, after=after, reason=batch.reason)


def pause_batch(*, batch_id: int, actor: User, origin: Origin, now: datetime) -> Batch:
    """Hold what has not left yet. Raises BatchRefused, or Batch.DoesNotExist."""
    return _turn(batch_id, (BatchState.RUNNING,), BatchState.PAUSED, origin, now)


def resume_batch(*, batch_id: int, actor: User, origin: Origin, now: datetime) -> Batch:
    """Let a paused batch go on. Raises BatchRefused, or Batch.DoesNotExist."""
    return _turn(batch_id, (BatchState.PAUSED,), BatchState.RUNNING, origin, now)


def stop_batch(*, batch_id: int, actor: User, origin: Origin, now: datetime) -> Batch:
    """Take back whatever has not left; what is on its way, or was answered, stays as it is.

    Raises BatchRefused, or Batch.DoesNotExist.
    """
    return _turn(batch_id, LIVE_STATES, BatchState.STOPPED, origin, now)


def undo_batch(*, batch_id: int, actor: User, origin: Origin, now: datetime) -> Batch:
    """Take a whole batch back before anything of it may leave. Raises BatchRefused, or Batch.DoesNotExist."""
    with transaction.atomic():
        batch = Batch.objects.get(pk=batch_id)
        if batch.send_from is None or now >= batch.send_from:
            raise BatchRefused(gettext("Too late to undo: the first requests may have left. Stop the batch instead."))
        return _turn(batch_id, LIVE_STATES, BatchState.STOPPED, origin, now)


def _turn(batch_id: int, out_of: Sequence[BatchState], to: BatchState, origin: Origin, now: datetime) -> Batch:
    with transaction.atomic():
        batch = Batch.objects.get(pk=batch_id)
        ended_at = now if to == BatchState.STOPPED else None
        if not Batch.objects.filter(pk=batch_id, state__in=out_of).update(state=to, ended_at=ended_at):
            batch.refresh_from_db()
            raise BatchRefused(
                gettext("Somebody was quicker. This batch stands at: {state}.").format(
                    state=batch.get_state_display().lower()
                )
            )
        facts = take_back_rest(batch, now=now) if to == BatchState.STOPPED else []
        if to == BatchState.RUNNING:
            drain_cancellations.enqueue()
        after: dict[str, Value] = {"batch": batch.pk, "state": str(to), "taken_back": len(facts)}
        facts.insert(0, Fact(f"batch.{VERBS[to]}", before={"state": str(batch.state)}, after=after))
        record(facts, origin=origin, now=now)
    batch.refresh_from_db()
    return batch


VERBS = {BatchState.PAUSED: "paused", BatchState.RUNNING: "resumed", BatchState.STOPPED: "stopped"}


def leftover_item_ids(batch: Batch) -> list[int]:
    """The items for which nothing was reached, to select again: refused, or never attempted."""
    return list(batch.leftovers().values_list("item_id", flat=True))


def next_number_of(trade: Trade) -> int:
    """Which request for an item of this trade would be the next; the form for the whole of it is made for that."""
    return Cancellation.objects.filter(item__trade=trade).count() + 1


def request_whole_trade(
    *,
    trade_id: int,
    reason: str,
    note: str,
    actor: User,
    origin: Origin,
    now: datetime,
    number: int | None = None,
) -> Batch:
    """Ask for everything of a trade that has not ended: frozen now, a batch of its own that counts as a click.

    All of it must be cancellable now, and asked for by nobody yet. `number` is the `next_number_of` that the person's
    form was made for: sent again after its requests have ended, it asks for nothing new. Raises BatchRefused, or
    Trade.DoesNotExist.
    """
    with transaction.atomic():
        trade = Trade.objects.select_for_update(no_key=True).get(pk=trade_id)
        unended = trade.items.select_related("trade").exclude(status__in=FINAL).order_by("position", "pk")
        items = list(unended)
        if not items:
            raise BatchRefused(gettext("Everything of this trade has ended; there is nothing left to cancel."))
        first_asked = _open_ones(items)
        for item in items:
            if item.pk in first_asked:
                raise BatchRefused(f"{item.title}: {already_asked(first_asked[item.pk])}")
            refusal = item.cancel_refusal(now)
            if refusal is not None:
                raise BatchRefused(f"{item.title}: {refusal.sentence}")
        if number is not None and number != next_number_of(trade):
            raise BatchRefused(
                gettext("Something of this trade was asked for since your form was made. Look at the trade again.")
            )
        batch = Batch.objects.create(
            requested_by=actor,
            created_at=now,
            selection=f"Whole trade {trade.assetpay_id}, {len(items)} items",
            lane=Lane.CLICK,
            state=BatchState.DRAFT,
        )
        _freeze(batch, items, now)
        record(_start(batch, reason, note, actor, now), origin=origin, now=now)
    return batch
