"""What needs a human now."""

from django.db.models import Count, Max, Min, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from withdrawals.actions.budget import budget_view
from withdrawals.models import (
    Alarm,
    AuditEntry,
    Batch,
    Cancellation,
    CancellationState,
    Delivery,
    Refund,
    RefundState,
)
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.charts import RANGE_BY_NAME, RANGES, charts
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.worklist import TAB_BY_NAME, count_up_to

LATEST = 12


@require_safe
@needs("see_desk")
@keeps_fresh
def overview(request: DeskRequest) -> HttpResponse:
    """GET /: figures, each leading to exactly the list that it counts, charts of `range`, and what happened last."""
    now = timezone.now()
    shown = RANGE_BY_NAME.get(request.GET.get("range") or RANGES[0].name)
    refunds = {
        state: Refund.objects.filter(state=state).aggregate(
            count=Count("pk"), total=Sum("amount"), oldest=Min("opened_at")
        )
        for state in (RefundState.DUE, RefundState.IN_REVIEW)
    }
    context = {
        "cancellable": count_up_to(TAB_BY_NAME["can"].holds(now)),
        "soon": count_up_to(TAB_BY_NAME["soon"].holds(now)),
        "in_progress": count_up_to(TAB_BY_NAME["open"].holds(now)),
        "uncertain": Cancellation.objects.filter(state=CancellationState.UNCERTAIN).count(),
        "due": refunds[RefundState.DUE],
        "in_review": refunds[RefundState.IN_REVIEW],
        "troubled": Delivery.objects.needing_a_person().count(),
        "alarms": Alarm.objects.ringing().count(),
        "ranges": RANGES,
        "shown": shown or RANGES[0],
        "charts": charts(shown or RANGES[0], now),
        "problem": "" if shown else f"There is no such range. These are the last {RANGES[0].label}.",
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
