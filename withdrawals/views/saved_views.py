"""Saved views of any list: the chips above it with their counts, keeping one, taking one away.

A list shows them by `{% include "saved_views.html" %}` with `saved=shown_views(...)` in its context.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from withdrawals.actions.saved_views import ViewRefused, remove_view, save_view
from withdrawals.filters import SearchedSet
from withdrawals.forms import SaveViewForm
from withdrawals.models import SavedList, SavedView
from withdrawals.models.masking import without_tokens
from withdrawals.models.saved_view import seen_views
from withdrawals.views.access import DeskRequest, SeeOther, needs, require, screen_origin

# Counting further would cost more than the number is worth.
COUNTED = 999


@dataclass(frozen=True)
class Chip:
    """One saved view above its list."""

    view: SavedView
    count: str
    is_current: bool
    can_remove: bool

    @property
    def address(self) -> str:
        """Where it leads."""
        return f"{reverse(self.view.saved_list)}?{self.view.query}"


@dataclass(frozen=True)
class Shown:
    """What the include shows: the chips, and what would be saved now."""

    saved_list: SavedList
    chips: tuple[Chip, ...]
    query: str

    @property
    def facts(self) -> Hashable:
        """Everything that it shows."""
        views = [(chip.view.name, chip.view.query, chip.view.is_shared, str(chip.view.owner)) for chip in self.chips]
        return self.chips, tuple(views), self.query


Rows = QuerySet[Any, Any] | SearchedSet


def shown_views(
    request: DeskRequest, saved_list: SavedList, rows: Callable[[QueryDict], Rows], *, are_any: bool = True
) -> Shown:
    """The views of a list that this person sees. `rows` is the list's own filter, so a count is what the list holds.

    Where it is known that there are none, none are asked for.
    """
    query = cleaned_query(request.GET)
    chips = tuple(
        Chip(
            view=view,
            count=_count(rows(QueryDict(view.query))),
            is_current=view.query == query,
            can_remove=not view.removal_refusal(request.user),
        )
        for view in (seen_views(saved_list, request.user) if are_any else ())
    )
    return Shown(saved_list, chips, query)


def cleaned_query(given: QueryDict) -> str:
    """A query string as it is kept: without empty fields, a place in the list or a trade link's token, in order."""
    kept = QueryDict(mutable=True)
    for name in sorted(given):
        values = [without_tokens(value) for value in given.getlist(name) if value]
        if values and name != "cursor":
            kept.setlist(name, values)
    return kept.urlencode()


def _count(found: Rows) -> str:
    if not isinstance(found, QuerySet) and not found.form.is_valid():
        return "?"  # a filter that this list no longer knows
    rows = found if isinstance(found, QuerySet) else found.qs
    number = rows.order_by()[: COUNTED + 1].count()
    return str(number) if number <= COUNTED else f"{COUNTED}+"


@require_POST
@needs("see_desk")
def view_save(request: DeskRequest) -> HttpResponse:
    """POST /views/: keep the filters under a name. 422 where the name is taken or missing."""
    now = timezone.now()
    form = SaveViewForm(request.POST)
    if not form.is_valid():
        return _refuse(request, " ".join(str(error) for errors in form.errors.values() for error in errors), status=422)
    given: dict[str, Any] = form.cleaned_data
    saved_list = SavedList(given["saved_list"])
    require(request.user, saved_list.permission)
    query = cleaned_query(QueryDict(given["query"]))
    try:
        view = save_view(
            saved_list=saved_list,
            name=given["name"],
            query=query,
            is_shared=given["is_shared"],
            actor=request.user,
            origin=screen_origin(request),
            now=now,
        )
    except ViewRefused as refused:
        return _refuse(request, str(refused), status=422)
    messages.success(request, gettext("View saved: {name}.").format(name=view.name))
    return SeeOther(f"{reverse(saved_list)}?{query}")


@require_POST
@needs("see_desk")
def view_remove(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /views/<pk>/remove/: one's own, or the team's by an admin. 409 where it is another's."""
    try:
        view = remove_view(view_id=pk, actor=request.user, origin=screen_origin(request), now=timezone.now())
    except SavedView.DoesNotExist as error:
        raise Http404("No such view.") from error
    except ViewRefused as refused:
        return _refuse(request, str(refused), status=409)
    messages.success(request, gettext("View removed: {name}.").format(name=view.name))
    return SeeOther(reverse(view.saved_list))


def _refuse(request: DeskRequest, problem: str, *, status: int) -> HttpResponse:
    return render(request, "view_refused.html", {"problem": problem}, status=status)
