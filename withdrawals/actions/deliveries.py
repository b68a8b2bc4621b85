"""What happens to callbacks: kept first, understood second. What was answered 2xx is durable and has its effects."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

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
from withdrawals.models.turns import Apart, Turns

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


@dataclass(frozen=True)
class _Arrival:
    """A well signed call, whose body is read before anybody waits for what it locks."""

    call: Call
    seal: gateway.Seal
    said: Callback | Exception
    now: datetime
    read_seconds: float

    @property
    def origin(self) -> Origin:
        return Origin(Source.CALLBACK, name=ASSETPAY, request_id=self.call.request_id)

    @property
    def is_question(self) -> bool:
        return self.said.is_approval if isinstance(self.said, Callback) else smells_of_approval(self.call.body)

    @property
    def subject(self) -> str:
        """What it is about; of what cannot be read nobody knows more than that."""
        return (isinstance(self.said, Callback) and self.said.subject_id) or ""


def receive_delivery(call: Call, *, now: datetime) -> Delivery:
    """Keep a well signed callback and apply it once; the delivery with its verdict, which decides the answer.

    In one transaction with other callbacks, or where that fails for whatever reason, in its own: the row, and within a
    savepoint its effects, so that a failure leaves the row and no effects. Raises CallRejected where the signature does
    not hold.
    """
    arrival = _arrive(call, now)
    if arrival.is_question:
        # In time, if need be without being kept; news may wait as long as anything, and share what others write.
        with brief_transaction(APPROVAL_WAIT_MS):
            return _take_in(arrival)
    return _turns.do(arrival, subject=arrival.subject)


def _arrive(call: Call, now: datetime) -> _Arrival:
    try:
        seal = gateway.check_signature(call.signature, call.body, now=now)
    except gateway.NotAuthentic as error:
        raise _reject(call, error.reason, now=now) from error
    started = time.monotonic()
    said = _read(call.body)
    return _Arrival(call, seal, said, now, time.monotonic() - started)


def _take_in(arrival: _Arrival) -> Delivery:
    """One callback, whatever it is and whoever else is at it, in the caller's transaction."""
    delivery, is_applied = _keep(arrival.call, arrival.seal, arrival.now)
    if not is_applied:
        started = time.monotonic()
        _understand(delivery, arrival.said, origin=arrival.origin, now=arrival.now, is_first=True)
        delivery.took_ms = round(1_000 * (arrival.read_seconds + time.monotonic() - started))
        write_columns([delivery], [*UNDERSTOOD, "took_ms"])
    return delivery


def _take_in_together(arrivals: Sequence[_Arrival]) -> list[Delivery]:
    """What each of them alone would do, in statements that they share; of different trades, or of one alone.

    Raises where one of them is out of the ordinary, or somebody else is at one of their trades.
    """
    started = time.monotonic()
    # The later of them is received by then too.
    now = max(arrival.now for arrival in arrivals)
    deliveries = [_new(arrival.call, arrival.seal, arrival.now) for arrival in arrivals]
    # In one order, so that two who have the same copies do not wait for each other.
    if not append_unless_there(*sorted(deliveries, key=attrgetter("delivery_id"))):
        raise Apart("One of these callbacks came before.")
    understood = [
        _Understanding(delivery, _callback(arrival.said), arrival.origin)
        for delivery, arrival in zip(deliveries, arrivals, strict=True)
    ]
    _apply(understood, now)
    note_sightings([name for each in understood for name in each.callback.unknown], now=now)
    for delivery, arrival in zip(deliveries, arrivals, strict=True):
        delivery.took_ms = round(1_000 * (arrival.read_seconds + time.monotonic() - started))
    write_columns(deliveries, [*UNDERSTOOD, "took_ms"])
    return deliveries


_turns = Turns(_take_in_together, alone=_take_in)


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

    trace = RejectedCall(
        received_at=now,
        reason=reason,
        remote_address=call.remote_address,
        body_sha256=call.sha256,
        body_bytes=len(call.body),
        status=status,
    )
    if status == 503:
        # In time, if need be without a trace.
        with brief_transaction(APPROVAL_WAIT_MS):
            _leave_trace(trace)
    else:
        _rejections.do(trace, subject=trace.body_sha256)
    return CallRejected(reason, status)


def _leave_traces(traces: Sequence[RejectedCall]) -> list[None]:
    for trace in traces:
        # The key of an attempt that was rolled back may be somebody else's by now.
        trace.pk = None
        trace.save(force_insert=True)
    # Each reason has its own bound: whoever floods the door with nonsense must not push out what an alarm seeks. In one
    # order, since two who leave traces at once forget the same old ones.
    latest = {trace.reason: trace.pk for trace in traces}
    for reason, key in sorted(latest.items()):
        RejectedCall.objects.filter(reason=reason, pk__lte=key - KEPT_REJECTED_CALLS).delete()
    return [None] * len(traces)


def _leave_trace(trace: RejectedCall) -> None:
    _leave_traces([trace])


_rejections = Turns(_leave_traces, alone=_leave_trace)


def _keep(call: Call, seal: gateway.Seal, now: datetime) -> tuple[Delivery, bool]:
    """The delivery's row, locked, and whether its effects are already there. Copies at one instant meet here."""
    delivery = _new(call, seal, now)
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


def _new(call: Call, seal: gateway.Seal, now: datetime) -> Delivery:
    return new_row(
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
            _apply([_Understanding(delivery, callback, origin)], now, waits=True)
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


@dataclass(frozen=True)
class _Understanding:
    """A delivery, what it says, and who brought it."""

    delivery: Delivery
    callback: Callback
    origin: Origin


def _apply(understood: Sequence[_Understanding], now: datetime, *, waits: bool = False) -> None:
    """The effects of each, of different trades, and its verdict in memory."""
    news = {}
    for each in understood:
        delivery, callback = each.delivery, each.callback
        delivery.kind, delivery.subject_id, delivery.problem = callback.kind, callback.subject_id or "", ""
        mirrors = callback.kind in (Kind.WITHDRAWAL_NEWS, Kind.WITHDRAWAL_APPROVAL)
        if callback.snapshot is not None and mirrors and delivery.conflicts_with_id is None:
            news[delivery.pk] = trades.News(callback.snapshot, Evidence(delivery=delivery), each.origin)
    mirrored = dict(zip(news, trades.mirror_trades(list(news.values()), now=now, waits=waits), strict=True))
    for each in understood:
        delivery = each.delivery
        if delivery.conflicts_with_id is not None:
            delivery.verdict, delivery.problem = Verdict.QUARANTINED, CONFLICT
            continue
        if delivery.pk in mirrored:
            done = mirrored[delivery.pk]
            delivery.trade, delivery.changes, delivery.applied_at = done.trade, list(done.changes), now
        if each.callback.is_approval:
            delivery.verdict = Verdict.APPROVAL
        elif delivery.trade is not None:
            delivery.verdict = Verdict.APPLIED
        else:
            delivery.verdict = Verdict.NOTED
