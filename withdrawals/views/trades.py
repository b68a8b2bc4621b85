"""Trades: the list, one trade with all that is known of it, its raw document, and asking AssetPay now."""

from dataclasses import dataclass

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
from withdrawals.models import Item, Read, Refund, SavedList, Trade
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin
from withdrawals.views.dialogs import dialog_answer
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.lists import render_list
from withdrawals.views.pending import Customs, customs, pending_words
from withdrawals.views.refunds import for_refund_rows, refund_row
from withdrawals.views.rows import facts_of, row_texts
from withdrawals.views.saved_views import shown_views
from withdrawals.views.timeline import timeline
from withdrawals.views.worklist import ItemRow, for_rows, item_rows

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
    return _trade_page(request, pk)


def _trade_page(
    request: DeskRequest, pk: int, *, problem: str = "", note_form: NoteForm | None = None, status: int = 200
) -> HttpResponse:
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    items = Item.objects.filter(trade=trade).order_by("position", "pk")
    loaded = list(for_rows(items).select_related("trade", "refund", "status_delivery", "status_read"))
    rows = item_rows(loaded, person=request.user, now=now)
    moments, has_more = timeline(trade)
    known = customs() if any(row.is_open for row in rows) else None
    refunds = for_refund_rows(Refund.objects.filter(item__trade=trade)).order_by("item__position", "pk")
    context = {
        "trade": trade,
        "rows": row_texts(list(facts_of(items)), request=request, now=now),
        "truths": [truth(row, known) for row in rows],
        "note_form": note_form or NoteForm(),
        "refund_rows": [refund_row(refund, person=request.user, now=now) for refund in refunds],
        "timeline": moments,
        "has_more": has_more,
        "problem": problem,
        "why_not_whole": _why_not_whole(request, rows),
        # What a form that was refused brought stands at an address that cannot be asked for.
        "is_live": request.method == "GET",
    }
    return render(request, "trade.html", context, status=status)


@dataclass(frozen=True)
class Truth:
    """The three truths of one item, and what its open cancellation waits for."""

    row: ItemRow
    pending: str


def truth(row: ItemRow, known: Customs | None) -> Truth:
    """What stands in the three columns of an item's line."""
    pending = pending_words(row.cancellation, known, row.now) if row.cancellation and known else ""
    return Truth(row, pending)


@require_POST
@needs("cancel_item")
def trade_note(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /trades/<pk>/note/: a note on the trade, or on one of its items; 422 where it says nothing."""
    now = timezone.now()
    trade = get_object_or_404(Trade, pk=pk)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return _trade_page(request, pk, note_form=form, status=422)
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


def _why_not_whole(request: DeskRequest, rows: list[ItemRow]) -> str:
    """Why the trade cannot be cancelled as a whole, for its button; the action decides by itself."""
    if not request.user.may("cancel_in_bulk"):
        return gettext("Your role may look, not cancel. Agents and supervisors can.")
    unended = [row for row in rows if not row.item.has_ended]
    if not unended:
        return gettext("Everything of this trade has ended.")
    blocked = next((row for row in unended if row.why_not), None)
    return f"{blocked.item.title}: {blocked.why_not}" if blocked else ""


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
        "refusal": refusal or _why_not_whole(request, rows),
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
        return _trade_page(request, pk, problem=str(failed), status=409)
    news = "; ".join(mirrored.changes)
    messages.success(
        request, gettext("AssetPay was asked just now. {news}").format(news=news or gettext("Nothing is new."))
    )
    return SeeOther(reverse("trade_detail", args=[pk]))
