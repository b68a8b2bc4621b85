"""Many items at once: what was chosen is frozen and shown first, then asked for, watched, paused, stopped, undone."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from withdrawals.actions.batches import (
    MAX_ITEMS,
    BatchRefused,
    draft_batch,
    pause_batch,
    preview,
    resume_batch,
    start_batch,
    stop_batch,
    undo_batch,
)
from withdrawals.actions.budget import budget_view
from withdrawals.filters import BatchFilter
from withdrawals.forms import ChoiceForm, ReasonForm
from withdrawals.models import Batch, BatchState
from withdrawals.models.words import Words
from withdrawals.views.access import DeskRequest, SeeOther, needs, screen_origin
from withdrawals.views.finding import Found, find_items
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.items import items_page
from withdrawals.views.lists import render_list

# As many names as anybody reads at once: before pressing the rest is counted, afterwards it stands on further pages.
NAMES = 200
ACTS: dict[str, tuple[Callable[..., Batch], Words]] = {
    "pause": (pause_batch, gettext_lazy("Paused. What is on its way stays on its way; nothing more leaves.")),
    "resume": (resume_batch, gettext_lazy("Goes on.")),
    "stop": (stop_batch, gettext_lazy("Stopped. What had not left yet was never asked for.")),
    "undo": (undo_batch, gettext_lazy("Taken back before anything left.")),
}


@require_http_methods(["GET", "HEAD", "POST"])
@needs("see_desk")
@keeps_fresh
def batch_list(request: DeskRequest) -> HttpResponseBase:
    """/batches/: the batches, newest first; POST freezes a selection and leads to its preview."""
    if request.method == "POST":
        return _draft(request)
    filters = BatchFilter(request.GET, queryset=Batch.objects.select_related("requested_by"))
    return render_list(
        request,
        "batches.html",
        filters,
        by="created_at",
        to_rows=lambda batches: [(batch, batch.tally()) for batch in batches],
    )


@needs("cancel_in_bulk")
def _draft(request: DeskRequest) -> HttpResponse:
    now = timezone.now()
    found = find_items(request.POST, now=now)
    form = ChoiceForm(request.POST)
    if request.POST.get("scope") == "matching":
        if found.problem:
            return items_page(request, found, status=422)
        item_ids, selection = _matching(found), found.in_words
    elif form.is_valid():
        item_ids = form.cleaned_data["item"]
        selection = f"{len(item_ids)} {'row' if len(item_ids) == 1 else 'rows'} ticked by hand"
    else:
        return items_page(request, found, problem=gettext("Nothing is selected. Tick the rows first."), status=422)
    try:
        batch = draft_batch(
            item_ids=item_ids, selection=selection, actor=request.user, origin=screen_origin(request), now=now
        )
    except BatchRefused as refused:
        return items_page(request, found, problem=str(refused), status=422)
    return SeeOther(reverse("batch_detail", args=[batch.pk]))


def _matching(found: Found) -> list[int]:
    sign = "-" if found.tab.newest_first else ""
    ordered = found.items.order_by(f"{sign}opened_at", f"{sign}pk")
    return list(ordered.values_list("pk", flat=True)[: MAX_ITEMS + 1])


@require_safe
@needs("see_desk")
@keeps_fresh
def batch_detail(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /batches/<pk>/: before it starts what it would do, afterwards what became of it, `from` an item on."""
    return _page(request, pk, ReasonForm())


def _progress(request: DeskRequest, batch: Batch) -> dict[str, Any]:
    now = timezone.now()
    tally = batch.tally()
    return {
        "batch": batch,
        "tally": tally,
        "gone": tally.total - tally.waiting,
        "can_undo": batch.state == BatchState.RUNNING and batch.send_from is not None and now < batch.send_from,
        "budget": budget_view(now) if batch.is_live else None,
        "leftovers": batch.leftovers().count(),
        "may_act": request.user.may("cancel_in_bulk"),
    }


def _page(request: DeskRequest, pk: int, form: ReasonForm, *, problem: str = "", status: int = 200) -> HttpResponse:
    batch = get_object_or_404(Batch.objects.select_related("requested_by"), pk=pk)
    # What a form that was refused brought stands at an address that cannot be asked for.
    is_live = request.method == "GET" and batch.state != BatchState.DRAFT
    context = {"form": form, "problem": problem, "is_live": is_live} | _progress(request, batch)
    if batch.state == BatchState.DRAFT:
        chosen = batch.items.filter(excluded_rule="").select_related("item__trade").order_by("position")
        context |= {"preview": preview(batch, now=timezone.now()), "chosen": chosen[:NAMES]}
    else:
        first = _first_position(request)
        rows = batch.items.select_related("item__trade", "cancellation").order_by("position")
        shown = list(rows.filter(position__gte=first)[:NAMES])
        context |= {"rows": shown, "first": first, "last": first + len(shown) - 1}
        context |= {"before": max(1, first - NAMES) if first > 1 else None, "after": first + NAMES}
    return render(request, "batch.html", context, status=status)


def _first_position(request: DeskRequest) -> int:
    """From which item of the batch on the page shows them; whatever is no number of one shows its beginning."""
    asked = request.GET.get("from", "")
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1


@require_POST
@needs("cancel_in_bulk")
def batch_start(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /batches/<pk>/start/: ask for all that can be asked for; 409 where it has started, 422 without a reason."""
    now = timezone.now()
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _page(request, pk, form, status=422)
    get_object_or_404(Batch, pk=pk)
    try:
        start_batch(batch_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now)
    except BatchRefused as refused:
        return _page(request, pk, ReasonForm(), problem=str(refused), status=409)
    messages.success(request, gettext("Asked for. It leaves for AssetPay in a moment."))
    return SeeOther(reverse("batch_detail", args=[pk]))


@require_POST
@needs("cancel_in_bulk")
def batch_act(request: DeskRequest, pk: int, act: str) -> HttpResponse:
    """POST /batches/<pk>/pause|resume|stop|undo/: 409 where the batch is not in a state for it any more."""
    now = timezone.now()
    get_object_or_404(Batch, pk=pk)
    do, said = ACTS[act]
    try:
        do(batch_id=pk, actor=request.user, origin=screen_origin(request), now=now)
    except BatchRefused as refused:
        return _page(request, pk, ReasonForm(), problem=str(refused), status=409)
    messages.success(request, str(said))
    return SeeOther(reverse("batch_detail", args=[pk]))
