"""Keeping the filters of a list under a name."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import SavedList, SavedView, User

MOST_VIEWS = 30


class ViewRefused(Exception):
    """The view was not kept or not taken away; the sentence says why."""


def save_view(
    *, saved_list: SavedList, name: str, query: str, is_shared: bool, actor: User, origin: Origin, now: datetime
) -> SavedView:
    """Keep `query` under `name`, for `actor` or for everybody. Raises ViewRefused for a name that is taken."""
    if SavedView.objects.filter(owner=actor, saved_list=saved_list).count() >= MOST_VIEWS:
        raise ViewRefused(
            gettext("You have {count} views of this list already. Remove one first.").format(count=MOST_VIEWS)
        )
    try:
        with transaction.atomic():
            view = SavedView.objects.create(
                owner=actor, saved_list=saved_list, name=name, query=query, is_shared=is_shared, saved_at=now
            )
            record([Fact("view.saved", after=_described(view))], origin=origin, now=now)
    except IntegrityError as error:
        raise ViewRefused(gettext("You already have a view called {name} here.").format(name=name)) from error
    return view


def remove_view(*, view_id: int, actor: User, origin: Origin, now: datetime) -> SavedView:
    """Take a view away. Raises ViewRefused where it is another's, or SavedView.DoesNotExist."""
    with transaction.atomic():
        rows = SavedView.objects.select_for_update(of=("self",), no_key=True).select_related("owner")
        view = rows.get(pk=view_id)
        refusal = view.removal_refusal(actor)
        if refusal:
            raise ViewRefused(refusal)
        described = _described(view)
        view.delete()
        record([Fact("view.removed", before=described)], origin=origin, now=now)
    return view


def _described(view: SavedView) -> dict[str, Value]:
    return {
        "view": view.name,
        "list": str(view.saved_list),
        "filters": view.query[:300],
        "for_the_team": view.is_shared,
    }
