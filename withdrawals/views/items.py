"""The worklist, one row of it, and the request to cancel an item: now, or when allowed."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.cancellations import CancelRefused, arm_cancellation, armed_for, request_cancellation
from withdrawals.forms import CancelForm
from withdrawals.models import Cancellation, Item, SavedList, SendBudget, count_desk_and
from withdrawals.models.item import ShownPrice
from withdrawals.models.saved_view import views_seen
from withdrawals.templatetags.desk import UNDO
from withdrawals.views.access import DeskRequest, SeeOther, needs, safe_next, screen_origin
from withdrawals.views.dialogs import dialog_answer
from withdrawals.views.finding import Found, find_items
from withdrawals.views.fresh import keeps_fresh, keys_left
from withdrawals.views.kept_pages import kept_page, may_be_kept
from withdrawals.views.paging import BadCursor, Page, keyset_page
from withdrawals.views.rows import beside, changes_at, facts_of, one_row, row_texts
from withdrawals.views.saved_views import shown_views
from withdrawals.views.tab_pages import count_named, tab_page
from withdrawals.views.tables import Order, layout
from withdrawals.views.worklist import TABS, ItemRow, count_up_to, for_rows, item_row, others_there

ORDERS = {"opened": "opened_at", "price": "shown_price"}
COLUMNS = (
    ("trade", gettext_lazy("Trade and customer")),
    ("price", gettext_lazy("Price")),
    ("assetpay", gettext_lazy("At AssetPay")),
    ("desk", gettext_lazy("What the desk did")),
    ("from", gettext_lazy("Cancel from")),
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
    try:
        page, facts = _page(found, laid.order, found.cursor)
    except BadCursor as error:
        problem = gettext("{error} This is its beginning.").format(error=error)
        page, facts = _page(found, laid.order, "")
    problem = problem or found.problem or laid.problem
    keys = keys_left(request, page.rows)
    left = list(facts_of(Item.objects.filter(pk__in=keys))) if keys else []
    person, now = request.user, found.now
    anybody, any_views = others_there(person, now), views_seen(SavedList.ITEMS, person)
    request.counts, (others, views) = count_desk_and([anybody, any_views], now)
    known = beside([*page.rows, *left], person=person, now=now, is_anybody_there=others > 0)
    saved = shown_views(request, SavedList.ITEMS, lambda query: find_items(query, now=now).items, are_any=views > 0)
    if found.named:
        counts = dict(zip(TABS, count_named(found.named, now), strict=True))
    elif found.text and not found.is_id:
        counts = {each: count_up_to(query) for each, query in zip(TABS, found.by_tab, strict=True)}
    else:
        counts = {each: str(getattr(request.counts, each.name)) for each in TABS}
    is_tab = not found.is_id and found.batch is None
    matching = counts[found.tab] if is_tab else str(len(found.few)) if found.few else count_up_to(found.items)

    def shown() -> dict[str, Any]:
        rows, is_ticked = [*facts(), *left], found.batch is not None
        texts = row_texts(rows, request=request, now=now, is_ticked=is_ticked, known=known)
        return {
            "page": page,
            "rows": SafeString("".join(texts)),
            "layout": laid,
            "saved": saved,
            "tabs": tuple(counts.items()),
            "tab": found.tab_asked,
            "q": found.text,
            "is_id": found.is_id,
            "batch": found.batch,
            "matching": matching,
            "problem": problem,
        }

    status = status if status != 200 else 400 if problem else 200
    if status != 200 or not may_be_kept(request):
        return render(request, "items.html", shown(), status=status)
    return kept_page(
        request,
        "items.html",
        (tuple(page.rows), tuple(left), known, saved.facts, request.counts, tuple(counts.values()), matching),
        now=now,
        shown=shown,
        changes_at=lambda: changes_at([*facts(), *left], known.asked),
        is_personal=bool(saved.chips),
    )


def _page(found: Found, order: Order, cursor: str) -> tuple[Page[Any], Callable[[], list[Any]]]:
    """The page, and what its rows show: a whole tab's is made only where it is asked for."""
    if order.by == "opened_at" and found.batch is None and (found.named or not found.text):
        named = found.named
        of_tab = tab_page(found.tab, goes_down=order.goes_down, cursor=cursor, now=found.now, named=named)
        return of_tab.page, cache(of_tab.facts)
    if order.by == "opened_at" and found.few:
        few = tab_page(found.tab, goes_down=order.goes_down, cursor=cursor, now=found.now, keys=found.few)
        return few.page, cache(few.facts)
    items = facts_of(found.items)
    if order.by == "shown_price":
        items = facts_of(found.items.annotate(shown_price=ShownPrice("first_price", "price")), "shown_price")
    page = keyset_page(items, by=order.by, newest_first=order.goes_down, cursor=cursor)
    return page, lambda: page.rows


@require_safe
@needs("see_desk")
def item_row_now(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /items/<pk>/row/: the row as it stands, for a page that keeps itself fresh."""
    now = timezone.now()
    get_object_or_404(Item.objects.only("pk"), pk=pk)
    return HttpResponse(one_row(pk, request=request, now=now))


@require_http_methods(["GET", "HEAD", "POST"])
@needs("cancel_item")
def item_cancel(request: DeskRequest, pk: int) -> HttpResponse:
    """/items/<pk>/cancel/: ask why, then ask AssetPay. 409 where a rule or a colleague was first, 422 for bad input."""
    said = gettext("Asked for: {}. It leaves for AssetPay in a moment.")
    return _ask_or_arm(request, pk, request_cancellation, said=said, is_arming=False)


@require_http_methods(["GET", "HEAD", "POST"])
@needs("cancel_item")
def item_arm(request: DeskRequest, pk: int) -> HttpResponse:
    """/items/<pk>/arm/: the same for an item that is too young: it is asked for when its time has come."""
    said = gettext("Armed: {}. AssetPay is asked when the item is old enough.")
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
    if not request.htmx:
        context["row_text"] = one_row(row.item.pk, request=request, now=row.now)
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
    row = item_row(item, person=request.user, now=now)
    row_text = one_row(pk, request=request, now=now, notice=refusal)
    if refusal:
        messages.error(request, refusal)
    template = "items.html#item-answer" if request.htmx else "item_cancel.html"
    context = {"row": row, "row_text": row_text, "refusal": refusal, "back": safe_next(request, reverse("item_list"))}
    return render(request, template, context, status=409 if refusal else 200)
