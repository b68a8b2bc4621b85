"""Trades: the list, one trade with all that is known of it, its raw document, and asking AssetPay now."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from withdrawals.actions.batches import BatchRefused, next_number_of, request_whole_trade
from withdrawals.actions.documents import note_document_read
from withdrawals.actions.notes import write_note
from withdrawals.actions.trades import CheckFailed, check_trade
from withdrawals.filters import TradeFilter
from withdrawals.forms import CancelForm, NoteForm
from withdrawals.models import Item, Read, SavedList, Trade
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin
from withdrawals.views.dialogs import dialog_answer
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.lists import render_list
from withdrawals.views.saved_views import shown_views
from withdrawals.views.trade_page import trade_page, why_not_whole
from withdrawals.views.worklist import for_rows, item_rows

COLUMNS = (
    ("customer", gettext_lazy("Customer")),
    ("items", gettext_lazy("Items")),
    ("total", gettext_lazy("Total")),
    ("assetpay", gettext_lazy("At AssetPay")),
)


@require_safe
@needs("see_desk")
@keeps_fresh
def trade_list(request: DeskRequest) -> HttpResponse:
    """GET /trades/: newest first, by `q`."""
    filters = TradeFilter(request.GET, queryset=Trade.objects.prefetch_related("items"))
    return render_list(
        request,
        "trades.html",
        filters,
        by="opened_at",
        sorts="opened",
        columns=COLUMNS,
        saved=shown_views(request, SavedList.TRADES, lambda query: TradeFilter(query, queryset=Trade.objects.all())),
    )


@require_safe
@needs("see_desk")
@keeps_fresh
def trade_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /trades/<pk>/: facts, customer, items, the three truths of each, refunds and the timeline."""
    return trade_page(request, pk)


@require_POST
@needs("cancel_item")
def trade_note(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /trades/<pk>/note/: a note on the trade, or on one of its items; 422 where it says nothing."""
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return trade_page(request, pk, note_form=form, status=422)
    try:
        write_note(
            trade_id=trade.pk,
            item_id=form.cleaned_data["item"],
            text=form.cleaned_data["text"],
            actor=request.user,
            origin=screen_origin(request),
            now=now,
        )
    except Item.DoesNotExist as error:
        raise Http404("No such item in this trade.") from error
    messages.success(request, gettext("Your note stands in the timeline."))
    return SeeOther(f"{reverse('trade_detail', args=[pk])}#timeline")


@require_http_methods(["GET", "HEAD", "POST"])
@needs("cancel_in_bulk")
def trade_cancel(request: DeskRequest, pk: int) -> HttpResponse:
    """/trades/<pk>/cancel/: ask for all of the trade that has not ended; 409 where one item stands in the way."""
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    form = CancelForm(request.POST or None, initial={"number": next_number_of(trade)})
    refusal, status = "", 200
    if request.method == "POST" and form.is_valid():
        try:
            batch = request_whole_trade(
                trade_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now
            )
        except BatchRefused as refused:
            refusal, status = str(refused), 409
        else:
            link = reverse("batch_detail", args=[batch.pk])
            words = gettext(
                'Asked for the whole trade. It leaves for AssetPay in a moment. <a href="{}">Follow it, or undo it</a>'
            )
            messages.success(request, format_html(words, link))
            return SeeOther(reverse("trade_detail", args=[pk]))
    elif request.method == "POST":
        status = 422
    rows = item_rows(list(for_rows(trade.items.order_by("position", "pk"))), person=request.user, now=now)
    context = {
        "trade": trade,
        "form": form,
        "unended": [row for row in rows if not row.item.has_ended],
        "ended": [row for row in rows if row.item.has_ended],
        "refusal": refusal
        or why_not_whole(request, [(row.item.has_ended, row.item.title, row.why_not) for row in rows]),
        "back": reverse("trade_detail", args=[pk]),
    }
    return dialog_answer(request, "trade_cancel.html", "whole-dialog", context, status=status)


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
        return trade_page(request, pk, problem=str(failed), status=409)
    news = "; ".join(mirrored.changes)
    messages.success(
        request, gettext("AssetPay was asked just now. {news}").format(news=news or gettext("Nothing is new."))
    )
    return SeeOther(reverse("trade_detail", args=[pk]))
