"""Sending cancellations to AssetPay: claim, call, record. Two short transactions, and no network inside either."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import structlog
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.tasks import task
from django.utils import timezone

from withdrawals import gateway
from withdrawals.actions.audit import Fact, Value, record
from withdrawals.actions.claiming import Claim, claim_next
from withdrawals.actions.judgement import (
    TOO_SOON,
    TOO_SOON_PAUSES,
    Change,
    Judgement,
    judge_answer,
    judge_lost_worker,
)
from withdrawals.actions.rows import read_locked
from withdrawals.actions.sightings import note_error_key, note_sightings
from withdrawals.actions.taking_back import wind_up_batches, wind_up_closed_accounts
from withdrawals.assetpay.cancels import CANCELLED, TradeCancelAnswer, same_id
from withdrawals.assetpay.errors import AssetPayError, NotSent, OutcomeUnknown
from withdrawals.gateway import CancelAnswer
from withdrawals.models import Attempt, Cancellation, CancellationState, Lane, SendBudget, SendPermit
from withdrawals.models.cancellation import FRESH_LOOK
from withdrawals.models.item import cancel_window
from withdrawals.models.prepared import found_models, rows_of
from withdrawals.models.send_permit import GREATEST_MARGIN, MARGIN_KEPT, WINDOW

log = logging.getLogger(__name__)

RECORD_TRIES = 4
# Before another try, growing: a database that restarts refuses at once, while one that is busy has kept us waiting.
RECORD_PAUSE = timedelta(milliseconds=500)
# A worker is lent to the sender for so long at a stretch: reading back and watching need it too.
DRAIN_FOR = timedelta(seconds=10)
# What comes free later is found by the clock.
WAKE_UP_WITHIN = timedelta(seconds=10)

# Believed also when they come late, after which nothing is sent again: a yes, a no, and a clear "something broke".
LAST_WORDS = (CancellationState.ACCEPTED, CancellationState.REFUSED, CancellationState.UNCERTAIN)

Answer = CancelAnswer | TradeCancelAnswer | Exception


@task
def drain_cancellations() -> int:
    """Send everything that is due and permitted; how many were sent. Run twice, it finds nothing to do."""
    return drain(clock=timezone.now)


def drain(*, clock: Callable[[], datetime]) -> int:
    """As `drain_cancellations`, on the caller's clock.

    It lets go of its worker after a while, since others wait for it, and orders a wake-up for what it leaves behind.
    """
    started_at = clock()
    settle_abandoned(now=started_at)
    wind_up_closed_accounts(now=started_at)
    sent = 0
    while send_next(clock=clock):
        sent += 1
        if clock() - started_at > DRAIN_FOR:
            break
    now = clock()
    wind_up_batches(now=now)
    order_wake_up(now=now)
    return sent


def order_wake_up(*, now: datetime) -> bool:
    """Order one wake-up for the moment at which a permit comes free for what waits; whether one was ordered.

    The clock rings every two seconds anyway; this is for a batch to fill its share. The moment is kept in the send
    budget, so that many who leave work behind order one wake-up.
    """
    with transaction.atomic():
        (budget,) = read_locked(SendBudget, id=1)
        soon = now + WAKE_UP_WITHIN
        moments = []
        for lane in Lane:
            for (send_from,) in rows_of(_due_soon, lane, soon=soon, fresh_since=soon - FRESH_LOOK):
                moments.append(max(send_from, budget.free_at(now, lane), now))
        at = min(moments, default=None)
        if at is None or at > now + WAKE_UP_WITHIN:
            return False
        if budget.wake_up_at is not None and now <= budget.wake_up_at <= at:
            return False
        budget.wake_up_at = at
        budget.save(update_fields=["wake_up_at"])
        drain_cancellations.using(run_after=at).enqueue()
    return True


def _due_soon(lane: Lane, soon: datetime, fresh_since: datetime) -> QuerySet[Cancellation, Any]:
    """When the first of those of this lane may leave."""
    return Cancellation.objects.due(soon, fresh_since=fresh_since).filter(lane=lane).values_list("send_from")[:1]


def send_next(*, clock: Callable[[], datetime]) -> bool:
    """Claim, call and record one cancellation; False where none is due or no permit is free."""
    claim = claim_next(now=clock())
    if claim is None:
        return False
    with structlog.contextvars.bound_contextvars(cancellation=claim.cancellation.pk, attempt=claim.attempt.pk):
        answer = _ask(claim, now=clock())
        log.info("AssetPay was asked: %s", type(answer).__name__)
        _record_surely(claim, answer, clock=clock)
    return True


def _record_surely(claim: Claim, answer: Answer, *, clock: Callable[[], datetime]) -> None:
    """Record the answer, again where the database was busy: a lost record would make a known answer unknown.

    The claim's fencing token makes a second record harmless.
    """
    for tries_left in reversed(range(RECORD_TRIES)):
        try:
            record_answer(claim, answer, now=clock())
        except OperationalError:
            if not tries_left:
                raise
            log.warning("the answer to attempt %s is recorded again", claim.attempt.pk, exc_info=True)
            time.sleep((RECORD_PAUSE * (RECORD_TRIES - tries_left)).total_seconds())
        else:
            return


def _ask(claim: Claim, *, now: datetime) -> Answer:
    item, request_id, lease_until = claim.cancellation.item, claim.attempt.request_id, claim.cancellation.lease_until
    if lease_until is None or now >= lease_until:
        # The machine stood still since the claim: another worker may have asked again and been answered.
        return NotSent("the claim was too old")
    try:
        if claim.others:
            return gateway.cancel_trade(item.trade, request_id=request_id, now=now)
        return gateway.cancel_item(item, request_id=request_id, now=now)
    except (AssetPayError, gateway.CannotAsk) as error:
        return error
    except Exception as error:
        # Whatever else goes wrong here, it may have gone wrong after the request left.
        log.exception("cancel call failed in an unforeseen way")
        return OutcomeUnknown(
            reason=type(error).__name__,
            http_status=None,
            request_id=str(claim.attempt.request_id),
            lost_answer=False,
        )


def record_answer(claim: Claim, answer: Answer, *, now: datetime) -> bool:
    """Write what the call came to; False where the claim was lost meanwhile: then only the attempt learns of it.

    A callback may have ended the cancellation before the answer came; the answer then changes nothing. The answer to
    a call for a whole trade is read item by item.
    """
    with transaction.atomic():
        SendPermit.objects.filter(attempt=claim.attempt).update(counts_until=now + WINDOW)
        facts, moved = [], True
        for part in sorted(claim.all, key=lambda part: part.cancellation.pk):
            said = (
                answer.of_item(part.cancellation.item.assetpay_id) if isinstance(answer, TradeCancelAnswer) else answer
            )
            judgement = judge_answer(part.cancellation, said, now=now)
            _pause(judgement)
            if judgement.key == TOO_SOON:
                _learn_margin(part, now=now)
            has_moved, fact = _conclude(part.cancellation, part.attempt, judgement, now=now)
            facts.append(fact)
            moved = moved and has_moved
        if isinstance(answer, TradeCancelAnswer):
            _note_strangers(claim, answer, now=now)
        if isinstance(answer, Exception):
            note_error_key(answer, now=now)
        record(facts, origin=claim.origin, now=now)
    return moved


def _pause(judgement: Judgement) -> None:
    if judgement.pause_until is not None:
        # Only ever later: a short wait does not shorten a long one.
        shorter = Q(paused_until=None) | Q(paused_until__lt=judgement.pause_until)
        SendBudget.objects.filter(shorter, pk=1).update(
            paused_until=judgement.pause_until, paused_because=judgement.key or "RATE_LIMITED"
        )


def _learn_margin(part: Claim, *, now: datetime) -> None:
    """Keep for all items how much later than reckoned AssetPay's window opened; what is absurd teaches nothing."""
    opens_at = part.cancellation.item.opened_at + cancel_window()
    needed = part.attempt.started_at - opens_at + TOO_SOON_PAUSES[0]
    if timedelta() < needed <= GREATEST_MARGIN:
        seconds = ceil(needed.total_seconds())
        outdated = Q(margin_learned_at=None) | Q(margin_learned_at__lt=now - MARGIN_KEPT)
        SendBudget.objects.filter(outdated | Q(margin_seconds__lt=seconds), pk=1).update(
            margin_seconds=seconds, margin_learned_at=now
        )


def _note_strangers(claim: Claim, answer: TradeCancelAnswer, *, now: datetime) -> None:
    """AssetPay named an item that we did not ask for: our mirror lacked it. Counted, so that somebody looks."""
    asked = [part.cancellation.item.assetpay_id for part in claim.all]
    strangers = [item for item in answer.items if not any(same_id(item.item_id, one) for one in asked)]
    if any(item.status == CANCELLED for item in strangers):
        log.error("trade cancel %s took in an item that the desk did not know", claim.attempt.request_id)
        note_sightings(["trade_cancel.item_not_asked_for"], now=now)


def settle_abandoned(*, now: datetime) -> int:
    """Turn what a dead worker left behind into "outcome unknown"; how many there were.

    Its request may have left or not, so it is treated as a lost answer. A worker that is merely slow and records its
    answer first is left alone.
    """
    settled = 0
    for cancellation in found_models(_abandoned, now=now).models():
        attempt = cancellation.attempts.get(number=cancellation.claim)
        judgement = judge_lost_worker(cancellation, now=now)
        with transaction.atomic():
            if _move(cancellation, attempt, judgement, now=now):
                _note_attempt(attempt, judgement, now=now)
                fact = _fact(cancellation, judgement)
                record([fact], origin=Claim(cancellation, attempt).origin, now=now)
                settled += 1
    return settled


def _abandoned(now: datetime) -> QuerySet[Cancellation]:
    return Cancellation.objects.abandoned(now).select_related("item__trade")


def _conclude(
    cancellation: Cancellation, attempt: Attempt, judgement: Judgement, *, now: datetime
) -> tuple[bool, Fact]:
    out_of = CancellationState.SENDING
    moved = _move(cancellation, attempt, judgement, now=now)
    if not moved and judgement.state in LAST_WORDS and not judgement.changes.get("may_resend"):
        # The answer was taken for lost and now came after all: it is known, and nothing need be sent again.
        out_of = CancellationState.UNCERTAIN
        moved = _move(cancellation, attempt, judgement, now=now, out_of=out_of)
    _note_attempt(attempt, judgement, now=now)
    # What was unknown and stays so is no change; that an answer came is told.
    came_late = not moved or judgement.state == out_of
    return moved, _fact(cancellation, judgement, out_of=out_of, came_late=came_late)


def _move(
    cancellation: Cancellation,
    attempt: Attempt,
    judgement: Judgement,
    *,
    now: datetime,
    out_of: CancellationState = CancellationState.SENDING,
) -> bool:
    row = Cancellation.objects.filter(pk=cancellation.pk, state=out_of)
    plain: dict[str, Change] = {"may_resend": False, "waits_for": "", "needs_person": ""}
    changes = plain | judgement.changes
    return row.move(
        to=judgement.state,
        held_under=attempt.number,
        now=now,
        lease_until=None,
        answer_key=judgement.key,
        answer_message=judgement.message,
        answer_request_id=judgement.request_id,
        **changes,
    )


def _note_attempt(attempt: Attempt, judgement: Judgement, *, now: datetime) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        outcome=judgement.outcome,
        answered_at=now,
        http_status=judgement.http_status,
        key=judgement.key,
        code=judgement.code,
        message=judgement.message,
        answer_request_id=judgement.request_id,
    )


def _fact(
    cancellation: Cancellation,
    judgement: Judgement,
    *,
    out_of: CancellationState = CancellationState.SENDING,
    came_late: bool = False,
) -> Fact:
    after: dict[str, Value] = {
        "answer": str(judgement.outcome),
        "key": judgement.key,
        "message": judgement.message[:500],
    }
    if came_late:
        return Fact("cancellation.answered_late", item=cancellation.item, after=after, reason=judgement.reason)
    before = {"cancellation": str(out_of)}
    after["cancellation"] = str(judgement.state)
    if needs_person := judgement.changes.get("needs_person"):
        after["needs_person"] = str(needs_person)
    # Back where it was sent from: nobody has asked for it anew.
    is_postponed = judgement.state in (CancellationState.REQUESTED, CancellationState.SCHEDULED)
    verb = "cancellation.postponed" if is_postponed else f"cancellation.{judgement.state}"
    return Fact(verb, item=cancellation.item, before=before, after=after, reason=judgement.reason)
