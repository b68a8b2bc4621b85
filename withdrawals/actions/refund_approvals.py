"""The second person: approves exactly what the first one saw, sends it back, or lets the time pass."""

from datetime import datetime

from django.db import transaction
from django.tasks import task
from django.utils import timezone
from django.utils.translation import gettext

from withdrawals.actions.audit import CLOCK, Origin, record
from withdrawals.actions.refunds import (
    EvidenceMissing,
    RefundChanged,
    RefundRefused,
    SupervisorNeeded,
    bring_up_to_date,
    end_approval,
    put_back,
    settle,
    take,
)
from withdrawals.models import ApprovalState, Refund, RefundApproval, RefundState, Source, User

EXPIRED_AT_ONCE = 200


def approve_refund(*, refund_id: int, seen: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Confirm, as the second person, what the first one asked for; the refund as it then stands.

    Raises RefundChanged where anything that the first person saw has changed since (the approval is then void) or
    the approver's page is stale; SupervisorNeeded for one's own or without the right; EvidenceMissing.
    """
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    with transaction.atomic():
        refund = take(refund_id)
        approval = _open_approval(refund)
        if seen != approval.seal:
            raise RefundChanged(gettext("This request is not the one on your page. Look at it again, then approve."))
        refused = approval.refusal(actor, now)
        if refused:
            raise SupervisorNeeded(refused)
        needed = "settle_refund" if refund.ruling == RefundState.IN_REVIEW else "confirm_refund"
        if not approval.asked_by.may(needed):
            # With their account closed or their role taken since, one word of the two is missing.
            raise SupervisorNeeded(
                gettext("{who}, who asked for this, may not decide it any more. Send it back to the list.").format(
                    who=approval.asked_by
                )
            )
        missing = refund.evidence_refusal(now)
        if missing:
            raise EvidenceMissing(missing)
        approved = end_approval(approval, to=ApprovalState.APPROVED, reason="", item=refund.item, by=actor, now=now)
        paid = settle(refund, reference=approval.reference, actor=approval.asked_by, approved_by=actor, now=now)
        record([approved, paid], origin=origin.because_of(refund.evidence_name), now=now)
    return Refund.objects.select_related("item__trade", "confirmed_by").get(pk=refund_id)


def send_back_refund(*, refund_id: int, seen: str, reason: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Return a refund to the first person, with a reason; by whoever may approve, or by who asked.

    Raises RefundChanged, SupervisorNeeded, or Refund.DoesNotExist.
    """
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    with transaction.atomic():
        refund = take(refund_id)
        approval = _open_approval(refund)
        if seen != approval.seal:
            raise RefundChanged(gettext("This request is not the one on your page. Look at it again."))
        if not actor.may("approve_refund") and actor.pk != approval.asked_by_id:
            raise SupervisorNeeded(gettext("Only a supervisor, or who asked, can send this back."))
        ended = end_approval(approval, to=ApprovalState.SENT_BACK, reason=reason, item=refund.item, by=actor, now=now)
        record([ended, put_back(refund, now=now)], origin=origin, now=now)
    return Refund.objects.select_related("item__trade").get(pk=refund_id)


def _open_approval(refund: Refund) -> RefundApproval:
    """The request that waits; where none does, what became of the last one is the reason."""
    if refund.state == RefundState.AWAITING:
        return refund.approvals.select_related("asked_by").get(state=ApprovalState.OPEN)
    if refund.state == RefundState.CONFIRMED:
        raise RefundChanged(
            gettext("Already confirmed: asked for by {who}, reference {reference}. Nothing was paid twice.").format(
                who=refund.confirmed_by, reference=refund.reference
            )
        )
    last = refund.approvals.order_by("number").last()
    if last is None:
        raise RefundRefused(gettext("Nobody asked for a second person here."))
    raise RefundChanged(f"{last.get_state_display()}. {last.ended_reason}")


@task
def expire_approvals() -> int:
    """Put back what no second person looked at in time; how many. Run twice, the second finds nothing."""
    return expire_due(now=timezone.now())


def expire_due(*, now: datetime) -> int:
    """Put back every refund whose request for approval has expired by `now`; how many."""
    due = RefundApproval.objects.filter(state=ApprovalState.OPEN, expires_at__lte=now).order_by("expires_at")
    refunds = list(due.values_list("refund_id", flat=True)[:EXPIRED_AT_ONCE])
    for refund_id in refunds:
        bring_up_to_date(refund_id=refund_id, origin=Origin(Source.WORKER, name=CLOCK), now=now)
    return len(refunds)
