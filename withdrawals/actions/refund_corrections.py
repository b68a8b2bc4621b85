"""What supervisors decide: compensate a mistaken confirmation, waive what is not owed, reopen, set an amount."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext, gettext_lazy

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.refunds import (
    RefundChanged,
    RefundRefused,
    bring_up_to_date,
    described,
    refuse_unless_open,
    take,
    write_entry,
)
from withdrawals.models import EntryKind, Refund, RefundState, User
from withdrawals.models.money import UsdField

TAKEN = gettext_lazy("Somebody else decided this refund a moment ago. Nothing was changed.")
STALE = gettext_lazy("This refund changed after your page was loaded. Look at it again, then decide.")


def compensate_refund(*, refund_id: int, seen: str, reason: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Undo a mistaken confirmation by a row of its own, so that the customer can still be paid.

    The refund is then owed again as the rules say now. Raises RefundChanged, RefundRefused, Refund.DoesNotExist.
    """
    with transaction.atomic():
        refund = take(refund_id)
        if refund.state != RefundState.CONFIRMED:
            raise RefundChanged(gettext("This refund is not confirmed (any more), so there is nothing to compensate."))
        if refund.fingerprint() != seen:
            raise RefundChanged(STALE)
        paid, reference = refund.net, refund.reference
        before = described(refund.state, refund.cause, refund.amount) | {"reference": reference}
        _put_back_to_rules(refund, now=now, net=Decimal(0), entries_made=refund.entries_made + 1)
        write_entry(
            refund,
            EntryKind.COMPENSATION,
            amount=paid,
            actor=actor,
            approved_by=None,
            reference=reference,
            reason=reason,
            now=now,
        )
        after = described(refund.ruling, refund.cause, refund.amount) | {"reference": ""}
        fact = Fact("refund.compensated", item=refund.item, before=before, after=after, reason=reason)
        record([fact], origin=origin, now=now)
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    return Refund.objects.select_related("item__trade").get(pk=refund_id)


def waive_refund(*, refund_id: int, seen: str, reason: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Decide that nothing will be paid for this item, with a reason. Raises RefundChanged, RefundRefused."""
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    with transaction.atomic():
        refund = take(refund_id)
        refuse_unless_open(refund, seen=seen)
        before = described(refund.state, refund.cause, refund.amount)
        moved = Refund.objects.filter(pk=refund.pk, state=refund.state, net=0).update(
            state=RefundState.WAIVED,
            waived_by=actor,
            waived_at=now,
            waived_reason=reason,
            contradicted_at=None,
            changed_at=now,
        )
        if not moved:
            raise RefundChanged(TAKEN)
        after = described(RefundState.WAIVED, refund.cause, refund.amount)
        fact = Fact("refund.waived", item=refund.item, before=before, after=after, reason=reason)
        record([fact], origin=origin.because_of(refund.evidence_name), now=now)
    return Refund.objects.select_related("item__trade").get(pk=refund_id)


def reopen_refund(*, refund_id: int, seen: str, reason: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Take a waiver back, with a reason: the refund is owed again as the rules say. Raises RefundChanged."""
    with transaction.atomic():
        refund = take(refund_id)
        if refund.state != RefundState.WAIVED:
            raise RefundChanged(gettext("This refund is not waived (any more)."))
        if refund.fingerprint() != seen:
            raise RefundChanged(STALE)
        before = described(refund.state, refund.cause, refund.amount)
        _put_back_to_rules(refund, now=now)
        after = described(refund.ruling, refund.cause, refund.amount)
        fact = Fact("refund.reopened", item=refund.item, before=before, after=after, reason=reason)
        record([fact], origin=origin, now=now)
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    return Refund.objects.select_related("item__trade").get(pk=refund_id)


def _put_back_to_rules(refund: Refund, *, now: datetime, **changes: object) -> None:
    moved = Refund.objects.filter(pk=refund.pk, state=refund.state, entries_made=refund.entries_made).update(
        state=refund.ruling,
        confirmed_by=None,
        confirmed_at=None,
        reference="",
        reference_key="",
        waived_by=None,
        waived_at=None,
        waived_reason="",
        contradicted_at=None,
        changed_at=now,
        **changes,
    )
    if not moved:
        raise RefundChanged(TAKEN)


def set_refund_amount(
    *, refund_id: int, seen: str, amount: Decimal, reason: str, actor: User, origin: Origin, now: datetime
) -> Refund:
    """Put down how much of a refund in review is owed: up to the price first seen, or any amount where none is known.

    Without a price the confirmation then takes two people. Raises RefundChanged, RefundRefused.
    """
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    with transaction.atomic():
        refund = take(refund_id)
        refuse_unless_open(refund, seen=seen)
        amount = UsdField.round(amount)
        if refund.state != RefundState.IN_REVIEW:
            raise RefundRefused(gettext("The rules give the amount of this refund; only one in review can be set."))
        _refuse_amount(refund, amount)
        moved = Refund.objects.filter(pk=refund.pk, state=RefundState.IN_REVIEW).update(
            amount=amount, set_amount=amount, set_by=actor, set_reason=reason, changed_at=now
        )
        if not moved:
            raise RefundChanged(TAKEN)
        before = described(refund.state, refund.cause, refund.amount)
        after: dict[str, Value] = described(refund.state, refund.cause, amount)
        fact = Fact("refund.amount_set", item=refund.item, before=before, after=after, reason=reason)
        record([fact], origin=origin, now=now)
    return Refund.objects.select_related("item__trade").get(pk=refund_id)


def _refuse_amount(refund: Refund, amount: Decimal) -> None:
    if amount <= 0:
        raise RefundRefused(gettext("An amount is more than zero; to pay nothing, waive the refund."))
    if refund.price and amount > refund.price:
        raise RefundRefused(
            gettext("The customer was charged ${price}: more than that cannot be owed.").format(
                price=f"{refund.price:.2f}"
            )
        )
    total = refund.item.trade.total_price
    if not refund.price and total and amount > total:
        raise RefundRefused(
            gettext("The whole trade cost ${total}: more than that cannot be owed for one item.").format(
                total=f"{total:.2f}"
            )
        )
