"""Claiming: a cancellation, or all that is left of a trade, taken by one worker together with a send permit."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import WORKER, Fact, Origin, Value, record
from withdrawals.actions.rows import read_locked
from withdrawals.models import (
    Attempt,
    Cancellation,
    CancellationState,
    Item,
    Lane,
    SendBudget,
    SendPermit,
    Source,
    Trade,
)
from withdrawals.models.cancellation import FRESH_LOOK, CancellationQuerySet, sending_lease
from withdrawals.models.prepared import found_models
from withdrawals.models.status import FINAL


@dataclass(frozen=True)
class Claim:
    """One cancellation in one worker's hands, and the sending that is about to leave under this claim.

    With `others` it is one call for the whole trade: everything of it that has not ended is in these hands.
    """

    cancellation: Cancellation
    attempt: Attempt
    others: tuple["Claim", ...] = ()

    @property
    def all(self) -> tuple["Claim", ...]:
        """This one and the others that the same call carries."""
        return (self, *self.others)

    @property
    def origin(self) -> Origin:
        """How the audit log names this sending."""
        return Origin(
            Source.WORKER,
            name=WORKER,
            cause=f"attempt:{self.attempt.pk}",
            request_id=str(self.attempt.request_id),
        )


def claim_next(*, now: datetime) -> Claim | None:
    """Take the oldest due cancellation together with a send permit, and commit the intent before anything leaves.

    Clicks go first; a batch takes what its lane's share of the limit leaves it.
    """
    with transaction.atomic():
        (budget,) = read_locked(SendBudget, id=1)
        for lane in Lane:
            if budget.free_at(now, lane) > now:
                continue
            # Asked by every worker every two seconds, mostly for nothing.
            found = found_models(_first_due, lane, now=now, fresh_since=now - FRESH_LOOK).models()
            if found:
                return _claim([*found, *_rest_of_its_trade(found[0], now)], lane, now)
    return None


def _first_due(lane: Lane, now: datetime, fresh_since: datetime) -> CancellationQuerySet:
    due = _due(now, fresh_since).filter(lane=lane).select_related("item__trade", "requested_by")
    return due.select_for_update(of=("self",), no_key=True, skip_locked=True)[:1]


def _due(now: datetime, fresh_since: datetime) -> CancellationQuerySet:
    # Accounts are wound up as a worker begins; one may be closed while it works, or a request of it come back.
    return Cancellation.objects.due(now, fresh_since=fresh_since).filter(requested_by__is_active=True)


def _rest_of_its_trade(first: Cancellation, now: datetime) -> list[Cancellation]:
    """The others to carry in one call for the whole trade; none unless that call asks for nothing that nobody chose.

    Everything of the trade that has not ended must be due in the same batch, and never asked for with an unknown
    outcome. The trade's row is held meanwhile, so that no news adds to it; where news are just coming in, we do not
    wait for them but ask for the one item.
    """
    if first.batch_id is None or first.state != CancellationState.REQUESTED:
        return []
    trade = Trade.objects.filter(pk=first.item.trade_id).values_list("pk")
    if not list(trade.select_for_update(no_key=True, skip_locked=True)):
        return []
    unended = Item.objects.filter(trade=first.item.trade_id).exclude(status__in=FINAL)
    due = _due(now, now - FRESH_LOOK).filter(
        batch=first.batch_id, lane=first.lane, item__trade=first.item.trade_id, state=CancellationState.REQUESTED
    )
    others = due.exclude(pk=first.pk).select_related("item__trade", "requested_by")
    held = list(others.select_for_update(of=("self",), no_key=True, skip_locked=True))
    covered = {first.item_id, *(other.item_id for other in held)}
    return held if set(unended.values_list("pk", flat=True)) == covered else []


def _claim(cancellations: Sequence[Cancellation], lane: Lane, now: datetime) -> Claim | None:
    request_id, is_whole_trade = uuid.uuid4(), len(cancellations) > 1
    claims, facts = [], []
    for cancellation in cancellations:
        number = cancellation.claim + 1
        attempt = Attempt.objects.create(
            cancellation=cancellation,
            number=number,
            request_id=request_id,
            is_whole_trade=is_whole_trade,
            started_at=now,
        )
        row = Cancellation.objects.filter(pk=cancellation.pk, state=cancellation.state)
        moved = row.move(
            to=CancellationState.SENDING,
            held_under=cancellation.claim,
            now=now,
            claim=number,
            lease_until=now + sending_lease(),
            may_resend=False,
            was_resent=cancellation.state == CancellationState.UNCERTAIN,
            waits_for="",
            read_from=None,
        )
        if not moved:
            transaction.set_rollback(True)
            return None
        before = {"cancellation": str(cancellation.state)}
        after: dict[str, Value] = {"cancellation": str(CancellationState.SENDING), "attempt": number}
        if is_whole_trade:
            after["whole_trade"] = True
        facts.append(Fact("cancellation.sending", item=cancellation.item, before=before, after=after))
        claims.append(Claim(cancellation, attempt))
    first = claims[0]
    SendPermit.objects.create(
        attempt=first.attempt, lane=lane, reserved_at=now, counts_until=SendPermit.latest_end(now)
    )
    claim = Claim(first.cancellation, first.attempt, tuple(claims[1:]))
    record(facts, origin=claim.origin, now=now)
    for part in claim.all:
        part.cancellation.refresh_from_db(fields=["state", "claim", "lease_until", "was_resent", "may_resend"])
    return claim
