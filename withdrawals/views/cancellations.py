"""What was asked of AssetPay and what became of it; and taking a request back before it leaves."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.cancellations import UndoRefused, undo_cancellation
from withdrawals.filters import CancellationFilter
from withdrawals.models import Cancellation
from withdrawals.views.access import DeskRequest, needs, screen_origin
from withdrawals.views.items import answer_with_row
from withdrawals.views.lists import render_list


@require_safe
@needs("see_desk")
def cancellation_list(request: DeskRequest) -> HttpResponse:
    """GET /cancellations/: newest first, by `state` and `q`."""
    requests = Cancellation.objects.select_related("item__trade", "requested_by")
    filters = CancellationFilter(request.GET, queryset=requests)
    return render_list(request, "cancellations.html", filters, by="requested_at")


@require_POST
@needs("cancel_item")
def cancellation_undo(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /cancellations/<pk>/undo/: take it back, or 409 where it has already left."""
    now = timezone.now()
    try:
        cancellation = undo_cancellation(cancellation_id=pk, actor=request.user, origin=screen_origin(request), now=now)
    except UndoRefused as refused:
        item_id = Cancellation.objects.values_list("item_id", flat=True).get(pk=pk)
        return answer_with_row(request, item_id, refusal=str(refused))
    except Cancellation.DoesNotExist as error:
        raise Http404("No such cancellation.") from error
    messages.success(request, f"Taken back before it left: {cancellation.item}.")
    return answer_with_row(request, cancellation.item_id)
