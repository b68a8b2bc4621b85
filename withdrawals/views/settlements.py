"""Cancellations that the workers gave up or nobody knows the outcome of: tried again, or settled by people."""

from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from withdrawals.actions.cancellations import RetryRefused, retry_cancellation
from withdrawals.actions.settlements import SettleRefused, approve_settlement, settle_cancellation
from withdrawals.forms import SettleForm
from withdrawals.models import Cancellation, Settlement
from withdrawals.models.settlement import fingerprint_to_settle
from withdrawals.views.access import DeskRequest, SeeOther, needs, safe_next, screen_origin
from withdrawals.views.cancellations import cancellations_page
from withdrawals.views.dialogs import dialog_answer


@require_http_methods(["GET", "HEAD", "POST"])
@needs("settle_cancellation")
def cancellation_settle(request: DeskRequest, pk: int) -> HttpResponse:
    """/cancellations/<pk>/settle/: say that it was not done: with evidence at once, else for a second person."""
    now = timezone.now()
    asked = get_object_or_404(Cancellation.objects.select_related("item__trade", "requested_by"), pk=pk)
    form = SettleForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _dialog(request, asked, form, now=now, status=422 if request.method == "POST" else 200)
    try:
        settlement = settle_cancellation(
            cancellation_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now
        )
    except SettleRefused as refused:
        asked = get_object_or_404(Cancellation.objects.select_related("item__trade", "requested_by"), pk=pk)
        return _dialog(request, asked, form, now=now, refusal=str(refused), status=409)
    done = settlement.settled_at is not None
    messages.success(
        request,
        gettext("Settled as not done: {item}.").format(item=asked.item)
        if done
        else gettext("Proposed as not done: {item}. It counts once a second person has approved it.").format(
            item=asked.item
        ),
    )
    return SeeOther(safe_next(request, reverse("cancellation_list")))


def _dialog(
    request: DeskRequest, asked: Cancellation, form: SettleForm, *, now: datetime, refusal: str = "", status: int
) -> HttpResponse:
    context = {
        "asked": asked,
        "form": form,
        "refusal": refusal or asked.settle_refusal(now),
        "evidence": asked.settle_evidence(),
        "seen": fingerprint_to_settle(asked),
        "attempts": asked.attempts.order_by("number"),
        "back": safe_next(request, reverse("cancellation_list")),
    }
    return dialog_answer(request, "cancellation_settle.html", "settle-dialog", context, status=status)


@require_POST
@needs("settle_cancellation")
def settlement_approve(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /settlements/<pk>/approve/: the second person's yes; 409 for one's own, or where news came first."""
    now = timezone.now()
    try:
        seen = request.POST.get("seen", "")
        approve_settlement(settlement_id=pk, seen=seen, actor=request.user, origin=screen_origin(request), now=now)
    except Settlement.DoesNotExist as error:
        raise Http404("No such settlement.") from error
    except SettleRefused as refused:
        return cancellations_page(request, problem=str(refused), status=409)
    messages.success(request, gettext("Settled as not done, by two people."))
    return SeeOther(safe_next(request, reverse("cancellation_list")))


@require_POST
@needs("cancel_item")
def cancellation_retry(request: DeskRequest, pk: int) -> HttpResponse:
    """POST /cancellations/<pk>/retry/: give a dead letter back to the workers; 409 where it is none any more."""
    now = timezone.now()
    try:
        asked = retry_cancellation(cancellation_id=pk, actor=request.user, origin=screen_origin(request), now=now)
    except Cancellation.DoesNotExist as error:
        raise Http404("No such cancellation.") from error
    except RetryRefused as refused:
        return cancellations_page(request, problem=str(refused), status=409)
    messages.success(request, gettext("Tried again: {item}.").format(item=asked.item))
    return SeeOther(safe_next(request, reverse("cancellation_list")))
