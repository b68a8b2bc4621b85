"""The decisions that take a supervisor or a second person: approve, send back, compensate, waive, reopen, an amount."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from withdrawals.actions.refund_approvals import approve_refund, send_back_refund
from withdrawals.actions.refund_corrections import compensate_refund, reopen_refund, set_refund_amount, waive_refund
from withdrawals.actions.refunds import RefundRefused
from withdrawals.forms import AmountForm, DecisionForm, SeenForm
from withdrawals.models import Refund, RefundApproval
from withdrawals.models.words import Words
from withdrawals.views.access import DeskRequest, needs, needs_recent_proof, safe_next, screen_origin, typed_before
from withdrawals.views.refunds import RefundRow, answer_with_refund, dialog, for_refund_rows, refund_row

METHODS = ["GET", "HEAD", "POST"]


@dataclass(frozen=True)
class Decision:
    """One thing that can be decided: its address, its words, its form and its action."""

    address: str
    button: Words
    title: Words
    consequence: Words
    done: Words
    form: type[SeenForm]
    act: Callable[..., Refund]
    is_about_approval: bool = False


APPROVE = Decision(
    "refund_approve",
    gettext_lazy("Approve refund"),
    gettext_lazy("Approve what the first person saw?"),
    gettext_lazy("You confirm, as the second person, that the customer has been paid back. This desk moves no money."),
    gettext_lazy("Approved and confirmed"),
    SeenForm,
    approve_refund,
    is_about_approval=True,
)
SEND_BACK = Decision(
    "refund_send_back",
    gettext_lazy("Send back"),
    gettext_lazy("Send this back to the first person?"),
    gettext_lazy("Nothing is confirmed; the refund is owed as before."),
    gettext_lazy("Sent back"),
    DecisionForm,
    send_back_refund,
    is_about_approval=True,
)
COMPENSATE = Decision(
    "refund_compensate",
    gettext_lazy("Compensate"),
    gettext_lazy("Was this confirmed by mistake?"),
    gettext_lazy("The confirmation stays, a compensation is written beneath it, and the refund is owed again."),
    gettext_lazy("Compensated; it is owed again"),
    DecisionForm,
    compensate_refund,
)
WAIVE = Decision(
    "refund_waive",
    gettext_lazy("Waive refund"),
    gettext_lazy("Pay nothing for this item?"),
    gettext_lazy("The customer gets nothing back for it. A supervisor can reopen it later."),
    gettext_lazy("Waived"),
    DecisionForm,
    waive_refund,
)
REOPEN = Decision(
    "refund_reopen",
    gettext_lazy("Reopen"),
    gettext_lazy("Is this owed after all?"),
    gettext_lazy("The waiver is taken back, and the refund is owed as the rules say."),
    gettext_lazy("Reopened"),
    DecisionForm,
    reopen_refund,
)
AMOUNT = Decision(
    "refund_amount",
    gettext_lazy("Set amount"),
    gettext_lazy("How much is owed?"),
    gettext_lazy("Up to the price first seen. Where no price is known, any amount, and then two people confirm it."),
    gettext_lazy("Amount set"),
    AmountForm,
    set_refund_amount,
)


@require_http_methods(METHODS)
@needs("approve_refund")
@needs_recent_proof()
def refund_approve(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/approve/: what the first person saw, then the second's yes. 409 says what changed."""
    return _decide(request, pk, APPROVE)


@require_http_methods(METHODS)
@needs("confirm_refund")
def refund_send_back(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/send-back/: a second person's no, or the first one's change of mind, with a reason."""
    return _decide(request, pk, SEND_BACK)


@require_http_methods(METHODS)
@needs("settle_refund")
@needs_recent_proof(keeps=("reason",))
def refund_compensate(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/compensate/: undo a mistaken confirmation by a row of its own, with a reason."""
    return _decide(request, pk, COMPENSATE)


@require_http_methods(METHODS)
@needs("waive_refund")
def refund_waive(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/waive/: decide that nothing is paid, with a reason."""
    return _decide(request, pk, WAIVE)


@require_http_methods(METHODS)
@needs("waive_refund")
def refund_reopen(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/reopen/: take a waiver back, with a reason."""
    return _decide(request, pk, REOPEN)


@require_http_methods(METHODS)
@needs("settle_refund")
@needs_recent_proof(keeps=("amount", "reason"))
def refund_amount(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/amount/: put down how much of a refund in review is owed, with a reason."""
    return _decide(request, pk, AMOUNT)


def _decide(request: DeskRequest, pk: int, decision: Decision) -> HttpResponse:
    """Show what is decided, then do it. 409 where it changed or somebody was quicker, 422 for a bad form."""
    now = timezone.now()
    refund = get_object_or_404(for_refund_rows(Refund.objects.all()), pk=pk)
    row = refund_row(refund, person=request.user, now=now)
    if request.method != "POST":
        form = decision.form(initial={"seen": _seen(row, decision), **typed_before(request)})
        return _dialog(request, row, decision, form, now=now)
    form = decision.form(request.POST)
    if not form.is_valid():
        return _dialog(request, row, decision, form, now=now, status=422)
    try:
        decision.act(refund_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now)
    except RefundRefused as refused:
        return answer_with_refund(request, pk, now=now, refusal=str(refused))
    messages.success(request, gettext("{done}: {item}.").format(done=decision.done, item=refund.item))
    return answer_with_refund(request, pk, now=now)


def _seen(row: RefundRow, decision: Decision) -> str:
    if not decision.is_about_approval:
        return row.refund.fingerprint()
    return row.approval.seal if row.approval else ""


def _dialog(
    request: DeskRequest, row: RefundRow, decision: Decision, form: SeenForm, *, now: datetime, status: int = 200
) -> HttpResponse:
    approval: RefundApproval | None = row.approval if decision.is_about_approval else None
    context = {
        "row": row,
        "decision": decision,
        "address": reverse(decision.address, args=[row.refund.pk]),
        "form": form,
        "approval": approval,
        "changes": approval.changes(row.refund.decided_on()) if approval else "",
        "is_refused": decision is APPROVE and not row.can_approve,
        "back": safe_next(request, reverse("refund_list")),
    }
    return dialog(request, "refund_decide.html", "decide-dialog", context, status=status)
