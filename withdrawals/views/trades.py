"""Trades: the list, one trade with all that is known of it, its raw document, and asking AssetPay now."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.documents import note_document_read
from withdrawals.actions.trades import CheckFailed, check_trade
from withdrawals.filters import TradeFilter
from withdrawals.models import AuditEntry, Item, Read, Refund, Trade
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin
from withdrawals.views.lists import render_list
from withdrawals.views.refunds import for_refund_rows, refund_row
from withdrawals.views.worklist import for_rows, item_rows

TIMELINE_LENGTH = 200


@require_safe
@needs("see_desk")
def trade_list(request: DeskRequest) -> HttpResponse:
    """GET /trades/: newest first, by `q`."""
    filters = TradeFilter(request.GET, queryset=Trade.objects.prefetch_related("items"))
    return render_list(request, "trades.html", filters, by="opened_at")


@require_safe
@needs("see_desk")
def trade_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /trades/<pk>/: facts, customer, items, the three truths of each, refunds and the timeline."""
    return _trade_page(request, pk)


def _trade_page(request: DeskRequest, pk: int, *, problem: str = "", status: int = 200) -> HttpResponse:
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    items = Item.objects.filter(trade=trade).order_by("position", "pk")
    rows = item_rows(
        list(for_rows(items).select_related("status_delivery", "status_read")), person=request.user, now=now
    )
    entries = AuditEntry.objects.filter(trade=trade).select_related("item").order_by("-number")
    timeline = list(entries[: TIMELINE_LENGTH + 1])
    refunds = for_refund_rows(Refund.objects.filter(item__trade=trade)).order_by("item__position", "pk")
    context = {
        "trade": trade,
        "rows": rows,
        "refund_rows": [refund_row(refund, person=request.user, now=now) for refund in refunds],
        "timeline": timeline[:TIMELINE_LENGTH],
        "has_more": len(timeline) > TIMELINE_LENGTH,
        "problem": problem,
    }
    return render(request, "trade.html", context, status=status)


@require_safe
@needs("read_document")
def trade_document(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /trades/<pk>/document/: the last document as text, or that of one kept read (`?read=<pk>`).

    The reading is an entry in the audit log.
    """
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    wanted = request.GET.get("read", "")
    read = None
    if wanted:
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
            raise Http404("No such read.")
        read = get_object_or_404(Read, pk=int(wanted), trade=trade)
    document = f"read:{read.pk}" if read else "trade"
    note_document_read(document=document, trade=trade, origin=screen_origin(request), now=now)
    return render(request, "trade_document.html", {"trade": trade, "read": read})


@require_POST
@needs("check_trade")
def trade_check(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /trades/<pk>/check/: ask AssetPay now; 409 and the reason where it could not be asked."""
    now = timezone.now()
    try:
        mirrored = check_trade(trade_id=pk, actor_origin=screen_origin(request), now=now)
    except Trade.DoesNotExist as error:
        raise Http404("No such trade.") from error
    except CheckFailed as failed:
        return _trade_page(request, pk, problem=str(failed), status=409)
    news = "; ".join(mirrored.changes)
    messages.success(request, f"AssetPay was asked just now. {news or 'Nothing is new.'}")
    return SeeOther(reverse("trade_detail", args=[pk]))
