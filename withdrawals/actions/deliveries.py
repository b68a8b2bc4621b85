"""What happens to callbacks: kept first, understood second. What was answered 2xx is durable and has its effects."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from withdrawals import gateway
from withdrawals.actions import trades
from withdrawals.actions.audit import ASSETPAY, Fact, Origin, record
from withdrawals.actions.rows import append_unless_there, new_row, read_locked, write_columns
from withdrawals.actions.sightings import note_sightings
from withdrawals.assetpay.callbacks import Callback, Kind, looks_like_approval, open_callback
from withdrawals.assetpay.documents import NotUnderstood
from withdrawals.assetpay.suspicion import smells_of_approval
from withdrawals.models import Delivery, Evidence, RejectedCall, Source, Verdict
from withdrawals.models.patience import brief_transaction
from withdrawals.models.turns import do_in_turn

log = logging.getLogger(__name__)

# What is learned of a delivery when its body is read.
UNDERSTOOD = ("kind", "subject_id", "verdict", "problem", "changes", "trade", "applied_at")
KEPT_REJECTED_CALLS = 1_000
# AssetPay hangs up on an approval after ten seconds, and 503 is its answer here whatever happens: no need to wait long.
APPROVAL_WAIT_MS = 2_500
FORGOTTEN = gettext_noop("Its bytes were forgotten when they were old; nothing rested on them, and nothing was done.")
CONFLICT = gettext_noop("The same delivery id came before with another body.")


@dataclass(frozen=True)
class Call:
    """One POST at the callback door, as it came."""

    signature: str
    body: bytes
    remote_address: str
    is_copy: bool
    request_id: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the body, hex."""
        return hashlib.sha256(self.body).hexdigest()


class CallRejected(Exception):
    """A call that is not let in. `status` is the HTTP answer: 401, or 503 where a 4xx could reject a withdrawal."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Replayed:
    """What a replay did, or would do: the verdict, each change in words, and the problem where it has no effect."""

    verdict: Verdict
    changes: tuple[str, ...]
    problem: str


def receive_delivery(call: Call, *, now: datetime) -> Delivery:
    """Keep a well signed callback and apply it once; the delivery with its verdict, which decides the answer.

    One transaction, its own or one with other callbacks: the row, and within a savepoint its effects, so that a failure
    leaves the row and no effects. The body is read before it begins, since others wait for what it locks. Raises
    CallRejected where the signature does not hold.
    """
    try:
        seal = gateway.check_signature(call.signature, call.body, now=now)
    except gateway.NotAuthentic as error:
        raise _reject(call, error.reason, now=now) from error
    started = time.monotonic()
    said = _read(call.body)
    took = time.monotonic() - started
    is_question = said.is_approval if isinstance(said, Callback) else smells_of_approval(call.body)

    def keep_and_understand() -> Delivery:
        delivery, is_applied = _keep(call, seal, now)
        if not is_applied:
            started = time.monotonic()
            origin = Origin(Source.CALLBACK, name=ASSETPAY, request_id=call.request_id)
            _understand(delivery, said, origin=origin, now=now, is_first=True)
            delivery.took_ms = round(1_000 * (took + time.monotonic() - started))
            write_columns([delivery], [*UNDERSTOOD, "took_ms"])
        return delivery

    return _do(keep_and_understand, is_question=is_question)


def replay_delivery(*, delivery_id: int, origin: Origin, now: datetime, dry_run: bool) -> Replayed:
    """Send a stored delivery through the corridor once more, as `origin`; dry, nothing stays written.

    Repeatable: the merge makes no second effect of what is already there. Raises Delivery.DoesNotExist.
    """
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update(of=("self",), no_key=True).get(pk=delivery_id)
        before = delivery.verdict
        if delivery.is_forgotten:
            return Replayed(Verdict(before), (), FORGOTTEN)
        _understand(delivery, _read(bytes(delivery.body)), origin=origin, now=now, is_first=False)
        if dry_run:
            transaction.set_rollback(True)
        else:
            if before not in (Verdict.APPLIED, Verdict.NOTED, Verdict.APPROVAL):
                # Mended. What had its effect when it came keeps the record of that; the log tells of the replay.
                delivery.save(update_fields=UNDERSTOOD)
            fact = Fact(
                "delivery.replayed",
                trade=delivery.trade,
                before={"verdict": before},
                after={"verdict": str(delivery.verdict), "changes": len(delivery.changes)},
            )
            record([fact], origin=replace(origin, cause=f"delivery:{delivery.pk}"), now=now)
    return Replayed(Verdict(delivery.verdict), tuple(delivery.changes), delivery.problem)


def answer_status(delivery: Delivery) -> int:
    """The HTTP answer for a kept delivery: 200 for news that has its effects, 503 for all that is not certainly news.

    On an approval a 2xx releases money and a 4xx rejects the withdrawal for good; this desk has no say in either.
    """
    if delivery.conflicts_with_id is not None:
        is_news = delivery.kind and not _is_approval(delivery.kind)
        return 409 if is_news else 503
    return 200 if delivery.verdict in (Verdict.APPLIED, Verdict.NOTED) else 503


def _is_approval(kind: str) -> bool:
    return kind in (Kind.WITHDRAWAL_APPROVAL, Kind.CRYPTO_APPROVAL)


def _reject(call: Call, reason: str, *, now: datetime) -> CallRejected:
    """Leave the bounded trace. An approval with a bad signature is answered 503: the fault may be our own secret."""
    status = 503 if looks_like_approval(call.body) else 401

    def leave_trace() -> None:
        trace = RejectedCall.objects.create(
            received_at=now,
            reason=reason,
            remote_address=call.remote_address,
            body_sha256=call.sha256,
            body_bytes=len(call.body),
            status=status,
        )
        # Each reason has its own bound: whoever floods the door with nonsense must not push out what an alarm seeks.
        RejectedCall.objects.filter(reason=reason, pk__lte=trace.pk - KEPT_REJECTED_CALLS).delete()

    _do(leave_trace, is_question=status == 503)
    return CallRejected(reason, status)


def _do[Result](work: Callable[[], Result], *, is_question: bool) -> Result:
    """In a transaction. News may wait its turn as long as anything, and share the transaction of others; an approval
    is answered in time, if need be without being kept."""
    if not is_question:
        return do_in_turn(work)
    with brief_transaction(APPROVAL_WAIT_MS):
        return work()


def _keep(call: Call, seal: gateway.Seal, now: datetime) -> tuple[Delivery, bool]:
    """The delivery's row, locked, and whether its effects are already there. Copies at one instant meet here."""
    delivery = new_row(
        Delivery,
        delivery_id=seal.delivery_id,
        body=call.body,
        body_sha256=call.sha256,
        signature=call.signature,
        signed_at=seal.signed_at,
        received_at=now,
        last_received_at=now,
        remote_address=call.remote_address,
        is_copy=call.is_copy,
        is_late=seal.is_late,
    )
    if append_unless_there(delivery):
        return delivery, False
    same_id = read_locked(Delivery, delivery_id=seal.delivery_id)
    existing = _same_body(same_id, call)
    if existing is None:
        delivery.conflicts_with = next((each for each in same_id if each.conflicts_with_id is None), None)
        if append_unless_there(delivery):
            return delivery, False
        existing = _same_body(read_locked(Delivery, delivery_id=seal.delivery_id), call)
        if existing is None:
            raise IntegrityError("Another body won the id a moment ago: the sender comes again, and meets it.")
    existing.times_received += 1
    existing.last_received_at = now
    # A call straight from AssetPay must raise its alarm, even if a copy of it came first.
    existing.is_copy = existing.is_copy and call.is_copy
    existing.save(update_fields=["times_received", "last_received_at", "is_copy"])
    return existing, existing.verdict in (Verdict.APPLIED, Verdict.NOTED)


def _same_body(deliveries: list[Delivery], call: Call) -> Delivery | None:
    return next((delivery for delivery in deliveries if delivery.body_sha256 == call.sha256), None)


def _read(body: bytes) -> Callback | Exception:
    """What a well signed body says, or what keeps it from being read: a verdict too, once the delivery is kept."""
    try:
        return open_callback(body)
    except Exception as error:
        return error


def _understand(
    delivery: Delivery, said: Callback | Exception, *, origin: Origin, now: datetime, is_first: bool
) -> None:
    """Give the delivery its verdict in memory, and the tables its effects."""
    try:
        callback = _callback(said)
        with transaction.atomic():
            delivery.kind = callback.kind
            delivery.subject_id = callback.subject_id or ""
            _apply(delivery, callback, origin, now)
            if is_first:
                note_sightings(callback.unknown, now=now)
    except NotUnderstood as error:
        delivery.verdict, delivery.problem = Verdict.QUARANTINED, str(error)[:500]
    except Exception as error:
        # Kept without effects and answered 503, so that AssetPay sends it again and a person can look.
        log.exception("delivery %s could not be applied", delivery.pk)
        delivery.verdict, delivery.problem = Verdict.FAILED, type(error).__name__
        delivery.trade, delivery.applied_at, delivery.changes = None, None, []


def _callback(said: Callback | Exception) -> Callback:
    if isinstance(said, Exception):
        raise said
    return said


def _apply(delivery: Delivery, callback: Callback, origin: Origin, now: datetime) -> None:
    if delivery.conflicts_with_id is not None:
        delivery.verdict, delivery.problem = Verdict.QUARANTINED, CONFLICT
        return
    delivery.problem = ""
    if callback.snapshot is not None and callback.kind in (Kind.WITHDRAWAL_NEWS, Kind.WITHDRAWAL_APPROVAL):
        mirrored = trades.mirror_trade(callback.snapshot, evidence=Evidence(delivery=delivery), origin=origin, now=now)
        delivery.trade, delivery.changes, delivery.applied_at = mirrored.trade, list(mirrored.changes), now
    if callback.is_approval:
        delivery.verdict = Verdict.APPROVAL
    elif delivery.trade is not None:
        delivery.verdict = Verdict.APPLIED
    else:
        delivery.verdict = Verdict.NOTED
