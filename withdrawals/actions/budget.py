"""The sending limit as the pages show it, and when a queue will have left. Reads only."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heapreplace

from django.conf import settings
from django.db.models import Q

from withdrawals.models import Cancellation, Lane, SendBudget, SendPermit
from withdrawals.models.cancellation import NOT_HELD
from withdrawals.models.send_permit import WINDOW, share_of


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
    budget = SendBudget.objects.get(pk=1)
    used = list(SendPermit.objects.filter(counts_until__gt=now).values_list("lane", flat=True))
    limit: int = settings.ASSETPAY_CANCELS_PER_MINUTE
    waiting = Cancellation.objects.waiting()
    queued = list(waiting.filter(NOT_HELD).values_list("lane", flat=True))
    clicks, batch = queued.count(Lane.CLICK), queued.count(Lane.BATCH)
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
        held=waiting.exclude(NOT_HELD).count(),
        armed=Cancellation.objects.armed().count(),
        unknown=Cancellation.objects.outcome_unknown().count(),
        stuck=Cancellation.objects.stuck().count(),
        margin=budget.margin(now),
        estimated_end=max((end for end in ends if end is not None), default=None),
    )


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
