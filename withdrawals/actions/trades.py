"""The mirror: what AssetPay says of a trade becomes rows here. Callback, read and replay come through one corridor."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched
from operator import attrgetter

from django.conf import settings
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.tasks import task
from django.utils import timezone
from django.utils.translation import gettext

from withdrawals import gateway
from withdrawals.actions import cancellations, refunds
from withdrawals.actions.audit import CLOCK, Fact, Origin, record_all
from withdrawals.actions.projection import facts_of, project_item, project_trade
from withdrawals.actions.rows import (
    append_rows,
    append_unless_there,
    new_row,
    read_locked,
    read_locked_among,
    write_columns,
)
from withdrawals.actions.sightings import note_error_key, note_sightings
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.assetpay.snapshots import TradeSnapshot
from withdrawals.models import Evidence, Item, Read, ReadState, Source, Trade
from withdrawals.models.refund_rules import needs_refund
from withdrawals.models.status import OPEN
from withdrawals.models.trade import WITHDRAW
from withdrawals.models.turns import Apart

log = logging.getLogger(__name__)


class CheckFailed(Exception):
    """AssetPay could not be asked, or does not know the trade; the sentence says which."""


@dataclass(frozen=True)
class Mirrored:
    """What one snapshot did: the trade (None where it is not ours to mirror), and each change in words."""

    trade: Trade | None
    changes: tuple[str, ...]


@dataclass(frozen=True)
class News:
    """One snapshot, how we know it, and who brought it."""

    snapshot: TradeSnapshot
    evidence: Evidence
    origin: Origin


def mirror_trade(snapshot: TradeSnapshot, *, evidence: Evidence, origin: Origin, now: datetime) -> Mirrored:
    """Merge one snapshot item by item, and let cancellations and refunds follow; one transaction, or the caller's.

    The rows end the same whatever the order of snapshots and however often each comes. Only withdrawals are mirrored.
    """
    (mirrored,) = mirror_trades([News(snapshot, evidence, origin)], now=now, waits=True)
    return mirrored


def mirror_trades(news: Sequence[News], *, now: datetime, waits: bool = False) -> list[Mirrored]:
    """The same for news of several trades, in statements that they share; all of it or nothing.

    It does not wait for whoever holds one of their trades, items, open cancellations or refunds: that raises, as two of
    one trade do, and the caller goes on with each by itself. (Only one may wait, since whoever waits holds no other.)
    """
    # Within the caller's transaction no savepoint of our own: nobody goes on after half a merge.
    with transaction.atomic(savepoint=False):
        merges = _merge([each for each in news if each.snapshot.type == WITHDRAW], now, waits)
        _note_seen_open(merges)
        _save(merges)
        changed = [merge for merge in merges if merge.changes_something]
        facts: dict[int | None, list[Fact]] = {merge.trade.pk: _facts(merge) for merge in changed}
        for fact in _follow(changed, now, waits):
            facts[fact.trade_id].append(fact)
        origins = [replace(merge.news.origin, cause=merge.news.evidence.cause) for merge in changed]
        record_all(zip(origins, facts.values(), strict=True), now=now)
    done = iter([Mirrored(each.trade, tuple(map(_in_words, facts.get(each.trade.pk, ())))) for each in merges])
    return [next(done) if each.snapshot.type == WITHDRAW else Mirrored(None, ()) for each in news]


@dataclass(frozen=True)
class _ItemChange:
    item: Item
    is_new: bool
    before: dict[str, object]


@dataclass(frozen=True)
class _Merge:
    """What one piece of news makes of its trade: the old values of the columns that changed, and the items' changes."""

    news: News
    trade: Trade
    is_new: bool
    items: dict[str, Item]
    before: dict[str, object]
    changed: list[_ItemChange]

    @property
    def changes_something(self) -> bool:
        return bool(self.is_new or self.before or self.changed)


def _merge(news: Sequence[News], now: datetime, waits: bool) -> list[_Merge]:
    """Each in memory, with its rows locked; a new trade is inserted already."""
    trades = _take_trades([each.snapshot for each in news], now, waits)
    # Nobody else has seen a new one, so it has no items yet.
    items = _items_of([trade for trade, is_new in trades if not is_new], waits)
    if not waits:
        cancellations.hold_open(item for own in items.values() for item in own.values())
    merges = []
    for each, (trade, is_new) in zip(news, trades, strict=True):
        before = {} if is_new else project_trade(trade, each.snapshot, is_new=False)
        trade.last_seen_at = now
        own = items.get(trade.pk, {})
        changed = _project_items(own, trade, each.snapshot, now)
        merges.append(_Merge(each, trade, is_new, own, before, changed))
    return merges


def _take_trades(snapshots: Sequence[TradeSnapshot], now: datetime, waits: bool) -> list[tuple[Trade, bool]]:
    """Each trade's row, locked, and whether it is new. Two first messages at once: the unique id decides."""
    # Without the key: an audit entry's reference to the trade, checked when its writer commits, must not wait for us
    # while we wait for the head of the chain.
    ids = [snapshot.id for snapshot in snapshots]
    if len(set(ids)) < len(ids):
        raise Apart("Two pieces of news are of one trade.")
    known = read_locked_among(Trade, "assetpay_id", ids, waits=waits)
    found = {trade.assetpay_id: (trade, False) for trade in known}
    new = {}
    # In one order, so that two who have the same new trades do not wait for each other.
    for snapshot in sorted(snapshots, key=attrgetter("id")):
        if snapshot.id not in found:
            fresh = {"opened_at": now, "first_seen_at": now, "last_seen_at": now}
            trade = new[snapshot.id] = new_row(Trade, assetpay_id=snapshot.id, type=snapshot.type, **fresh)
            project_trade(trade, snapshot, is_new=True)
    if new and append_unless_there(*new.values()):
        found |= {key: (trade, True) for key, trade in new.items()}
    elif new:
        if not waits:
            raise Apart("Somebody else brought one of these trades a moment ago.")
        found = {key: (read_locked(Trade, assetpay_id=key)[0], False) for key in ids}
    return [found[key] for key in ids]


def _items_of(trades: Sequence[Trade], waits: bool) -> dict[int, dict[str, Item]]:
    """The items of each trade by AssetPay's id, locked; by the key of the trade."""
    by_key = {trade.pk: trade for trade in trades}
    found: dict[int, dict[str, Item]] = {key: {} for key in by_key}
    for item in read_locked_among(Item, "trade", list(by_key), waits=waits):
        item.trade = by_key[item.trade_id]
        found[item.trade_id][item.assetpay_id] = item
    return found


def _project_items(items: dict[str, Item], trade: Trade, snapshot: TradeSnapshot, now: datetime) -> list[_ItemChange]:
    """Merge each item of the snapshot into `items`; one that the snapshot lacks stays as it was."""
    changes = []
    for position, part in enumerate(snapshot.items):
        item = items.get(part.id)
        is_new = item is None
        if item is None:
            item = items[part.id] = new_row(Item, trade_id=trade.pk, assetpay_id=part.id)
            item.trade = trade
        before = project_item(item, part, trade, snapshot, position=position, is_new=is_new)
        if "status" in before:
            item.status_changed_at = now
        if before or is_new:
            changes.append(_ItemChange(item, is_new, before))
    return changes


def _note_seen_open(merges: Iterable[_Merge]) -> None:
    """A read shows how things are; a delivery, how they were when it was signed or, earlier, last changed."""
    seen = []
    for merge in merges:
        snapshot, evidence = merge.news.snapshot, merge.news.evidence
        if evidence.read is not None:
            at = evidence.read.read_at
        elif evidence.delivery is not None and snapshot.updated_at is not None:
            at = min(evidence.delivery.signed_at, snapshot.updated_at)
        else:
            continue
        shown = {part.id for part in snapshot.items if (part.status or snapshot.status) in OPEN}
        items = merge.items.values()
        still_open = [item for item in items if item.pk and item.assetpay_id in shown and not item.has_ended]
        seen.append(cancellations.SeenOpen(still_open, at, evidence))
    cancellations.note_seen_open(seen)


def _save(merges: Sequence[_Merge]) -> None:
    """Write what changed, of a trade at least when it was last seen. A read is kept where it changed something."""
    known = [merge for merge in merges if not merge.is_new]
    columns = {name for merge in known for name in merge.before}
    for merge in merges:
        evidence = merge.news.evidence
        if merge.changes_something and evidence.read is not None and evidence.read._state.adding:
            evidence.read.trade = merge.trade
            evidence.read.save(force_insert=True)
    write_columns([merge.trade for merge in known], sorted({*columns, "last_seen_at"}))
    _save_items([(change, merge.news.evidence) for merge in merges for change in merge.changed])


def _save_items(changes: Sequence[tuple[_ItemChange, Evidence]]) -> None:
    for change, evidence in changes:
        if "status" in change.before:
            change.item.status_delivery = evidence.delivery
            change.item.status_read = evidence.read
    append_rows([change.item for change, _ in changes if change.is_new])
    known = [change for change, _ in changes if not change.is_new]
    columns = {name for change in known for name in change.before}
    if "status" in columns:
        columns |= {"status_changed_at", "status_delivery", "status_read"}
    write_columns([change.item for change in known], sorted(columns))


def _follow(merges: Sequence[_Merge], now: datetime, waits: bool) -> list[Fact]:
    """What becomes of cancellations and refunds."""
    items = [item for merge in merges for item in merge.items.values()]
    facts = cancellations.follow_items(items, now=now)
    for merge in merges:
        if not merge.is_new and {"auto_cancel_at", "opened_at"} & merge.before.keys():
            facts += cancellations.follow_times(merge.trade, merge.items.values(), now=now)
    undelivered = [item for item in items if needs_refund(item)]
    prefetch_related_objects(undelivered, "status_delivery", "status_read")
    return facts + refunds.follow_items(undelivered, now=now, waits=waits)


def _facts(merge: _Merge) -> list[Fact]:
    facts = []
    trade = merge.trade
    before, after = facts_of(merge.before, trade)
    if merge.is_new:
        facts.append(Fact("trade.appeared", trade=trade, after={"status": trade.status}))
    elif after:
        facts.append(Fact("trade.changed", trade=trade, before=before, after=after))
    for change in merge.changed:
        before, after = facts_of(change.before, change.item)
        if change.is_new:
            known = {name: value for name, value in after.items() if value not in (None, "")}
            facts.append(Fact("item.appeared", item=change.item, after=known))
        elif after:
            facts.append(Fact("item.changed", item=change.item, before=before, after=after))
    return facts


def _in_words(fact: Fact) -> str:
    about = fact.item.title if fact.item else "Trade"
    if fact.action.endswith(".appeared"):
        return f"{about}: new, {fact.after.get('status')}"
    moves = []
    for name, value in fact.after.items():
        if name in IN_WORDS:
            before = fact.before.get(name)
            moved = f"{value}" if before in (None, "") else f"{before} → {value}"
            moves.append(f"{IN_WORDS[name]}{moved}")
    return f"{about}: {', '.join(moves) or ', '.join(fact.after)}"


# The columns whose values speak for themselves in a list of changes, and how each is called; others are only named.
IN_WORDS = {
    "status": "",
    "cancellation": "cancellation ",
    "refund": "refund ",
    "reverted_by": "reverted by ",
    "price": "price ",
    "error": "error ",
}


def check_trade(*, trade_id: int, actor_origin: Origin, now: datetime) -> Mirrored:
    """Ask AssetPay for one trade now and merge its answer; the one call that a person waits for on purpose.

    Raises CheckFailed with a sentence, or Trade.DoesNotExist.
    """
    trade = Trade.objects.get(pk=trade_id)
    try:
        fetched = gateway.fetch_trade(trade, now=now)
    except (AssetPayError, gateway.CannotAsk) as error:
        note_error_key(error, now=now)
        raise CheckFailed(gettext("AssetPay could not be asked: {error}").format(error=error)) from error
    if fetched is None:
        raise CheckFailed(gettext("AssetPay does not know this trade. What is shown is the last that it told us."))
    return mirror_fetched(fetched, origin=actor_origin, now=now)


def mirror_fetched(fetched: gateway.Fetched, *, origin: Origin, now: datetime) -> Mirrored:
    """Merge what a read brought, with the read as its evidence."""
    read = Read(
        route=fetched.route,
        read_at=now,
        body_sha256=fetched.sha256,
        document=fetched.snapshot.document,
    )
    with transaction.atomic():
        mirrored = mirror_trade(fetched.snapshot, evidence=Evidence(read=read), origin=origin, now=now)
        if mirrored.trade is not None:
            Trade.objects.filter(pk=mirrored.trade.pk).update(checked_at=now, answered_at=now)
        # Behind the log's head, as where a callback brings them.
        note_sightings(fetched.snapshot.unknown, now=now)
    return mirrored


@task
def reconcile_trades() -> int:
    """Read back trades whose truth may still move; how many changed. Run twice, it reads twice.

    A failure is kept in the read state, where an alarm finds it, and tried again at the next ringing.
    """
    try:
        return reconcile(now=timezone.now())
    except (AssetPayError, gateway.CannotAsk) as error:
        log.warning("reading back failed: %s", error)
        return 0


def reconcile(*, now: datetime) -> int:
    """Read trades back, those read longest ago first, as many as this interval's share of the read limit allows.

    Returns how many changed. A missing trade is merely missing; one that cannot be mirrored is noted in the read state
    and keeps no other from being followed. Raises AssetPayError or CannotAsk after noting it.
    """
    calls = max(1, settings.READS_PER_MINUTE * settings.RECONCILE_SECONDS // 60)
    wanted = list(Trade.objects.worth_reading(now)[: calls * gateway.trades_per_read()])
    origin, changed, unfit = Origin(Source.READ, name=CLOCK), 0, 0
    try:
        for batch in batched(wanted, gateway.trades_per_read()):
            # Marked first: a batch that fails goes to the end of the line instead of holding up the others.
            Trade.objects.filter(pk__in=[trade.pk for trade in batch]).update(checked_at=now)
            back = gateway.fetch_back(batch, now=now)
            for fetched in back.fetched:
                try:
                    changed += bool(mirror_fetched(fetched, origin=origin, now=now).changes)
                except Exception:
                    # Those read together come together again, so what stood behind this one would never be followed.
                    log.exception("a trade that was read back could not be mirrored")
                    unfit += 1
            for no in back.refused:
                note_error_key(no, now=now)
    except (AssetPayError, gateway.CannotAsk) as error:
        note_error_key(error, now=now)
        ReadState.objects.update_or_create(pk=1, defaults={"failed_at": now, "failure": str(error)[:300]})
        raise
    if unfit:
        failure = f"{unfit} of the trades that were read could not be mirrored; the log of the worker says why."
        ReadState.objects.update_or_create(pk=1, defaults={"failed_at": now, "failure": failure})
    else:
        ReadState.objects.update_or_create(pk=1, defaults={"succeeded_at": now})
    return changed


def import_trades(refs: Sequence[str], *, origin: Origin, now: datetime) -> list[Mirrored]:
    """Bring trades in by AssetPay id or external id; those that AssetPay does not know are left out.

    Raises AssetPayError or CannotAsk; what came before stays.
    """
    mirrored = []
    for batch in batched(refs, gateway.REFS_PER_READ):
        try:
            found = gateway.fetch_trades(batch)
        except AssetPayError as error:
            note_error_key(error, now=now)
            raise
        mirrored += [mirror_fetched(fetched, origin=origin, now=now) for fetched in found]
    return mirrored
