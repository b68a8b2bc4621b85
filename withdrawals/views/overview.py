"""What needs a human now."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, QuerySet, Subquery, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from withdrawals.actions.budget import budget_view
from withdrawals.models import AuditEntry, Batch, Delivery, Refund, RefundState, SendBudget, Verdict, count_desk
from withdrawals.models.prepared import found_models, rows_of
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.charts import RANGE_BY_NAME, RANGES, chart_facts, charts
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.kept_lines import entries, line_texts
from withdrawals.views.kept_pages import kept_page, may_be_kept

LATEST = 12


@require_safe
@needs("see_desk")
@keeps_fresh
def overview(request: DeskRequest) -> HttpResponse:
    """GET /: figures, each leading to exactly the list that it counts, charts of `range`, and what happened last."""
    now = timezone.now()
    request.counts = count_desk(now)
    asked = RANGE_BY_NAME.get(request.GET.get("range") or RANGES[0].name)
    read = chart_facts(asked or RANGES[0], now)
    refunds, last_callback_at, budget = tuple(rows_of(_refunds)), _last_callback_at(), budget_view(now)
    live_batches, latest = len(rows_of(_live_batches)), found_models(_latest)

    def shown() -> dict[str, Any]:
        no_such_range = gettext("There is no such range. These are the last {range}.")
        return {
            "counts": request.counts,
            "refunds": _in_words(refunds),
            "alarms": request.counts.ringing,
            "ranges": RANGES,
            "shown": read.shown,
            "charts": charts(read, budget.used),
            "problem": "" if asked else no_such_range.format(range=read.shown.label),
            "last_callback_at": last_callback_at,
            "budget": budget,
            "live_batches": live_batches,
            "latest": line_texts("overview.html#latest-line", latest, request=request, now=now),
        }

    if asked is None or not may_be_kept(request):
        return render(request, "overview.html", shown(), status=200 if asked else 400)
    facts = (request.counts, read, refunds, last_callback_at, budget, live_batches, latest.rows)
    # What time moves is counted anew each time: nothing of it is left to the page.
    return kept_page(request, "overview.html", facts, now=now, shown=shown, changes_at=lambda: ())


def _refunds() -> QuerySet[Refund, Any]:
    waiting = Refund.objects.filter(state__in=(RefundState.DUE, RefundState.IN_REVIEW, RefundState.AWAITING))
    return waiting.order_by().values_list("state").annotate(Count("pk"), Sum("amount"), Min("opened_at"))


def _in_words(refunds: tuple[tuple[str, int, Decimal | None, datetime], ...]) -> dict[str, Any]:
    """The same by names; of what there is none nothing but that."""
    found = {state: row for state, *row in refunds}
    named: dict[str, Any] = {}
    for state in (RefundState.DUE, RefundState.IN_REVIEW, RefundState.AWAITING):
        named[f"{state}_count"], named[f"{state}_total"], oldest = found.get(state, (0, None, None))
        named[f"oldest_{state}"] = oldest
    return named


def _last_callback_at() -> datetime | None:
    """When the last callback came: the latest of each verdict, which an index knows."""
    ((*latest,),) = rows_of(_latest_by_verdict)
    return max((moment for moment in latest if moment is not None), default=None)


def _latest_by_verdict() -> QuerySet[SendBudget, Any]:
    of = [Delivery.objects.filter(verdict=verdict).order_by("-last_received_at") for verdict in Verdict]
    return SendBudget.objects.filter(pk=1).values_list(*[Subquery(each.values("last_received_at")[:1]) for each in of])


def _live_batches() -> QuerySet[Batch, Any]:
    return Batch.objects.live().values_list("pk")


def _latest() -> QuerySet[AuditEntry]:
    return entries().order_by("-number")[:LATEST]


@require_safe
@needs("see_desk")
def server_now(request: DeskRequest) -> HttpResponse:
    """GET /now/: the server's clock, for a page that slept."""
    now = timezone.now()
    return HttpResponse(now.isoformat(), content_type="text/plain")
