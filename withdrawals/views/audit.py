"""The audit log: looking through it, verifying it, taking it away."""

from operator import itemgetter
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from withdrawals.actions.anchors import configured_places
from withdrawals.actions.audit_checks import start_check
from withdrawals.actions.exports import note_export
from withdrawals.filters import ZONES, AuditFilter
from withdrawals.models import AuditAnchor, AuditCheck, AuditEntry, SavedList
from withdrawals.models.audit_export import csv_lines, json_lines
from withdrawals.templatetags.desk import ACTION_WORDS
from withdrawals.views.access import DeskRequest, SeeOther, needs, require, screen_origin
from withdrawals.views.fresh import LIVE_HEADER, asks_for_itself, keeps_fresh, keys_in
from withdrawals.views.lists import render_list
from withdrawals.views.saved_views import cleaned_query, shown_views

# Offered where a zone is typed; any other name of the tz database is taken too.
MORE_FILTERS = ("role", "source", "item", "trade", "cause", "time_from", "time_to", "zone")

# Counting further would cost more than the number is worth.
MOST_NEWER = 100


def entries_for_rows() -> QuerySet[AuditEntry]:
    """Entries with everything that their rows show, in one query."""
    return AuditEntry.objects.select_related("actor", "trade", "item").defer("trade__document", "item__document")


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
    filters = audit_filter(request.GET, entries_for_rows())
    return render_list(
        request,
        "audit.html",
        filters,
        by="number",
        zone=filters.chosen_zone if filters.form.is_valid() else None,
        zones=ZONES,
        shows_more=any(request.GET.get(name) for name in MORE_FILTERS),
        more_filters=MORE_FILTERS,
        is_asking=asks_for_itself(request),
        newer=_newer(request, filters),
        most_newer=MOST_NEWER,
        saved=shown_views(request, SavedList.AUDIT, lambda query: audit_filter(query, AuditEntry.objects.all())),
        **_check_context(),
    )


def _newer(request: DeskRequest, filters: AuditFilter) -> int:
    """How many entries have come above the first page of the log as the asking page shows it, as far as it counts."""
    if not asks_for_itself(request) or request.GET.get("cursor") or not filters.form.is_valid():
        return 0
    newest = max(keys_in(request.headers[LIVE_HEADER]), default=0)
    return int(filters.qs.filter(number__gt=newest)[: MOST_NEWER + 1].count())


def _check_context() -> dict[str, Any]:
    return {
        "check": AuditCheck.objects.select_related("asked_by").order_by("-pk").first(),
        "anchor": AuditAnchor.objects.order_by("-sent_at", "-pk").first(),
        "has_anchors": bool(configured_places()),
    }


@require_safe
@needs("see_audit")
def audit_check(request: DeskRequest) -> HttpResponse:
    """GET /audit/check/: the panel that tells how the last check goes, for the page to look at again."""
    return render(request, "audit.html#audit-check", _check_context())


@require_POST
@needs("see_audit")
def audit_verify(request: DeskRequest) -> HttpResponse:
    """POST /audit/verify/: "Verify log". A short log is done before the answer; a long one goes on in a worker."""
    start_check(actor=request.user, origin=screen_origin(request), now=timezone.now())
    if request.htmx:
        return render(request, "audit.html#audit-check", _check_context())
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
