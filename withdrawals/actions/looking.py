"""Looking at AssetPay: before an armed cancellation fires, and while nobody knows what became of one."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.tasks import task
from django.utils import timezone
from django.utils.translation import gettext_noop

from withdrawals import gateway
from withdrawals.actions.audit import CLOCK, Fact, Origin, Value, record
from withdrawals.actions.cancellations import armed_for
from withdrawals.actions.judgement import READ_PAUSES
from withdrawals.actions.sending import drain_cancellations
from withdrawals.actions.sightings import note_error_key
from withdrawals.actions.taking_back import take_back
from withdrawals.actions.trades import mirror_fetched
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.models import Cancellation, CancellationState, Item, Lane, Rule, SendBudget, Source, Trade
from withdrawals.models.cancellation import FRESH_LOOK, NOT_HELD, OFFERED
from withdrawals.models.prepared import found_models, rows_of
from withdrawals.models.send_permit import share_of
from withdrawals.models.words import as_kept

log = logging.getLogger(__name__)

# How often the clock rings; each ringing reads no more than its share of the read limit.
LOOK_SECONDS = 5
ORIGIN = Origin(Source.READ, name=CLOCK)


@task
def look_at_assetpay() -> int:
    """Release what is armed and due, and look after what is unknown; how many were released."""
    now = timezone.now()
    released = release_armed(now=now)
    look_after_unknown(now=now)
    return released


def release_armed(*, now: datetime) -> int:
    """Let each armed cancellation whose moment has come be sent, after a fresh look at its trade; how many were.

    What ended meanwhile has been ended by the look itself; what moved on is disarmed with its reason. Without a look
    nothing fires: it is looked again after growing pauses. Run twice, or by two at once, it releases each once.
    """
    _arm_again(now=now)
    due = rows_of(_to_release, _trades_per_ringing() * 10, now=now)
    per_trade: dict[int, list[int]] = {}
    room = _room(due[0][2]) if due else 0
    for taken, (pk, trade_id, _) in enumerate(due):
        # A trade that was begun is released whole: a batch may ask for it in one call.
        if taken < room or trade_id in per_trade:
            per_trade.setdefault(trade_id, []).append(pk)
    trade_ids = list(per_trade)[: _trades_per_ringing()]
    released = 0
    for some in batched(trade_ids, gateway.trades_per_read()):
        seen, failure = _look(some, now=now)
        for trade_id in some:
            if trade_id not in seen:
                _look_again_later(per_trade[trade_id], failure, now=now)
                continue
            try:
                released += _release_trade(trade_id, per_trade[trade_id], shown=seen[trade_id], now=now)
            except Exception:
                # One poisonous trade must not keep the others from being released.
                log.exception("the armed items of trade %s could not be released", trade_id)
                _look_again_later(per_trade[trade_id], "This could not be released", now=now)
    if released:
        drain_cancellations.enqueue()
    return released


def _to_release(most: int, now: datetime) -> QuerySet[Cancellation, Any]:
    return Cancellation.objects.to_release(now).values_list("pk", "item__trade", "send_from")[:most]


def _room(first_from: datetime) -> int:
    """How many more may be released: what leaves while its look is fresh; the rest would be looked at over and over.

    Before it leave those that were released already, and whatever else of their lane has waited for longer than the
    first of them, whose moment was `first_from`.
    """
    waiting = Cancellation.objects.waiting().filter(NOT_HELD, lane=Lane.BATCH)
    before = waiting.filter(~Q(armed_status="") | Q(send_from__lte=first_from))
    minutes = int(FRESH_LOOK.total_seconds() / 60)
    return max(0, share_of(Lane.BATCH) * minutes - before.count())


def _arm_again(*, now: datetime) -> None:
    """Take back the release of what could not leave while its look was fresh: a limit, a pause, a batch that stood."""
    for cancellation in found_models(_to_arm_again, fresh_since=now - FRESH_LOOK).models():
        with transaction.atomic():
            # The very release that was found: a worker may have taken it, or have put it off, meanwhile.
            row = Cancellation.objects.filter(pk=cancellation.pk, state=CancellationState.REQUESTED)
            row = row.filter(changed_at=cancellation.changed_at, needs_person="")
            waits_for = gettext_noop("It could not leave while AssetPay's word was fresh; looked at once more.")
            plain = {"waits_for": waits_for, "read_from": None, "read_count": 0}
            if row.move(to=CancellationState.SCHEDULED, now=now, held_under=cancellation.claim, **plain):
                before: dict[str, Value] = {"cancellation": str(CancellationState.REQUESTED)}
                after: dict[str, Value] = {"cancellation": str(CancellationState.SCHEDULED)}
                fact = Fact("cancellation.rearmed", item=cancellation.item, before=before, after=after)
                record([fact], origin=ORIGIN, now=now)


def _to_arm_again(fresh_since: datetime) -> QuerySet[Cancellation]:
    return Cancellation.objects.to_arm_again(fresh_since).select_related("item__trade")


def look_after_unknown(*, now: datetime) -> int:
    """Read the trades of cancellations of unknown outcome whose next look is due; how many were read.

    The pauses grow. A look that shows the end settles it by the mirror; else a person may, on what was seen.
    """
    due = list(Cancellation.objects.to_read(now).select_related("item")[: _trades_per_ringing()])
    for cancellation in due:
        # Marked first: one that cannot be read goes on by growing pauses too, and holds up no other.
        pause = READ_PAUSES[min(cancellation.read_count + 1, len(READ_PAUSES) - 1)]
        row = Cancellation.objects.filter(pk=cancellation.pk, state=CancellationState.UNCERTAIN)
        row.update(read_from=now + pause, read_count=min(cancellation.read_count + 1, 1_000))
    read = 0
    trade_ids = list(dict.fromkeys(cancellation.item.trade_id for cancellation in due))
    for some in batched(trade_ids, gateway.trades_per_read()):
        read += len(_look(some, now=now)[0])
    return read


def _trades_per_ringing() -> int:
    calls = max(1, settings.READS_PER_MINUTE * LOOK_SECONDS // 60 // 2)
    return calls * gateway.trades_per_read()


def _look(trade_ids: Sequence[int], *, now: datetime) -> tuple[dict[int, set[str]], str]:
    """Read and mirror these trades: the item ids that AssetPay showed of each, and why the others are missing."""
    trades = list(Trade.objects.filter(pk__in=trade_ids))
    try:
        found = gateway.fetch_back(trades, now=now)
    except (AssetPayError, gateway.CannotAsk) as error:
        note_error_key(error, now=now)
        log.warning("looking before acting failed: %s", error)
        return {}, f"AssetPay could not be asked ({error})"
    except Exception:
        # Whatever it is, those after these must get their look.
        log.exception("looking before acting failed in an unforeseen way")
        return {}, "AssetPay could not be asked"
    for no in found.refused:
        note_error_key(no, now=now)
    seen = {}
    for fetched in found.fetched:
        try:
            mirrored = mirror_fetched(fetched, origin=ORIGIN, now=now)
        except Exception:
            # One poisonous document must not keep the others from being looked at.
            log.exception("a trade that was read could not be mirrored")
            continue
        if mirrored.trade is not None:
            seen[mirrored.trade.pk] = {part.id for part in fetched.snapshot.items}
    return seen, "AssetPay did not show this trade"


def _release_trade(trade_id: int, cancellation_ids: Iterable[int], *, shown: set[str], now: datetime) -> int:
    """Decide on the armed ones of one trade together, so that a batch may ask for the trade as a whole."""
    unseen, facts, released = [], [], 0
    with transaction.atomic():
        Trade.objects.select_for_update(no_key=True).get(pk=trade_id)
        due = Cancellation.objects.to_release(now).filter(pk__in=cancellation_ids).select_related("item__trade")
        margin = SendBudget.objects.get(pk=1).margin(now)
        for cancellation in due.order_by("pk"):
            if cancellation.item.assetpay_id not in shown:
                unseen.append(cancellation.pk)
                continue
            fact = _decide(cancellation, margin, now)
            if fact is not None:
                facts.append(fact)
                released += fact.action == "cancellation.released"
        record(facts, origin=ORIGIN, now=now)
    _look_again_later(unseen, "AssetPay did not show this item", now=now)
    return released


def _decide(cancellation: Cancellation, margin: timedelta, now: datetime) -> Fact | None:
    item = cancellation.item
    because = disarmed_because(cancellation, now)
    if because:
        return take_back(cancellation, because=because, now=now)
    armed = Cancellation.objects.armed().filter(pk=cancellation.pk)
    plain = {"read_from": None, "read_count": 0}
    fires_at = item.fires_at(margin)
    if cancellation.too_soon_count == 0 and fires_at > now:
        # The look told another age or another auto-cancel.
        moved = armed.move(
            to=CancellationState.SCHEDULED, now=now, send_from=fires_at, waits_for=armed_for(item, fires_at), **plain
        )
        verb, after = "cancellation.rescheduled", {"send_from": fires_at.isoformat()}
    else:
        # Its moment stays, and with it its place among those that wait, however often it is looked at.
        moved = armed.move(to=CancellationState.REQUESTED, now=now, waits_for="", **plain)
        verb, after = "cancellation.released", {"cancellation": str(CancellationState.REQUESTED)}
    before = {"cancellation": str(CancellationState.SCHEDULED)}
    return Fact(verb, item=item, before=before, after=after) if moved else None


def disarmed_because(cancellation: Cancellation, now: datetime) -> str:
    """Why an armed cancellation (its item fresh) must not fire, in a sentence; empty where it may."""
    item: Item = cancellation.item
    if item.status in OFFERED and cancellation.armed_status not in OFFERED:
        return gettext_noop(
            "Disarmed: the offer went out to the customer since this was armed. It can still be cancelled by hand."
        )
    with as_kept():
        refusal = item.cancel_refusal(now)
    if refusal is None or refusal.rule == Rule.OLD_ENOUGH:
        return ""
    return f"Disarmed: {refusal.sentence}"


def _look_again_later(cancellation_ids: Sequence[int], failure: str, *, now: datetime) -> None:
    for cancellation in Cancellation.objects.armed().filter(pk__in=cancellation_ids):
        at = now + READ_PAUSES[min(cancellation.read_count, len(READ_PAUSES) - 1)]
        Cancellation.objects.armed().filter(pk=cancellation.pk).update(
            read_from=at,
            read_count=min(cancellation.read_count + 1, 1_000),
            waits_for=f"{failure[:150]}, and nothing is sent on a stale look. Looked again at {at:%H:%M:%S} UTC.",
        )
