"""What an answer of AssetPay means for a cancellation. Decides only; nothing is written here.

Source: AssetPay's error page (keys), its SDK (a cancel is repeated after a lost answer, never after a 5xx), and the
rule that an outcome nobody knows is never called failed or done.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, TokenRejected, ToldToWait
from withdrawals.assetpay.verdicts import BUSY_KEYS
from withdrawals.gateway import CancelAnswer, CannotAsk
from withdrawals.models import AttemptOutcome, Cancellation, CancellationState

TOO_SOON = "TRADE_CANCEL_TOO_SOON"

# AssetPay names no moment for "too soon", so the pause doubles; after the last one its answer stands.
TOO_SOON_PAUSES = (timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120))
NOT_SENT_PAUSES = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=60), timedelta(seconds=300))
# After a lost answer: long enough for a callback to settle it first.
RESEND_PAUSE = timedelta(seconds=30)
# Nothing is known: AssetPay is looked at after each of these pauses, then again and again after the last.
READ_PAUSES = (
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=10),
    timedelta(minutes=30),
)
# After so many tries that came to nothing, and so many workers that died with it, a person decides. A wait that
# AssetPay asks of the whole merchant is no item's fault and is not counted.
MOST_FRUITLESS = 8
MOST_LOST_WORKERS = 5

Change = str | int | bool | datetime | None


@dataclass(frozen=True)
class Judgement:
    """Where the cancellation goes, what the attempt came to, in AssetPay's words and ours.

    `pause_until` is set where AssetPay told the whole merchant to wait.
    """

    state: CancellationState
    outcome: AttemptOutcome
    reason: str = ""
    key: str = ""
    code: int | None = None
    message: str = ""
    http_status: int | None = None
    request_id: str = ""
    pause_until: datetime | None = None
    changes: dict[str, Change] = field(default_factory=dict)


def judge_answer(cancellation: Cancellation, answer: CancelAnswer | Exception, *, now: datetime) -> Judgement:
    """What `answer` means for a cancellation that was being sent at `now`. Never raises."""
    match answer:
        case CancelAnswer():
            return Judgement(
                CancellationState.ACCEPTED,
                AttemptOutcome.ACCEPTED,
                http_status=200,
                request_id=answer.request_id,
                changes={"accepted_at": now},
            )
        case TokenRejected() if cancellation.token_renewals == 0:
            again = _again(
                cancellation, now, gettext_noop("AssetPay did not take our token; it is sent again with a new one.")
            )
            return _refusal(answer, again.state, again.changes | {"token_renewals": 1})
        case Refused():
            return _judge_refusal(cancellation, answer, now)
        case ToldToWait():
            until = now + timedelta(seconds=answer.seconds)
            again = _again(cancellation, until, f"AssetPay told us to wait until {until:%H:%M:%S} UTC.")
            is_busy = answer.key in BUSY_KEYS
            counted = _counted(cancellation, "busy_count", f"AssetPay said {answer.key}") if is_busy else {}
            return Judgement(
                again.state,
                AttemptOutcome.WAIT,
                reason=again.waits_for,
                key=answer.key,
                code=answer.code,
                message=answer.message,
                http_status=answer.http_status,
                request_id=answer.request_id,
                # A busy item or customer is no reason to keep everybody else waiting.
                pause_until=None if is_busy else until,
                changes=again.changes | counted,
            )
        case NotSent():
            return _judge_not_sent(cancellation, answer, now)
        case CannotAsk():
            state = CancellationState.UNCERTAIN if cancellation.was_uncertain else CancellationState.REFUSED
            reads = _reads_from(now) if cancellation.was_uncertain else {}
            return Judgement(state, AttemptOutcome.NOT_SENT, reason=str(answer), message=str(answer), changes=reads)
        case OutcomeUnknown():
            return _judge_unknown(
                cancellation, answer.reason, now, answer.lost_answer, answer.http_status, answer.request_id
            )
        case _:
            return _judge_unknown(cancellation, type(answer).__name__, now, lost_answer=False)


def judge_lost_worker(cancellation: Cancellation, *, now: datetime) -> Judgement:
    """What it means that a worker died with the cancellation in its hands: the request may have left or not."""
    judgement = _judge_unknown(
        cancellation, gettext_noop("The worker stopped before AssetPay's answer was known."), now, lost_answer=True
    )
    count = min(cancellation.lost_worker_count + 1, 1_000)
    judgement.changes["lost_worker_count"] = count
    if count >= MOST_LOST_WORKERS:
        judgement.changes["needs_person"] = f"{count} workers stopped while they asked AssetPay for this item."
    return judgement


def _counted(cancellation: Cancellation, name: str, what: str) -> dict[str, Change]:
    """Another try that came to nothing; after too many of them a person is needed."""
    counts = {"busy_count": cancellation.busy_count, "not_sent_count": cancellation.not_sent_count}
    counts[name] = min(counts[name] + 1, 1_000)
    changes: dict[str, Change] = {name: counts[name]}
    if sum(counts.values()) >= MOST_FRUITLESS:
        changes["needs_person"] = f"{sum(counts.values())} tries came to nothing; the last: {what}."
    return changes


def _reads_from(now: datetime) -> dict[str, Change]:
    return {"read_from": now + READ_PAUSES[0], "read_count": 0}


@dataclass(frozen=True)
class _Again:
    state: CancellationState
    waits_for: str
    changes: dict[str, Change]


def _again(cancellation: Cancellation, at: datetime, waits_for: str) -> _Again:
    """Certainly not done this time: back to where it was sent from. An earlier unknown outcome stays unknown."""
    changes: dict[str, Change] = {"send_from": at, "waits_for": waits_for}
    if not cancellation.was_uncertain:
        return _Again(cancellation.waits_in, waits_for, changes)
    return _Again(CancellationState.UNCERTAIN, waits_for, changes | {"may_resend": True, "was_resent": False})


def _judge_refusal(cancellation: Cancellation, answer: Refused, now: datetime) -> Judgement:
    if answer.key == TOO_SOON and cancellation.too_soon_count < len(TOO_SOON_PAUSES):
        # Too soon now means too soon before: an earlier unknown attempt cannot have been done either.
        at = now + TOO_SOON_PAUSES[cancellation.too_soon_count]
        changes: dict[str, Change] = {
            "send_from": at,
            "too_soon_count": cancellation.too_soon_count + 1,
            "was_uncertain": False,
            "was_resent": False,
            "waits_for": f"AssetPay says it is too soon; asked again at {at:%H:%M:%S} UTC.",
        }
        return _refusal(answer, cancellation.waits_in, changes)
    if cancellation.was_uncertain and answer.key != TOO_SOON:
        # "Not cancellable" may mean that the attempt whose answer was lost is being carried out.
        waits_for = gettext_noop("AssetPay refuses now, but an earlier request may already be cancelling it.")
        return _refusal(answer, CancellationState.UNCERTAIN, _reads_from(now) | {"waits_for": waits_for})
    return _refusal(answer, CancellationState.REFUSED, {})


def _refusal(answer: Refused, state: CancellationState, changes: dict[str, Change]) -> Judgement:
    return Judgement(
        state,
        AttemptOutcome.REFUSED,
        reason=str(changes.get("waits_for", "")),
        key=answer.key,
        code=answer.code,
        message=answer.message,
        http_status=answer.http_status,
        request_id=answer.request_id,
        changes=changes,
    )


def _judge_not_sent(cancellation: Cancellation, answer: NotSent, now: datetime) -> Judgement:
    pause = NOT_SENT_PAUSES[min(cancellation.not_sent_count, len(NOT_SENT_PAUSES) - 1)]
    at = now + pause
    again = _again(cancellation, at, f"AssetPay could not be reached; tried again at {at:%H:%M:%S} UTC.")
    counted = _counted(cancellation, "not_sent_count", f"AssetPay could not be reached ({answer.reason})")
    return Judgement(
        again.state,
        AttemptOutcome.NOT_SENT,
        reason=again.waits_for,
        message=answer.reason,
        changes=again.changes | counted,
    )


def _judge_unknown(
    cancellation: Cancellation,
    reason: str,
    now: datetime,
    lost_answer: bool,  # private, and named at every call that could confuse
    http_status: int | None = None,
    request_id: str = "",
) -> Judgement:
    resend = lost_answer and not cancellation.was_resent
    at = now + RESEND_PAUSE
    waits_for = (
        f"No answer came. It is asked once more at {at:%H:%M:%S} UTC if no news comes first."
        if resend
        else gettext_noop(
            "No clear answer came. AssetPay's callback or a check will tell; do not promise anything yet."
        )
    )
    changes: dict[str, Change] = _reads_from(now)
    changes |= {"may_resend": resend, "was_uncertain": True, "send_from": at, "waits_for": waits_for}
    return Judgement(
        CancellationState.UNCERTAIN,
        AttemptOutcome.UNKNOWN,
        reason=reason,
        message=reason,
        http_status=http_status,
        request_id=request_id,
        changes=changes,
    )
