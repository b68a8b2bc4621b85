"""Sending cancellations to AssetPay: claim, call, record. Two short transactions, and no network inside either."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import OperationalError, transaction
from django.db.models import Q
from django.tasks import task
from django.utils import timezone

from withdrawals import gateway
from withdrawals.actions.audit import WORKER, Fact, Origin, Value, record
from withdrawals.actions.judgement import Change, Judgement, judge_answer, judge_lost_worker
from withdrawals.actions.sightings import note_sightings
from withdrawals.assetpay.errors import AssetPayError, OutcomeUnknown
from withdrawals.gateway import CancelAnswer
from withdrawals.models import Attempt, Cancellation, CancellationState, SendBudget, SendPermit, Source
from withdrawals.models.answers import SENTENCES
from withdrawals.models.cancellation import sending_lease
from withdrawals.models.send_permit import WINDOW

log = logging.getLogger(__name__)

RECORD_TRIES = 4


@dataclass(frozen=True)
class Claim:
    """One cancellation in one worker's hands, and the sending that is about to leave under this claim."""

    cancellation: Cancellation
    attempt: Attempt

    @property
    def origin(self) -> Origin:
        """How the audit log names this sending."""
        return Origin(
            Source.WORKER,
            name=WORKER,
            cause=f"attempt:{self.attempt.pk}",
            request_id=str(self.attempt.request_id),
        )


@task
def drain_cancellations() -> int:
    """Send everything that is due and permitted; how many were sent. Run twice, it finds nothing to do."""
    return drain(clock=timezone.now)


def drain(*, clock: Callable[[], datetime]) -> int:
    """As `drain_cancellations`, on the caller's clock."""
    settle_abandoned(now=clock())
    sent = 0
    while send_next(clock=clock):
        sent += 1
    return sent


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


def _record_surely(claim: Claim, answer: CancelAnswer | Exception, *, clock: Callable[[], datetime]) -> None:
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
        else:
            return


def claim_next(*, now: datetime) -> Claim | None:
    """Take the oldest due cancellation together with a send permit, and commit the intent before anything leaves."""
    with transaction.atomic():
        budget = SendBudget.objects.select_for_update().get(pk=1)
        if budget.free_at(now) > now:
            return None
        due = Cancellation.objects.due(now).select_related("item__trade", "requested_by")
        cancellation = due.select_for_update(of=("self",), no_key=True, skip_locked=True).first()
        if cancellation is None:
            return None
        number = cancellation.claim + 1
        attempt = Attempt.objects.create(
            cancellation=cancellation, number=number, request_id=uuid.uuid4(), started_at=now
        )
        SendPermit.objects.create(attempt=attempt, reserved_at=now, counts_until=SendPermit.latest_end(now))
        resends = cancellation.state == CancellationState.UNCERTAIN
        row = Cancellation.objects.filter(pk=cancellation.pk, state=cancellation.state)
        moved = row.move(
            to=CancellationState.SENDING,
            held_under=cancellation.claim,
            now=now,
            claim=number,
            lease_until=now + sending_lease(),
            may_resend=False,
            was_resent=resends,
            waits_for="",
        )
        if not moved:
            transaction.set_rollback(True)
            return None
        claim = Claim(cancellation, attempt)
        before = {"cancellation": str(cancellation.state)}
        after: dict[str, Value] = {"cancellation": str(CancellationState.SENDING), "attempt": number}
        fact = Fact("cancellation.sending", item=cancellation.item, before=before, after=after)
        record([fact], origin=claim.origin, now=now)
    cancellation.refresh_from_db(fields=["state", "claim", "was_resent", "may_resend"])
    return claim


def _ask(claim: Claim, *, now: datetime) -> CancelAnswer | Exception:
    try:
        return gateway.cancel_item(claim.cancellation.item, request_id=claim.attempt.request_id, now=now)
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


def record_answer(claim: Claim, answer: CancelAnswer | Exception, *, now: datetime) -> bool:
    """Write what the call came to; False where the claim was lost meanwhile: then only the attempt learns of it.

    A callback may have ended the cancellation before the answer came; the answer then changes nothing.
    """
    with transaction.atomic():
        judgement = judge_answer(claim.cancellation, answer, now=now)
        SendPermit.objects.filter(attempt=claim.attempt).update(counts_until=now + WINDOW)
        if judgement.pause_until is not None:
            # Only ever later: a short wait does not shorten a long one.
            shorter = Q(paused_until=None) | Q(paused_until__lt=judgement.pause_until)
            SendBudget.objects.filter(shorter, pk=1).update(
                paused_until=judgement.pause_until, paused_because=judgement.key or "RATE_LIMITED"
            )
        return _conclude(claim.cancellation, claim.attempt, judgement, origin=claim.origin, now=now)


def settle_abandoned(*, now: datetime) -> int:
    """Turn what a dead worker left behind into "outcome unknown"; how many there were.

    Its request may have left or not, so it is treated as a lost answer. A worker that is merely slow and records its
    answer first is left alone.
    """
    settled = 0
    for cancellation in Cancellation.objects.abandoned(now).select_related("item__trade"):
        attempt = cancellation.attempts.get(number=cancellation.claim)
        judgement = judge_lost_worker(cancellation, now=now)
        with transaction.atomic():
            if _move(cancellation, attempt, judgement, now=now):
                _note_attempt(attempt, judgement, now=now)
                _note_fact(cancellation, judgement, origin=Claim(cancellation, attempt).origin, now=now)
                settled += 1
    return settled


def _conclude(
    cancellation: Cancellation, attempt: Attempt, judgement: Judgement, *, origin: Origin, now: datetime
) -> bool:
    moved = _move(cancellation, attempt, judgement, now=now)
    if not moved and judgement.state == CancellationState.ACCEPTED:
        # The answer was taken for lost and now came after all: it is known, and nothing need be sent again.
        moved = _move(cancellation, attempt, judgement, now=now, out_of=CancellationState.UNCERTAIN)
    _note_attempt(attempt, judgement, now=now)
    if judgement.key and judgement.key not in SENTENCES:
        note_sightings([f"error.key={judgement.key}"], now=now)
    _note_fact(cancellation, judgement, origin=origin, now=now, came_late=not moved)
    return moved


def _move(
    cancellation: Cancellation,
    attempt: Attempt,
    judgement: Judgement,
    *,
    now: datetime,
    out_of: CancellationState = CancellationState.SENDING,
) -> bool:
    row = Cancellation.objects.filter(pk=cancellation.pk, state=out_of)
    plain: dict[str, Change] = {"may_resend": False, "waits_for": ""}
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


def _note_fact(
    cancellation: Cancellation, judgement: Judgement, *, origin: Origin, now: datetime, came_late: bool = False
) -> None:
    after: dict[str, Value] = {
        "answer": str(judgement.outcome),
        "key": judgement.key,
        "message": judgement.message[:500],
    }
    if came_late:
        fact = Fact("cancellation.answered_late", item=cancellation.item, after=after, reason=judgement.reason)
    else:
        before = {"cancellation": str(CancellationState.SENDING)}
        after["cancellation"] = str(judgement.state)
        verb = f"cancellation.{judgement.state}"
        fact = Fact(verb, item=cancellation.item, before=before, after=after, reason=judgement.reason)
    record([fact], origin=origin, now=now)
