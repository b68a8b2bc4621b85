"""What leaves for AssetPay, and how much of its limit is left."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from withdrawals.actions.budget import budget_view
from withdrawals.models import Batch
from withdrawals.views.access import DeskRequest, needs


@require_safe
@needs("see_desk")
def sending(request: DeskRequest) -> HttpResponse:
    """GET /sending/: the budget, the queue, a pause with its reason, when it will be done, the batches under way."""
    return _answer(request, "sending.html")


@require_safe
@needs("see_desk")
def sending_now(request: DeskRequest) -> HttpResponse:
    """GET /live/sending/: the part of that page that moves."""
    return _answer(request, "sending.html#sending-now")


def _answer(request: DeskRequest, template: str) -> HttpResponse:
    live = Batch.objects.live().select_related("requested_by").newest_first()
    context = {"budget": budget_view(timezone.now()), "batches": [(batch, batch.tally()) for batch in live]}
    return render(request, template, context)
