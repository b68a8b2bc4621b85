"""The callback inbox: what came, what became of it, what was not let in, and sending it through once more."""

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.deliveries import Replayed, replay_delivery
from withdrawals.actions.documents import note_document_read
from withdrawals.filters import DeliveryFilter
from withdrawals.forms import ReplayForm
from withdrawals.models import Delivery, RejectedCall, SavedList
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.lists import render_list
from withdrawals.views.saved_views import shown_views

REJECTED_SHOWN = 20
SIBLINGS_SHOWN = 20
COLUMNS = (("about", "About"), ("verdict", "Verdict"), ("changed", "What it changed"))
# More than a person can look through; the command line takes any number.
MOST_REPLAYED = 200


@dataclass(frozen=True)
class ReplayRow:
    """One delivery, and what replaying it would do or did."""

    delivery: Delivery
    replayed: Replayed


@require_safe
@needs("see_desk")
@keeps_fresh
def delivery_list(request: DeskRequest) -> HttpResponse:
    """GET /deliveries/: newest first, by `verdict`, `kind`, `mark` and `q`; beneath them those not let in."""
    rejected = RejectedCall.objects.order_by("-received_at", "-pk")
    return render_list(
        request,
        "deliveries.html",
        DeliveryFilter(request.GET, queryset=_without_bodies()),
        by="received_at",
        sorts="came",
        columns=COLUMNS,
        saved=shown_views(
            request, SavedList.DELIVERIES, lambda query: DeliveryFilter(query, queryset=Delivery.objects.all())
        ),
        rejected=rejected[:REJECTED_SHOWN],
        rejected_count=rejected.count(),
    )


@require_safe
@needs("see_desk")
def delivery_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /deliveries/<pk>/: one callback, and the others about the same trade."""
    delivery = get_object_or_404(_without_bodies().select_related("conflicts_with"), pk=pk)
    siblings = _without_bodies().exclude(pk=pk).order_by("-received_at", "-pk")
    if delivery.trade_id is not None:
        siblings = siblings.filter(trade=delivery.trade_id)
    else:
        siblings = siblings.filter(subject_id=delivery.subject_id).exclude(subject_id="")
    return render(request, "delivery.html", {"delivery": delivery, "siblings": siblings[:SIBLINGS_SHOWN]})


@require_safe
@needs("read_document")
def delivery_document(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /deliveries/<pk>/document/: the body as it came, as text. The reading is an entry in the audit log."""
    now = timezone.now()
    delivery = get_object_or_404(Delivery.objects.select_related("trade"), pk=pk)
    note_document_read(document=f"delivery:{pk}", trade=delivery.trade, origin=screen_origin(request), now=now)
    return render(request, "delivery_document.html", {"delivery": delivery})


@require_http_methods(["GET", "HEAD", "POST"])
@needs("replay_delivery")
def delivery_replay(request: DeskRequest, pk: int) -> HttpResponse:
    """/deliveries/<pk>/replay/: show what would change, then send it through the corridor once more."""
    delivery = get_object_or_404(_without_bodies(), pk=pk)
    if request.method != "POST":
        return _preview(request, [delivery], left_out=0)
    return _replay(request, [delivery])


@require_http_methods(["GET", "HEAD", "POST"])
@needs("replay_delivery")
def delivery_replay_many(request: DeskRequest) -> HttpResponse:
    """/deliveries/replay/: the deliveries that the filter finds now, counted and shown; then exactly those, replayed.

    422 where the form names no deliveries, 400 where the filter cannot be read.
    """
    if request.method == "POST":
        form = ReplayForm(request.POST)
        if not form.is_valid():
            return _preview(request, [], left_out=0, problem="Nothing was chosen to replay.", status=422)
        chosen = _without_bodies().filter(pk__in=form.cleaned_data["deliveries"][:MOST_REPLAYED])
        return _replay(request, list(chosen.order_by("received_at", "pk")))
    filters = DeliveryFilter(request.GET, queryset=_without_bodies())
    if not filters.form.is_valid():
        return _preview(request, [], left_out=0, problem="This filter cannot be read.", status=400)
    found = filters.qs.order_by("received_at", "pk")
    return _preview(request, list(found[:MOST_REPLAYED]), left_out=max(0, found.count() - MOST_REPLAYED))


def _without_bodies() -> QuerySet[Delivery]:
    # No list shows a body, and one may weigh a megabyte.
    return Delivery.objects.select_related("trade").defer("body", "trade__document")


def _preview(
    request: DeskRequest, deliveries: list[Delivery], *, left_out: int, problem: str = "", status: int = 200
) -> HttpResponse:
    rows = _run(request, deliveries, dry_run=True)
    context = {"rows": rows, "left_out": left_out, "most": MOST_REPLAYED, "problem": problem}
    return render(request, "replay.html", context, status=status)


def _replay(request: DeskRequest, deliveries: list[Delivery]) -> HttpResponse:
    rows = _run(request, deliveries, dry_run=False)
    changed = sum(bool(row.replayed.changes) for row in rows)
    messages.success(request, f"{len(rows)} replayed, {changed} changed something.")
    if len(rows) == 1:
        return SeeOther(reverse("delivery_detail", args=[rows[0].delivery.pk]))
    return render(request, "replay.html", {"rows": rows, "is_done": True})


def _run(request: DeskRequest, deliveries: list[Delivery], *, dry_run: bool) -> list[ReplayRow]:
    now, origin = timezone.now(), screen_origin(request)
    return [
        ReplayRow(each, replay_delivery(delivery_id=each.pk, origin=origin, now=now, dry_run=dry_run))
        for each in deliveries
    ]
