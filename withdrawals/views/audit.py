"""The audit log: looking through it, verifying it, taking it away."""

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import FETCH_RAISE, QuerySet
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.anchors import configured_places
from withdrawals.actions.audit_checks import start_check
from withdrawals.actions.exports import note_export
from withdrawals.filters import UTC_ZONE, ZONES, AuditFilter
from withdrawals.models import AuditAnchor, AuditCheck, AuditEntry, SavedList, count_desk
from withdrawals.models.audit_export import csv_lines, json_lines
from withdrawals.models.prepared import Found, found_models
from withdrawals.templatetags.desk import ACTION_WORDS
from withdrawals.views.access import (
    LIVE_HEADER,
    DeskRequest,
    SeeOther,
    asks_for_itself,
    needs,
    require,
    screen_origin,
)
from withdrawals.views.fresh import keeps_fresh, keys_in
from withdrawals.views.kept_lines import entries, entry_texts, line_texts
from withdrawals.views.kept_pages import kept_page, may_be_kept
from withdrawals.views.lists import render_list
from withdrawals.views.paging import PAGE_SIZE, BadCursor, Place, ordered_from, page_at
from withdrawals.views.saved_views import Shown, cleaned_query, shown_views

# Offered where a zone is typed; any other name of the tz database is taken too.
MORE_FILTERS = ("role", "source", "item", "trade", "cause", "time_from", "time_to", "zone")


# Each is some 20 kB.
@lru_cache(maxsize=100)
def _filter_form(query: str, language: str) -> SafeString:
    """The form as this address fills it, and what it finds wrong; `language` is the active one."""
    filters = audit_filter(QueryDict(query), AuditEntry.objects.none())
    shows_more = not filters.form.is_valid() or any(filters.data.get(name) for name in MORE_FILTERS)
    shown = {"filters": filters, "shows_more": shows_more, "more_filters": MORE_FILTERS, "zones": ZONES}
    return SafeString(get_template("audit.html#audit-filters").render(shown))  # what a template made


@dataclass(frozen=True)
class LastCheck:
    """The last check of the log, the last anchor, and whether there is a place for anchors."""

    check: Found[AuditCheck]
    anchor: Found[AuditAnchor]
    has_anchors: bool

    @property
    def facts(self) -> Hashable:
        """Everything that the panel shows."""
        return self.check.rows, self.anchor.rows, self.has_anchors

    def shown(self) -> dict[str, Any]:
        """The same for the template."""
        check, anchor = next(iter(self.check.models()), None), next(iter(self.anchor.models()), None)
        return {"check": check, "anchor": anchor, "has_anchors": self.has_anchors}


# Counting further would cost more than the number is worth.
MOST_NEWER = 100


def entries_for_rows() -> QuerySet[AuditEntry]:
    """Entries to be filtered and paged; their lines read what they show (`kept_lines.py`)."""
    return AuditEntry.objects.only("number")


def audit_filter(query: QueryDict, entries: QuerySet[AuditEntry]) -> AuditFilter:
    """The filters of the log over these entries."""
    actions = sorted(((action, str(words)) for action, words in ACTION_WORDS.items()), key=itemgetter(1))
    return AuditFilter(query, queryset=entries, actions=actions)


@require_safe
@needs("see_audit")
@keeps_fresh
def audit_list(request: DeskRequest) -> HttpResponse:
    """GET /audit/: newest first, by person, role, action, door, item, trade, cause, and days or times in a zone.

    A page that asks for itself is told how many entries are newer than those on its screen: none moves under a reader.
    """
    now = timezone.now()
    if _is_whole(request):
        request.counts = count_desk(now)
        if may_be_kept(request):
            with suppress(BadCursor):
                return _whole_log(request, now)
    filters = audit_filter(request.GET, entries_for_rows())
    zone = filters.chosen_zone if filters.form.is_valid() else None
    return render_list(
        request,
        "audit.html",
        filters,
        by="number",
        to_rows=lambda found: entry_texts(found, request=request, now=now, zone=zone),
        newer=_newer(request, filters),
        **_around(request, zone, _views(request), _last_check()),
    )


def _is_whole(request: DeskRequest) -> bool:
    """Whether a person asks for the log as it is, by no filter."""
    return not asks_for_itself(request) and not any(value for name, value in request.GET.items() if name != "cursor")


def _whole_log(request: DeskRequest, now: datetime) -> HttpResponse:
    """A page of all entries, kept by all that it shows. Raises BadCursor."""

    def read(goes_down: bool, place: Place | None) -> list[EntryRow]:
        at = {} if place is None else dict(zip(("value", "key"), cast(tuple[int, int], place), strict=True))
        found = found_models(_entries_from, goes_down, place is not None, **at)
        return [EntryRow(found, row) for row in found.rows]

    page = page_at(
        read, kind=int, value_of=lambda row: row.entry.number, newest_first=True, cursor=request.GET.get("cursor", "")
    )
    found = Found[AuditEntry](
        tuple([row.row for row in page.rows]), page.rows[0].found.statement if page.rows else None
    )
    saved, check = _views(request), _last_check()
    places = (page.is_first, page.next_cursor, page.previous_cursor)

    def shown() -> dict[str, Any]:
        rows = line_texts("audit.html#audit-row", found, request=request, now=now, zone=UTC_ZONE)
        return _around(request, UTC_ZONE, saved, check) | {"page": page, "rows": rows}

    facts = (found.rows, places, saved.facts, request.counts, check.facts)
    return kept_page(
        request, "audit.html", facts, now=now, shown=shown, changes_at=lambda: (), is_personal=bool(saved.chips)
    )


@dataclass(frozen=True)
class EntryRow:
    """A line of the log that is not made into an entry until its place is asked for."""

    found: Found[AuditEntry]
    row: tuple[Any, ...]

    @property
    def entry(self) -> AuditEntry:
        """The entry."""
        return self.found.model(self.row)

    @property
    def pk(self) -> int:
        """Its key."""
        return self.entry.pk


def _entries_from(goes_down: bool, has_place: bool, value: int = 0, key: int = 0) -> QuerySet[AuditEntry]:
    place = (value, key) if has_place else None
    return ordered_from(entries(), "number", goes_down, place)[: PAGE_SIZE + 1]


def _views(request: DeskRequest) -> Shown:
    return shown_views(request, SavedList.AUDIT, lambda query: audit_filter(query, AuditEntry.objects.all()))


def _around(request: DeskRequest, zone: ZoneInfo | None, saved: Shown, check: LastCheck) -> dict[str, Any]:
    """What stands around the lines."""
    return {
        "zone": zone,
        "filter_form": _filter_form(request.GET.urlencode(), get_language() or ""),
        "is_asking": asks_for_itself(request),
        "most_newer": MOST_NEWER,
        "saved": saved,
        **check.shown(),
    }


def _newer(request: DeskRequest, filters: AuditFilter) -> int:
    """How many entries have come above the first page of the log as the asking page shows it, as far as it counts."""
    if not asks_for_itself(request) or request.GET.get("cursor") or not filters.form.is_valid():
        return 0
    newest = max(keys_in(request.headers[LIVE_HEADER]), default=0)
    return int(filters.qs.filter(number__gt=newest)[: MOST_NEWER + 1].count())


def _last_check() -> LastCheck:
    return LastCheck(found_models(_checks), found_models(_anchors), bool(configured_places()))


def _checks() -> QuerySet[AuditCheck]:
    # What a log-in changes is no part of a check.
    checks = AuditCheck.objects.select_related("asked_by").defer("asked_by__last_login", "asked_by__password")
    return checks.fetch_mode(FETCH_RAISE).order_by("-pk")[:1]


def _anchors() -> QuerySet[AuditAnchor]:
    anchors = AuditAnchor.objects.order_by("-sent_at", "-pk")
    return anchors.fetch_mode(FETCH_RAISE)[:1]


@require_safe
@needs("see_audit")
def audit_check(request: DeskRequest) -> HttpResponse:
    """GET /audit/check/: the panel that tells how the last check goes, for the page to look at again."""
    return render(request, "audit.html#audit-check", _last_check().shown())


@require_POST
@needs("see_audit")
def audit_verify(request: DeskRequest) -> HttpResponse:
    """POST /audit/verify/: "Verify log". A short log is done before the answer; a long one goes on in a worker."""
    start_check(actor=request.user, origin=screen_origin(request), now=timezone.now())
    if request.htmx:
        return render(request, "audit.html#audit-check", _last_check().shown())
    return SeeOther(reverse("audit_list"))


@require_POST
@needs("export_rows")
def audit_export(request: DeskRequest) -> HttpResponse | StreamingHttpResponse:
    """POST /audit/export/: `form=jsonl` the whole log, which proves itself; `form=csv` the rows of the filter.

    403 without the right to see the log, 400 where the filter cannot be read.
    """
    now = timezone.now()
    require(request.user, "see_audit")
    form = "csv" if request.POST.get("form") == "csv" else "jsonl"
    filters = audit_filter(QueryDict(request.POST.get("query", "")), AuditEntry.objects.all())
    if form == "csv" and not filters.form.is_valid():
        messages.error(request, gettext("This filter cannot be read, so nothing was exported."))
        return SeeOther(reverse("audit_list"))
    chosen = cleaned_query(QueryDict(request.POST.get("query", ""))) if form == "csv" else ""
    head = note_export(of="audit_list", form=form, filters=chosen, origin=screen_origin(request), now=now)
    if form == "csv":
        # The byte order mark: without it a spreadsheet takes UTF-8 for something else.
        lines = csv_lines(filters.qs.filter(number__lte=head.number), mark="\ufeff")
    else:
        lines = json_lines(head, now=now)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/jsonl"
    name = f"audit-{now:%Y%m%d-%H%M%S}-to-{head.number}.{form}"
    return StreamingHttpResponse(
        lines, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
