"""The sending limit as the pages show it, and when a queue will have left. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Value

from withdrawals.models import Cancellation, Lane, SendBudget, SendPermit
from withdrawals.models.cancellation import ARMED, HELD, NOT_HELD, OUTCOME_UNKNOWN, STUCK, in_the_queue
from withdrawals.models.prepared import rows_of
from withdrawals.models.send_permit import WINDOW, share_of

OPEN_ONES = ("clicks", "batched", "held", "armed", "unknown", "stuck")


@dataclass(frozen=True)
class BudgetView:
    """The limit of a sliding minute and who uses it; moments are UTC.

    `batch_share` of `limit` may go to batches and armed items, the rest is `reserved` for single clicks.
    `queued_…` count what may be sent without anybody's doing, `armed` what waits for its window, `held` what a paused
    batch keeps. `estimated_end` is when the queue will have left, None where nothing waits.
    """

    limit: int
    used: int
    batch_share: int
    batch_used: int
    reserved: int
    paused_until: datetime | None
    paused_because: str
    queued_clicks: int
    queued_batch: int
    held: int
    armed: int
    unknown: int
    stuck: int
    margin: timedelta
    estimated_end: datetime | None


def budget_view(now: datetime) -> BudgetView:
    """The sending limit as it stands at `now`."""
    ((paused_until, paused_because, margin, learned_at),) = rows_of(_budget, pk=1)
    budget = SendBudget(
        paused_until=paused_until, paused_because=paused_because, margin_seconds=margin, margin_learned_at=learned_at
    )
    used = [lane for (lane,) in rows_of(_counting, now=now)]
    limit: int = settings.ASSETPAY_CANCELS_PER_MINUTE
    ((_, clicks, batch, held, armed, unknown, stuck),) = rows_of(_open_ones, now=now)
    is_paused = budget.paused_until is not None and budget.paused_until > now
    ends = [estimated_end(calls, lane=lane, now=now) for calls, lane in ((clicks, Lane.CLICK), (batch, Lane.BATCH))]
    return BudgetView(
        limit=limit,
        used=len(used),
        batch_share=share_of(Lane.BATCH),
        batch_used=used.count(Lane.BATCH),
        reserved=limit - share_of(Lane.BATCH),
        paused_until=budget.paused_until if is_paused else None,
        paused_because=budget.paused_because if is_paused else "",
        queued_clicks=clicks,
        queued_batch=batch,
        held=held,
        armed=armed,
        unknown=unknown,
        stuck=stuck,
        margin=budget.margin(now),
        estimated_end=max((end for end in ends if end is not None), default=None),
    )


def _open_ones(now: datetime) -> QuerySet[Cancellation, Any]:
    """What is counted of the open requests, in one statement and in the order of OPEN_ONES."""
    queued = in_the_queue(now)
    which = {
        "clicks": queued & NOT_HELD & Q(lane=Lane.CLICK),
        "batched": queued & NOT_HELD & Q(lane=Lane.BATCH),
        "held": queued & HELD,
        "armed": ARMED & Q(send_from__gt=now),
        "unknown": OUTCOME_UNKNOWN,
        "stuck": STUCK,
    }
    one_group = Cancellation.objects.open().order_by().values_list(Value(1))
    return one_group.annotate(**{name: Count("pk", filter=which[name]) for name in OPEN_ONES})


def _counting(now: datetime) -> QuerySet[SendPermit, Any]:
    return SendPermit.objects.filter(counts_until__gt=now).values_list("lane")


def _budget(pk: int) -> QuerySet[SendBudget, Any]:
    columns = ("paused_until", "paused_because", "margin_seconds", "margin_learned_at")
    return SendBudget.objects.filter(pk=pk).values_list(*columns)


def estimated_end(calls: int, *, lane: Lane, now: datetime) -> datetime | None:
    """When the last of `calls` more calls of a lane can leave, if nothing else comes between; None for none.

    Each permit of the lane's share comes free some time, and again a minute after it was used.
    """
    if calls <= 0:
        return None
    share = share_of(lane)
    counting = SendPermit.objects.filter(Q(lane=lane) if lane == Lane.BATCH else Q(), counts_until__gt=now)
    free = list(counting.order_by("-counts_until").values_list("counts_until", flat=True)[:share])
    free += [now] * (share - len(free))
    paused_until = SendBudget.objects.get(pk=1).paused_until or now
    heapify(free)
    left_at = now
    for _ in range(calls):
        left_at = max(free[0], paused_until, now)
        heapreplace(free, left_at + WINDOW)
    return left_at
