"""What every filtered list does: read the query string, page by key, and say what is wrong with an address."""

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from withdrawals.filters import SearchedSet
from withdrawals.models.words import Words
from withdrawals.views.access import DeskRequest
from withdrawals.views.fresh import rows_left
from withdrawals.views.paging import BadCursor, Page, keyset_page
from withdrawals.views.tables import Order, layout


def render_list(
    request: DeskRequest,
    template: str,
    filters: SearchedSet,
    *,
    by: str,
    newest_first: bool = True,
    sorts: str = "",
    columns: Sequence[tuple[str, Words]] = (),
    problem: str = "",
    status: int = 200,
    to_rows: Callable[[list[Any]], list[Any]] = list,
    **context: Any,
) -> HttpResponse:
    """One page of a filtered list. A filter that cannot be read shows no rows, and the reason, with status 400.

    `by` is the list's usual order; `sorts` is its name in the address where it can be turned round.
    """
    laid = layout(
        request.GET,
        usual=Order(sorts, by, goes_down=newest_first),
        orders={sorts: by} if sorts else {},
        columns=columns,
    )
    problem = problem or laid.problem
    left: list[Any] = []
    if not filters.form.is_valid():
        # Rows that nobody asked for would be taken for the answer.
        page: Page[Any] = Page([], "", is_first=True)
        problem = gettext("This filter cannot be read, so nothing is shown. Mend it, or clear it.")
    else:
        cursor = filters.form.cleaned_data["cursor"]
        try:
            page = keyset_page(filters.qs, by=by, newest_first=laid.order.goes_down, cursor=cursor)
        except BadCursor as error:
            problem = gettext("{error} This is its beginning.").format(error=error)
            page = keyset_page(filters.qs, by=by, newest_first=laid.order.goes_down, cursor="")
        left = rows_left(request, filters.queryset, page.rows)
    shown = {
        "page": page,
        "rows": to_rows([*page.rows, *left]),
        "layout": laid,
        "filters": filters,
        "q": filters.form.data.get("q", ""),
        "is_id": filters.is_found_by_id,
        "problem": problem,
    }
    return render(request, template, shown | context, status=status if status != 200 else 400 if problem else 200)
