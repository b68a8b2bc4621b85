"""What is owed to customers, and confirming that they got it."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Min, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.refunds import RefundRefused, confirm_refund
from withdrawals.filters import RefundFilter
from withdrawals.forms import ConfirmRefundForm
from withdrawals.models import Refund, RefundState, User
from withdrawals.views.access import DeskRequest, SeeOther, needs, needs_recent_proof, safe_next, screen_origin
from withdrawals.views.lists import render_list

OPEN_REFUNDS = (RefundState.DUE, RefundState.IN_REVIEW)


@dataclass(frozen=True)
class RefundRow:
    """What the row of one refund shows to one person."""

    refund: Refund
    can_confirm: bool
    why_not: str
    notice: str = ""


def for_refund_rows(refunds: QuerySet[Refund]) -> QuerySet[Refund]:
    """`refunds` with everything that their rows show, in one query."""
    return refunds.select_related("item__trade", "confirmed_by", "evidence_delivery", "evidence_read")


def refund_row(refund: Refund, *, person: User, notice: str = "") -> RefundRow:
    """The row of a refund, and why its button is off where it is."""
    why_not = _why_not(refund, person)
    is_open = refund.state in OPEN_REFUNDS
    return RefundRow(refund, can_confirm=is_open and not why_not, why_not=why_not, notice=notice)


def _why_not(refund: Refund, person: User) -> str:
    if refund.state not in OPEN_REFUNDS:
        return ""
    if not person.may("confirm_refund"):
        return "Your role may look, not confirm. Agents and supervisors can."
    if not refund.amount:
        return "No price was ever reported, so there is no amount to confirm."
    if refund.needs_supervisor() and not person.may("settle_refund"):
        if refund.state == RefundState.IN_REVIEW:
            return "In review: a supervisor decides."
        return f"Above ${settings.REFUND_APPROVAL_LIMIT}: a supervisor confirms."
    return ""


@require_safe
@needs("see_desk")
def refund_list(request: DeskRequest) -> HttpResponse:
    """GET /refunds/: one state of the refunds, oldest first while they wait, newest first when decided."""
    wanted = request.GET.get("state") or RefundState.DUE
    problem = "" if wanted in RefundState.values else "There is no such state. These refunds are due."
    state = RefundState(wanted) if not problem else RefundState.DUE
    filters = RefundFilter(request.GET, queryset=for_refund_rows(Refund.objects.all()), state=state)
    figures = {
        row["state"]: row
        for row in Refund.objects.values("state").annotate(
            count=Count("pk"), total=Sum("amount"), oldest=Min("opened_at")
        )
    }
    return render_list(
        request,
        "refunds.html",
        filters,
        by="opened_at",
        newest_first=state not in OPEN_REFUNDS,
        problem=problem,
        to_row=lambda refund: refund_row(refund, person=request.user),
        state=state,
        tabs=[(each, figures[each]["count"] if each in figures else 0) for each in RefundState],
        due=figures.get(RefundState.DUE),
        in_review=figures.get(RefundState.IN_REVIEW),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs("confirm_refund")
@needs_recent_proof()
def refund_confirm(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/confirm/: show what is decided, then confirm it. 409 where it changed, 422 for a bad form."""
    now = timezone.now()
    refund = get_object_or_404(for_refund_rows(Refund.objects.all()), pk=pk)
    if request.method != "POST":
        return _dialog(request, refund, ConfirmRefundForm(initial={"seen": refund.fingerprint()}), status=200)
    form = ConfirmRefundForm(request.POST)
    if not form.is_valid():
        return _dialog(request, refund, form, status=422)
    try:
        confirm_refund(refund_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now)
    except RefundRefused as refused:
        return _answer(request, pk, refusal=str(refused))
    messages.success(request, f"Refund confirmed: {refund.item}, reference {form.cleaned_data['reference']}.")
    return _answer(request, pk)


def _dialog(request: DeskRequest, refund: Refund, form: ConfirmRefundForm, *, status: int) -> HttpResponse:
    context = {
        "row": refund_row(refund, person=request.user),
        "form": form,
        "back": safe_next(request, reverse("refund_list")),
    }
    template = "refund_confirm.html#refund-dialog" if request.htmx else "refund_confirm.html"
    response = render(request, template, context, status=status)
    if request.htmx:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog-slot", "innerHTML"
    return response


def _answer(request: DeskRequest, pk: int, *, refusal: str = "") -> HttpResponse:
    if not request.htmx and not refusal:
        return SeeOther(safe_next(request, reverse("refund_list")))
    refund = get_object_or_404(for_refund_rows(Refund.objects.all()), pk=pk)
    row = refund_row(refund, person=request.user, notice=refusal)
    if refusal:
        messages.error(request, refusal)
    template = "refunds.html#refund-answer" if request.htmx else "refund_confirm.html"
    context = {"row": row, "refusal": refusal, "back": safe_next(request, reverse("refund_list"))}
    return render(request, template, context, status=409 if refusal else 200)
