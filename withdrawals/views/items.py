"""The worklist, one row of it, and the request to cancel an item: now, or when allowed."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.cancellations import CancelRefused, arm_cancellation, armed_for, request_cancellation
from withdrawals.forms import CancelForm
from withdrawals.models import Cancellation, Item, SavedList, SendBudget
from withdrawals.models.item import ShownPrice
from withdrawals.templatetags.desk import UNDO
from withdrawals.views.access import DeskRequest, SeeOther, needs, safe_next, screen_origin
from withdrawals.views.dialogs import dialog_answer
from withdrawals.views.finding import Found, find_items
from withdrawals.views.fresh import keeps_fresh, rows_left
from withdrawals.views.paging import BadCursor, keyset_page
from withdrawals.views.saved_views import shown_views
from withdrawals.views.tables import Order, layout
from withdrawals.views.worklist import TABS, ItemRow, count_up_to, for_rows, item_row, item_rows

ORDERS = {"opened": "opened_at", "price": "shown_price"}
COLUMNS = (
    ("trade", "Trade and customer"),
    ("price", "Price"),
    ("assetpay", "At AssetPay"),
    ("desk", "What the desk did"),
    ("from", "Cancel from"),
)


@require_safe
@needs("see_desk")
@keeps_fresh
def item_list(request: DeskRequest) -> HttpResponse:
    """GET /items/: one tab of the worklist, or whatever `q` finds; an id finds its rows wherever they stand.

    `batch` shows, ticked, what that batch could not do.
    """
    return items_page(request, find_items(request.GET, now=timezone.now()))


def items_page(request: DeskRequest, found: Found, *, problem: str = "", status: int = 200) -> HttpResponse:
    """The worklist as an answer; `problem` and its status also where something else than the address was wrong."""
    usual = Order("opened", "opened_at", goes_down=found.tab.newest_first)
    laid = layout(request.GET, usual=usual, orders=ORDERS, columns=COLUMNS)
    items = for_rows(found.items)
    if laid.order.by == "shown_price":
        items = items.annotate(shown_price=ShownPrice("first_price", "price"))
    try:
        page = keyset_page(items, by=laid.order.by, newest_first=laid.order.goes_down, cursor=found.cursor)
    except BadCursor as error:
        problem = f"{error} This is its beginning."
        page = keyset_page(items, by=laid.order.by, newest_first=laid.order.goes_down, cursor="")
    problem = problem or found.problem or laid.problem
    left = rows_left(request, for_rows(Item.objects.all()), page.rows)
    counts = {each: count_up_to(query) for each, query in zip(TABS, found.by_tab, strict=True)}
    is_tab = not found.is_id and found.batch is None
    context = {
        "page": page,
        "rows": item_rows([*page.rows, *left], person=request.user, now=found.now),
        "layout": laid,
        "saved": shown_views(request, SavedList.ITEMS, lambda query: find_items(query, now=found.now).items),
        "tabs": list(counts.items()),
        "tab": found.tab_asked,
        "q": found.text,
        "is_id": found.is_id,
        "batch": found.batch,
        "ticked": found.batch is not None,
        "matching": counts[found.tab] if is_tab else count_up_to(found.items),
        "problem": problem,
    }
    return render(request, "items.html", context, status=status if status != 200 else 400 if problem else 200)


@require_safe
@needs("see_desk")
def item_row_now(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /items/<pk>/row/: the row as it stands, for a page that keeps itself fresh."""
    now = timezone.now()
    item = get_object_or_404(for_rows(Item.objects.all()), pk=pk)
    return render(request, "items.html#item-row", {"row": item_row(item, person=request.user, now=now)})


@require_http_methods(["GET", "HEAD", "POST"])
@needs("cancel_item")
def item_cancel(request: DeskRequest, pk: int) -> HttpResponse:
    """/items/<pk>/cancel/: ask why, then ask AssetPay. 409 where a rule or a colleague was first, 422 for bad input."""
    said = "Asked for: {}. It leaves for AssetPay in a moment."
    return _ask_or_arm(request, pk, request_cancellation, said=said, is_arming=False)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("cancel_item")
def item_arm(request: DeskRequest, pk: int) -> HttpResponse:
    """/items/<pk>/arm/: the same for an item that is too young: it is asked for when its time has come."""
    said = "Armed: {}. AssetPay is asked when the item is old enough."
    return _ask_or_arm(request, pk, arm_cancellation, said=said, is_arming=True)


def _ask_or_arm(
    request: DeskRequest, pk: int, act: Callable[..., Cancellation], *, said: str, is_arming: bool
) -> HttpResponse:
    now = timezone.now()
    item = get_object_or_404(for_rows(Item.objects.all()), pk=pk)
    row = item_row(item, person=request.user, now=now)
    if request.method != "POST":
        return _dialog(request, row, CancelForm(initial={"number": row.number}), is_arming=is_arming, status=200)
    form = CancelForm(request.POST)
    if not form.is_valid():
        return _dialog(request, row, form, is_arming=is_arming, status=422)
    try:
        asked = act(item_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now)
    except CancelRefused as refused:
        return answer_with_row(request, pk, refusal=str(refused))
    link = format_html('<a href="{}">{}</a>', reverse("trade_detail", args=[item.trade_id]), item)
    can_undo = asked.can_be_undone
    messages.success(request, format_html(said, link), extra_tags=f"{UNDO}{asked.pk}" if can_undo else "")
    return answer_with_row(request, pk)


def _dialog(request: DeskRequest, row: ItemRow, form: CancelForm, *, is_arming: bool, status: int) -> HttpResponse:
    context = {"row": row, "form": form, "is_arming": is_arming, "back": safe_next(request, reverse("item_list"))}
    if is_arming and row.can_arm:
        margin = SendBudget.objects.get(pk=1).margin(row.now)
        context["waits_for"] = armed_for(row.item, row.item.fires_at(margin))
    return dialog_answer(request, "item_cancel.html", "cancel-dialog", context, status=status)


def answer_with_row(request: DeskRequest, pk: int, *, refusal: str = "") -> HttpResponse:
    """What follows an act on an item: its row as it now stands, with the refusal (409) if there was one."""
    now = timezone.now()
    if not request.htmx and not refusal:
        return SeeOther(safe_next(request, reverse("item_list")))
    item = get_object_or_404(for_rows(Item.objects.all()), pk=pk)
    row = item_row(item, person=request.user, now=now, notice=refusal)
    if refusal:
        messages.error(request, refusal)
    template = "items.html#item-answer" if request.htmx else "item_cancel.html"
    context = {"row": row, "refusal": refusal, "back": safe_next(request, reverse("item_list"))}
    return render(request, template, context, status=409 if refusal else 200)
