"""The worklist, one row of it, and the request to cancel an item."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.cancellations import CancelRefused, request_cancellation
from withdrawals.forms import CancelForm, SearchForm
from withdrawals.models import Item
from withdrawals.views.access import DeskRequest, SeeOther, needs, safe_next, screen_origin
from withdrawals.views.paging import BadCursor, keyset_page
from withdrawals.views.worklist import TAB_BY_NAME, TABS, ItemRow, count_up_to, for_rows, item_row, item_rows


@require_safe
@needs("see_desk")
def item_list(request: DeskRequest) -> HttpResponse:
    """GET /items/: one tab of the worklist, or whatever `q` finds; an id finds its rows wherever they stand."""
    now = timezone.now()
    form = SearchForm(request.GET)
    problem = "" if form.is_valid() else "That search cannot be read. Shorten it, or clear it."
    text = form.cleaned_data.get("q", "").strip()
    tab = TAB_BY_NAME.get(request.GET.get("tab") or "can")
    if tab is None:
        problem, tab = "There is no such tab. This is what can be cancelled now.", TAB_BY_NAME["can"]
    found, is_id = Item.objects.search(text) if text else (None, False)
    shown = TAB_BY_NAME["all"] if is_id else tab
    queries = [query.holds(now) if found is None or is_id else query.holds(now) & found for query in TABS]
    items = found if found is not None and is_id else queries[TABS.index(shown)]
    cursor = form.cleaned_data.get("cursor", "")
    try:
        page = keyset_page(for_rows(items), by="opened_at", newest_first=shown.newest_first, cursor=cursor)
    except BadCursor as error:
        problem = f"{error} This is its beginning."
        page = keyset_page(for_rows(items), by="opened_at", newest_first=shown.newest_first, cursor="")
    context = {
        "page": page,
        "rows": item_rows(page.rows, person=request.user, now=now),
        "tabs": [(each, count_up_to(query)) for each, query in zip(TABS, queries, strict=True)],
        "tab": tab,
        "q": text,
        "is_id": is_id,
        "problem": problem,
    }
    return render(request, "items.html", context, status=400 if problem else 200)


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
    now = timezone.now()
    item = get_object_or_404(for_rows(Item.objects.all()), pk=pk)
    row = item_row(item, person=request.user, now=now)
    if request.method != "POST":
        return _dialog(request, row, CancelForm(initial={"number": row.number}), status=200)
    form = CancelForm(request.POST)
    if not form.is_valid():
        return _dialog(request, row, form, status=422)
    try:
        request_cancellation(
            item_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now
        )
    except CancelRefused as refused:
        return answer_with_row(request, pk, refusal=str(refused))
    messages.success(request, f"Asked for: {item}. It leaves for AssetPay in a moment.")
    return answer_with_row(request, pk)


def _dialog(request: DeskRequest, row: ItemRow, form: CancelForm, *, status: int) -> HttpResponse:
    context = {"row": row, "form": form, "back": safe_next(request, reverse("item_list"))}
    template = "item_cancel.html#cancel-dialog" if request.htmx else "item_cancel.html"
    response = render(request, template, context, status=status)
    if request.htmx:
        # A form that is wrong comes back into the dialog, not into the row that the form aims at.
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog-slot", "innerHTML"
    return response


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
