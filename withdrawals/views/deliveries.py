"""The callback inbox: what came, what became of it, and what was not let in."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from withdrawals.filters import DeliveryFilter
from withdrawals.models import Delivery, RejectedCall
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.lists import render_list

REJECTED_SHOWN = 20


@require_safe
@needs("see_desk")
def delivery_list(request: DeskRequest) -> HttpResponse:
    """GET /deliveries/: newest first, by `verdict` and `q`; beneath them the calls that were not let in."""
    # The list shows no bodies, and a body may weigh a megabyte.
    deliveries = Delivery.objects.select_related("trade").defer("body", "trade__document")
    rejected = RejectedCall.objects.order_by("-received_at", "-pk")
    return render_list(
        request,
        "deliveries.html",
        DeliveryFilter(request.GET, queryset=deliveries),
        by="received_at",
        rejected=rejected[:REJECTED_SHOWN],
        rejected_count=rejected.count(),
    )


@require_safe
@needs("see_desk")
def delivery_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /deliveries/<pk>/: one callback; its body too, for whoever may read documents."""
    deliveries = Delivery.objects.select_related("trade", "conflicts_with")
    if not request.user.may("read_document"):
        deliveries = deliveries.defer("body")
    delivery = get_object_or_404(deliveries, pk=pk)
    return render(request, "delivery.html", {"delivery": delivery})
