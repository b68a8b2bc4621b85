"""What needs a human now."""

from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from withdrawals.actions.budget import budget_view
from withdrawals.models import (
    Alarm,
    AuditEntry,
    Batch,
    Delivery,
    Refund,
    RefundState,
    count_desk,
)
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.charts import RANGE_BY_NAME, RANGES, charts
from withdrawals.views.fresh import keeps_fresh

LATEST = 12


@require_safe
@needs("see_desk")
@keeps_fresh
def overview(request: DeskRequest) -> HttpResponse:
    """GET /: figures, each leading to exactly the list that it counts, charts of `range`, and what happened last."""
    now = timezone.now()
    request.counts = count_desk(now)
    shown = RANGE_BY_NAME.get(request.GET.get("range") or RANGES[0].name)
    states = (RefundState.DUE, RefundState.IN_REVIEW, RefundState.AWAITING)
    refunds = Refund.objects.aggregate(
        **{f"{state}_count": Count("pk", filter=Q(state=state)) for state in states},
        **{f"{state}_total": Sum("amount", filter=Q(state=state)) for state in states},
        oldest_due=Min("opened_at", filter=Q(state=RefundState.DUE)),
    )
    context = {
        "counts": request.counts,
        "refunds": refunds,
        "alarms": Alarm.objects.ringing().count(),
        "ranges": RANGES,
        "shown": shown or RANGES[0],
        "charts": charts(shown or RANGES[0], now),
        "problem": ""
        if shown
        else gettext("There is no such range. These are the last {range}.").format(range=RANGES[0].label),
        "last_callback_at": Delivery.objects.aggregate(last=Max("last_received_at"))["last"],
        "budget": budget_view(now),
        "live_batches": Batch.objects.live().count(),
        "latest": AuditEntry.objects.select_related("item", "trade").order_by("-number")[:LATEST],
    }
    return render(request, "overview.html", context, status=200 if shown else 400)


@require_safe
@needs("see_desk")
def server_now(request: DeskRequest) -> HttpResponse:
    """GET /now/: the server's clock, for a page that slept."""
    now = timezone.now()
    return HttpResponse(now.isoformat(), content_type="text/plain")
