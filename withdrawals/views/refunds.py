"""What is owed to customers, confirming that they got it, and the rules by which it is owed."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Min, Prefetch, Sum
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from withdrawals.actions.refunds import RefundRefused, confirm_refund
from withdrawals.filters import RefundFilter
from withdrawals.forms import ConfirmRefundForm
from withdrawals.models import ApprovalState, Refund, RefundApproval, RefundState, SavedList, User
from withdrawals.models.refund import RefundQuerySet
from withdrawals.models.refund_rules import OWED_REFUNDS, RULE_VERSION, RULES
from withdrawals.views.access import (
    DeskRequest,
    SeeOther,
    needs,
    needs_recent_proof,
    safe_next,
    screen_origin,
    typed_before,
)
from withdrawals.views.fresh import keeps_fresh
from withdrawals.views.lists import render_list
from withdrawals.views.saved_views import shown_views
from withdrawals.views.worklist import presence_words, who_is_there

COLUMNS = (
    ("amount", gettext_lazy("Amount")),
    ("why", gettext_lazy("Why")),
    ("evidence", gettext_lazy("How we know")),
    ("state", gettext_lazy("State")),
)


@dataclass(frozen=True)
class RefundRow:
    """What the row of one refund shows to one person."""

    refund: Refund
    can_confirm: bool
    why_not: str
    approval: RefundApproval | None = None
    can_approve: bool = False
    may_send_back: bool = False
    notice: str = ""
    here: str = ""

    @property
    def takes_two(self) -> bool:
        """Whether this person's confirmation would only ask a second one."""
        return self.refund.is_large and self.refund.amount is not None


def for_refund_rows(refunds: RefundQuerySet) -> RefundQuerySet:
    """`refunds` with everything that their rows show, in two queries."""
    waiting = RefundApproval.objects.filter(state=ApprovalState.OPEN).select_related("asked_by")
    people = ("confirmed_by", "waived_by", "set_by")
    return (
        refunds.with_shared_references()
        .select_related("item__trade", "evidence_delivery", "evidence_read", *people)
        .defer("evidence_delivery__body", "evidence_read__document", "item__document", "item__trade__document")
        .prefetch_related(Prefetch("approvals", waiting, to_attr="waiting_approvals"))
    )


def refund_row(refund: Refund, *, person: User, now: datetime, notice: str = "", here: str = "") -> RefundRow:
    """The row of a refund that `for_refund_rows` loaded, why its button is off where it is, and who else is `here`."""
    waiting: list[RefundApproval] = getattr(refund, "waiting_approvals", [])
    approval = waiting[0] if waiting else None
    why_not = approval.refusal(person, now) if approval else _why_not(refund, person, now)
    return RefundRow(
        refund,
        can_confirm=refund.is_open and not why_not,
        why_not=why_not,
        approval=approval,
        can_approve=approval is not None and not why_not,
        may_send_back=approval is not None and (person.may("approve_refund") or approval.asked_by_id == person.pk),
        notice=notice,
        here=here,
    )


def refund_rows(refunds: list[Refund], *, person: User, now: datetime) -> list[RefundRow]:
    """The rows of refunds that `for_refund_rows` loaded, each with who else has its item open."""
    there = who_is_there([refund.item for refund in refunds], person=person, now=now)
    return [
        refund_row(refund, person=person, now=now, here=presence_words(there.get(refund.item_id, [])))
        for refund in refunds
    ]


def _why_not(refund: Refund, person: User, now: datetime) -> str:
    if not refund.is_open:
        return ""
    if not person.may("confirm_refund"):
        return gettext("Your role may look, not confirm. Agents and supervisors can.")
    if refund.state == RefundState.IN_REVIEW and not person.may("settle_refund"):
        return gettext("In review: a supervisor decides.")
    if not refund.amount:
        return gettext("No price was ever reported, so there is no amount to confirm: a supervisor sets it, or waives.")
    return refund.evidence_refusal(now)


@require_safe
@needs("see_desk")
@keeps_fresh
def refund_list(request: DeskRequest) -> HttpResponse:
    """GET /refunds/: one state of the refunds, oldest first while they wait, newest first when decided."""
    now = timezone.now()
    state = state_in(request.GET)
    is_known = request.GET.get("state") in (None, "", *RefundState.values)
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
        newest_first=state not in OWED_REFUNDS,
        sorts="opened",
        columns=COLUMNS,
        problem="" if is_known else gettext("There is no such state. These refunds are due."),
        to_rows=lambda refunds: refund_rows(refunds, person=request.user, now=now),
        state=state,
        tabs=[(each, figures[each]["count"] if each in figures else 0) for each in RefundState],
        due=figures.get(RefundState.DUE),
        in_review=figures.get(RefundState.IN_REVIEW),
        awaiting=figures.get(RefundState.AWAITING),
        saved=shown_views(
            request,
            SavedList.REFUNDS,
            lambda query: RefundFilter(query, queryset=Refund.objects.all(), state=state_in(query)),
        ),
    )


def state_in(query: QueryDict) -> RefundState:
    """The state that an address names; `due` where it names none, or none that there is."""
    wanted = query.get("state")
    return RefundState(wanted) if wanted in RefundState.values else RefundState.DUE


@require_safe
@needs("see_desk")
def refund_rules(request: DeskRequest) -> HttpResponse:
    """GET /refunds/rules/: every version of the rule table that was ever in use, the one in force first."""
    context = {
        "versions": sorted(RULES.items(), reverse=True),
        "in_force": RULE_VERSION,
        "policy": settings.DECLINED_REFUND_POLICY,
        "limit": settings.REFUND_APPROVAL_LIMIT,
        "hours": settings.REFUND_APPROVAL_HOURS,
    }
    return render(request, "refund_rules.html", context)


@require_safe
@needs("confirm_refund")
def refund_reference(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /refunds/<pk>/reference/?reference=: a warning where this reference was used for another refund."""
    others = used_before(request.GET.get("reference", "")[:200], pk)
    return render(request, "refund_confirm.html#reference-warning", {"others": others})


def used_before(reference: str, pk: int) -> list[Refund]:
    """The first few other refunds that were confirmed with this reference."""
    return list(Refund.objects.using_reference(reference).exclude(pk=pk).select_related("item")[:3])


@require_http_methods(["GET", "HEAD", "POST"])
@needs("confirm_refund")
@needs_recent_proof(keeps=("reference",))
def refund_confirm(request: DeskRequest, pk: int) -> HttpResponse:
    """/refunds/<pk>/confirm/: show what is decided, then confirm it. 409 where it changed, 422 for a bad form."""
    now = timezone.now()
    refund = get_object_or_404(for_refund_rows(Refund.objects.all()), pk=pk)
    if request.method != "POST":
        form = ConfirmRefundForm(initial={"seen": refund.fingerprint(), **typed_before(request)})
        return _dialog(request, refund, form, now=now, status=200)
    form = ConfirmRefundForm(request.POST)
    if not form.is_valid():
        return _dialog(request, refund, form, now=now, status=422)
    try:
        done = confirm_refund(
            refund_id=pk, **form.cleaned_data, actor=request.user, origin=screen_origin(request), now=now
        )
    except RefundRefused as refused:
        return answer_with_refund(request, pk, now=now, refusal=str(refused))
    reference = form.cleaned_data["reference"]
    if done.state == RefundState.AWAITING:
        messages.success(
            request,
            gettext("Asked a second person: {item}, reference {reference}.").format(
                item=done.item, reference=reference
            ),
        )
    else:
        messages.success(
            request,
            gettext("Refund confirmed: {item}, reference {reference}.").format(item=done.item, reference=reference),
        )
    for other in used_before(reference, pk)[:1]:
        messages.warning(
            request,
            gettext("Reference {reference} was used before, for {item}. Was that on purpose?").format(
                reference=reference, item=other.item
            ),
        )
    return answer_with_refund(request, pk, now=now)


def _dialog(
    request: DeskRequest, refund: Refund, form: ConfirmRefundForm, *, now: datetime, status: int
) -> HttpResponse:
    context = {
        "row": refund_row(refund, person=request.user, now=now),
        "form": form,
        "back": safe_next(request, reverse("refund_list")),
    }
    return dialog(request, "refund_confirm.html", "refund-dialog", context, status=status)


def dialog(
    request: DeskRequest, template: str, fragment: str, context: dict[str, object], *, status: int
) -> HttpResponse:
    """A dialog in its slot, or open on a page of its own without JavaScript."""
    response = render(request, f"{template}#{fragment}" if request.htmx else template, context, status=status)
    if request.htmx:
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#dialog-slot", "innerHTML"
    return response


def answer_with_refund(request: DeskRequest, pk: int, *, now: datetime, refusal: str = "") -> HttpResponse:
    """What follows a decision: the refund's row as it now stands, with the refusal (409) if there was one."""
    if not request.htmx and not refusal:
        return SeeOther(safe_next(request, reverse("refund_list")))
    refund = get_object_or_404(for_refund_rows(Refund.objects.all()), pk=pk)
    row = refund_row(refund, person=request.user, now=now, notice=refusal)
    if refusal:
        messages.error(request, refusal)
    template = "refunds.html#refund-answer" if request.htmx else "refund_confirm.html"
    context = {"row": row, "refusal": refusal, "back": safe_next(request, reverse("refund_list"))}
    return render(request, template, context, status=409 if refusal else 200)
