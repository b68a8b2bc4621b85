"""Pages that keep themselves fresh: each asks for its own address again, and hears 304 while nothing has changed.

`static/js/live.js` asks, with the rows on its screen, and puts what came into the page.
"""

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from functools import wraps
from hashlib import sha256
from typing import Any, Concatenate

from django.db import connection
from django.db.models import Count, Max, Model, Q, QuerySet, StringAgg, Subquery, Sum, TextField, Value
from django.db.models.functions import Cast, JSONArray
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone

from withdrawals.models import AuditHead, Cancellation, Item, Presence, SavedView, User
from withdrawals.models.item import cancel_window
from withdrawals.models.prepared import rows_of
from withdrawals.models.presence import PRESENT_FOR
from withdrawals.views.access import LIVE_HEADER, DeskRequest, asks_for_itself
from withdrawals.views.kept_pages import KEPT, Kept, look_of

# As many rows as any page keeps on its screen, and a few more.
MOST_ROWS = 200
# What time alone changes, beyond what the version names, is shown after at most so long.
LOOK_ANYWAY_SECONDS = 30
Version = tuple[Any, ...]
# Pages by version, look and the rows on the screen that asked.
MADE: dict[Hashable, Kept] = {}


def keys_in(text: str) -> list[int]:
    """The keys of rows in a list that a script made; whatever is none is left out."""
    texts = text.split(",")[:MOST_ROWS]
    return [int(each) for each in texts if each.isascii() and each.isdigit() and len(each) < 19]


def keeps_fresh[**P](
    view: Callable[Concatenate[DeskRequest, P], HttpResponseBase],
) -> Callable[Concatenate[DeskRequest, P], HttpResponseBase]:
    """A page that may ask for itself: 304 where it is as this page last saw it. Stands under `needs`.

    Where the view made the very same page for somebody else who may do the same (`kept_page`), it is not asked again.
    """

    @wraps(view)
    def checked(request: DeskRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not asks_for_itself(request):
            return view(request, *args, **kwargs)
        # Before anything of the page is read, so that what happens meanwhile is news the next time.
        now = timezone.now()
        version = desk_version(request.user, now)
        tag = _tag(version, request.user)
        # A proxy that packs an answer calls its tag a weak one.
        seen = request.headers.get("If-None-Match", "").removeprefix("W/")
        if seen == tag:
            return HttpResponse(status=304, headers={"ETag": tag})
        key = (version, look_of(request), request.headers[LIVE_HEADER])
        # One that has asked before shows nothing newer than this version; one that a person has just loaded may.
        made = MADE.get(key) if seen else None
        if made is not None and made.holds(now):
            response: HttpResponseBase = made.answer(request, now)
        else:
            response = view(request, *args, **kwargs)
            if made := getattr(request, "made", None):
                if len(MADE) >= KEPT:
                    MADE.clear()
                MADE[key] = made
        if response.status_code == 200:
            response.headers["ETag"] = tag
        return response

    return checked


def desk_version(person: User, now: datetime) -> Version:
    """Another one whenever something that a list shows may have changed; it begins with the number of the last fact.

    Each fact is an entry of the audit log, whose head only grows. Beside it count what the clock moves (an item that
    becomes old enough, a request whose moment has come), where the open requests stand, who else is there, and which
    saved views this person sees: a page with any is theirs alone.
    """
    aged_by, since = now - cancel_window(), now - PRESENT_FOR
    (moved,) = rows_of(_moved, now=now, aged_by=aged_by, person=person.pk, since=since)
    return (*moved, int(now.timestamp()) // LOOK_ANYWAY_SECONDS)


def _tag(version: Version, person: User) -> str:
    number, *moved = version
    return f'"{number}-{sha256(repr((person.pk, moved)).encode()).hexdigest()[:16]}"'


def _moved(now: datetime, aged_by: datetime, person: int, since: datetime) -> QuerySet[AuditHead, Any]:
    """The number of the last fact, the youngest item that is old enough, the newest request, where the open requests
    stand, who else is where, and which saved views this person sees; in one row.
    """
    aged = Item.objects.filter(opened_at__lte=aged_by).order_by("-opened_at", "-pk").values("pk")[:1]
    newest = Cancellation.objects.order_by("-pk").values("pk")[:1]
    one_group = Cancellation.objects.open().order_by().annotate(all=Value(1)).values("all")
    due = Count("pk", filter=Q(send_from__lte=now))
    waiting = one_group.annotate(told=_as_text(Count("pk"), Sum("pk"), due, Max("changed_at"))).values("told")
    others = Presence.objects.of_others(person, since=since).order_by().annotate(all=Value(1)).values("all")
    places = _as_text("person", "item", "trade")
    # Saying again that one is there moves a row on PostgreSQL. On SQLite it stays, whose older versions know no order.
    in_order = "pk" if connection.features.supports_aggregate_order_by_clause else None
    there = others.annotate(told=StringAgg(places, Value(","), order_by=in_order)).values("told")
    # No entry of the log, and one person's own.
    views = SavedView.objects.seen_by(person).order_by().annotate(all=Value(1)).values("all")
    seen = views.annotate(told=_as_text(Count("pk"), Max("pk"), Max("saved_at"))).values("told")
    facts = {"aged": aged, "newest": newest, "waiting": waiting, "there": there, "views": seen}
    head = AuditHead.objects.annotate(**{name: Subquery(rows) for name, rows in facts.items()})
    return head.filter(pk=1).values_list("number", *facts)


def _as_text(*parts: Any) -> Cast:
    return Cast(JSONArray(*parts), TextField())


def rows_left[Row: Model](request: DeskRequest, queryset: QuerySet[Row], shown: Iterable[Row]) -> list[Row]:
    """Rows that the asking page still has on its screen and that this page of the list no longer holds."""
    keys = keys_left(request, shown)
    return list(queryset.filter(pk__in=keys)) if keys else []


def keys_left(request: DeskRequest, shown: Iterable[Any]) -> set[int]:
    """Their keys; none where a person asks."""
    if not asks_for_itself(request):
        return set()
    return set(keys_in(request.headers[LIVE_HEADER])) - {row.pk for row in shown}
