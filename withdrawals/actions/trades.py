"""The mirror: what AssetPay says of a trade becomes rows here. Callback, read and replay come through one corridor."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.tasks import task
from django.utils import timezone
from django.utils.translation import gettext

from withdrawals import gateway
from withdrawals.actions import cancellations, refunds
from withdrawals.actions.audit import CLOCK, Fact, Origin, record
from withdrawals.actions.projection import facts_of, project_item, project_trade
from withdrawals.actions.rows import append_rows, append_unless_there, new_row, read_locked, write_columns
from withdrawals.actions.sightings import note_error_key, note_sightings
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.assetpay.snapshots import TradeSnapshot
from withdrawals.models import Evidence, Item, Read, ReadState, Source, Trade
from withdrawals.models.refund_rules import needs_refund
from withdrawals.models.status import OPEN
from withdrawals.models.trade import WITHDRAW

log = logging.getLogger(__name__)


class CheckFailed(Exception):
    """AssetPay could not be asked, or does not know the trade; the sentence says which."""


@dataclass(frozen=True)
class Mirrored:
    """What one snapshot did: the trade (None where it is not ours to mirror), and each change in words."""

    trade: Trade | None
    changes: tuple[str, ...]


def mirror_trade(snapshot: TradeSnapshot, *, evidence: Evidence, origin: Origin, now: datetime) -> Mirrored:
    """Merge one snapshot item by item, and let cancellations and refunds follow; one transaction, or the caller's.

    The rows end the same whatever the order of snapshots and however often each comes. Only withdrawals are mirrored.
    """
    if snapshot.type != WITHDRAW:
        return Mirrored(None, ())
    # Within the caller's transaction no savepoint of our own: nobody goes on after half a merge.
    with transaction.atomic(savepoint=False):
        trade, is_new = _take_trade(snapshot, now)
        # Nobody else has seen a new one, so it has no items yet.
        before = {} if is_new else project_trade(trade, snapshot, is_new=False)
        items = {} if is_new else {item.assetpay_id: item for item in _items_of(trade)}
        changed = _project_items(items, trade, snapshot, now)
        trade.last_seen_at = now
        _note_seen_open(items, snapshot, evidence)
        if is_new or before or changed:
            evidence = _keep(evidence, trade)
            _save(trade, before, changed, evidence, is_new=is_new)
            facts = _facts(trade, is_new, before, changed)
            facts += cancellations.follow_items(items.values(), now=now)
            if not is_new and {"auto_cancel_at", "opened_at"} & before.keys():
                facts += cancellations.follow_times(trade, items.values(), now=now)
            undelivered = [item for item in items.values() if needs_refund(item)]
            prefetch_related_objects(undelivered, "status_delivery", "status_read")
            facts += refunds.follow_items(undelivered, now=now)
            record(facts, origin=replace(origin, cause=evidence.cause), now=now)
        else:
            facts = []
            write_columns([trade], ["last_seen_at"])
    return Mirrored(trade, tuple(_in_words(fact) for fact in facts))


def _note_seen_open(items: dict[str, Item], snapshot: TradeSnapshot, evidence: Evidence) -> None:
    """A read shows how things are; a delivery, how they were when it was signed or, earlier, last changed."""
    if evidence.read is not None:
        at = evidence.read.read_at
    elif evidence.delivery is not None and snapshot.updated_at is not None:
        at = min(evidence.delivery.signed_at, snapshot.updated_at)
    else:
        return
    shown = {part.id for part in snapshot.items if (part.status or snapshot.status) in OPEN}
    still_open = [item for item in items.values() if item.pk and item.assetpay_id in shown and not item.has_ended]
    if still_open:
        cancellations.note_seen_open(still_open, at=at, evidence=evidence)


@dataclass(frozen=True)
class _ItemChange:
    item: Item
    is_new: bool
    before: dict[str, object]


def _take_trade(snapshot: TradeSnapshot, now: datetime) -> tuple[Trade, bool]:
    """The trade's row, locked, and whether it is new. Two first messages at once: the unique id decides."""
    # Without the key: an audit entry's reference to the trade, checked when its writer commits, must not wait for us
    # while we wait for the head of the chain.
    for trade in read_locked(Trade, assetpay_id=snapshot.id):
        return trade, False
    fresh = {"opened_at": now, "first_seen_at": now, "last_seen_at": now}
    trade = new_row(Trade, assetpay_id=snapshot.id, type=snapshot.type, **fresh)
    project_trade(trade, snapshot, is_new=True)
    if append_unless_there(trade):
        return trade, True
    return read_locked(Trade, assetpay_id=snapshot.id)[0], False


def _items_of(trade: Trade) -> list[Item]:
    items = read_locked(Item, trade=trade.pk)
    for item in items:
        item.trade = trade
    return items


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


def _keep(evidence: Evidence, trade: Trade) -> Evidence:
    """A read is kept where it changed something; a delivery is kept already."""
    if evidence.read is not None and evidence.read._state.adding:
        evidence.read.trade = trade
        evidence.read.save(force_insert=True)
    return evidence


def _save(
    trade: Trade, before: dict[str, object], changed: list[_ItemChange], evidence: Evidence, *, is_new: bool
) -> None:
    if not is_new:
        write_columns([trade], [*before, "last_seen_at"])
    for change in changed:
        if "status" in change.before:
            change.item.status_delivery = evidence.delivery
            change.item.status_read = evidence.read
    append_rows([change.item for change in changed if change.is_new])
    known = [change for change in changed if not change.is_new]
    columns = {name for change in known for name in change.before}
    if "status" in columns:
        columns |= {"status_changed_at", "status_delivery", "status_read"}
    write_columns([change.item for change in known], sorted(columns))


def _facts(
    trade: Trade,
    is_new: bool,
    trade_before: dict[str, object],
    changed: list[_ItemChange],
) -> list[Fact]:
    facts = []
    before, after = facts_of(trade_before, trade)
    if is_new:
        facts.append(Fact("trade.appeared", trade=trade, after={"status": trade.status}))
    elif after:
        facts.append(Fact("trade.changed", trade=trade, before=before, after=after))
    for change in changed:
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
