"""What happens to refunds: they follow their item, and a person confirms them, once."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext, gettext_noop

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.rows import append_rows
from withdrawals.models import (
    ApprovalState,
    Cancellation,
    CancellationState,
    EntryKind,
    Item,
    Refund,
    RefundApproval,
    RefundCause,
    RefundEntry,
    RefundState,
    User,
    refund_terms,
)
from withdrawals.models.cancellation import MAY_BE_DONE
from withdrawals.models.refund import reference_key
from withdrawals.models.refund_rules import DECIDED_REFUNDS, RULE_VERSION, RULES, RefundTerms, needs_refund


class RefundRefused(Exception):
    """This cannot be done to this refund; the sentence says why and who was first."""


class RefundChanged(RefundRefused):
    """What the person saw is not what stands now."""


class SupervisorNeeded(RefundRefused):
    """This person may not decide this refund."""


class EvidenceMissing(RefundRefused):
    """No verified callback and no fresh read backs the final state."""


def follow_items(items: Iterable[Item], *, now: datetime, waits: bool = True) -> list[Fact]:
    """Open or update the refund of each item (its trade loaded) that needs one, in the caller's transaction.

    A decided refund never changes here. Returns the facts for the caller to record. Where it does not wait:
    OperationalError as soon as somebody else holds one of the refunds.
    """
    by_item = {item.pk: item for item in items if needs_refund(item)}
    if not by_item:
        return []
    asked = asked_by_us(by_item)
    # Refund before approval, as every decision takes them: else news and a second person could wait for each other.
    held = Refund.objects.select_for_update(no_key=True, nowait=not waits)
    rows = held.filter(item__in=by_item).order_by("pk")
    existing = {refund.item_id: refund for refund in rows}
    facts, opened = [], []
    for item in by_item.values():
        refund = existing.get(item.pk)
        if refund is None:
            terms = refund_terms(item, was_asked=item.pk in asked)
            opened.append(Refund(item=item, state=terms.state, opened_at=now, changed_at=now, **_ruled(item, terms)))
            after = described(terms.state, terms.cause, terms.amount)
            facts.append(Fact("refund.opened", item=item, after=after | {"rule_version": RULE_VERSION}))
        else:
            facts += _follow_item(refund, item, was_asked=item.pk in asked, now=now)
    append_rows(opened)
    return facts


def asked_by_us(items: Iterable[int]) -> set[int]:
    """Those of these items that came back after a cancel that AssetPay took, or may have taken."""
    confirmed = Cancellation.objects.filter(item__in=list(items), state=CancellationState.CONFIRMED)
    return set(confirmed.filter(attempts__outcome__in=MAY_BE_DONE).values_list("item_id", flat=True))


def _ruled(item: Item, terms: RefundTerms) -> dict[str, Any]:
    """The columns that the rules give."""
    return {
        "ruling": terms.state,
        "cause": terms.cause,
        "price": terms.price,
        "amount": terms.amount,
        "loss": terms.loss,
        "rule_version": RULE_VERSION,
        "evidence_delivery_id": item.status_delivery_id,
        "evidence_read_id": item.status_read_id,
        "evidence_sha256": _evidence_sha256(item),
    }


def _follow_item(refund: Refund, item: Item, *, was_asked: bool, now: datetime) -> list[Fact]:
    refund.item = item
    terms = refund_terms(item, was_asked=was_asked, set_amount=refund.set_amount)
    if refund.state in DECIDED_REFUNDS:
        return _contradict(refund, item, terms, now=now)
    before = described(refund.state, refund.cause, refund.amount)
    ruled = _ruled(item, terms)
    is_same = all(getattr(refund, name) == value for name, value in ruled.items())
    for name, value in ruled.items():
        setattr(refund, name, value)
    facts = []
    if refund.state == RefundState.AWAITING:
        # What the first person saw holds more than these columns: the latest price, for one.
        facts = _void_if_changed(refund, now=now)
        if is_same and not facts:
            return []
    elif is_same:
        return []
    state = refund.state if refund.state == RefundState.AWAITING and not facts else terms.state
    still_open = Refund.objects.filter(pk=refund.pk).exclude(state__in=DECIDED_REFUNDS)
    if not still_open.update(state=state, changed_at=now, **ruled):
        # Somebody decided it between our look and now.
        return _contradict(Refund.objects.get(pk=refund.pk), item, terms, now=now)
    after = described(state, terms.cause, terms.amount)
    return [*facts, Fact("refund.changed", item=item, before=before, after=after)]


def _void_if_changed(refund: Refund, *, now: datetime) -> list[Fact]:
    """End the open approval where it was bound to something else than what stands now."""
    approval = refund.approvals.filter(state=ApprovalState.OPEN).select_related("asked_by").first()
    if approval is None or approval.fingerprint == refund.fingerprint():
        return []
    why = approval.changes(refund.decided_on())
    return [end_approval(approval, to=ApprovalState.VOID, reason=why, item=refund.item, by=None, now=now)]


def end_approval(
    approval: RefundApproval, *, to: ApprovalState, reason: str, item: Item, by: User | None, now: datetime
) -> Fact:
    """End an open approval, in the caller's transaction; the fact to record. Raises RefundChanged if it has ended."""
    moved = RefundApproval.objects.filter(pk=approval.pk, state=ApprovalState.OPEN).update(
        state=to, ended_by=by, ended_at=now, ended_reason=reason[:500]
    )
    if not moved:
        raise RefundChanged(gettext("Somebody else decided this a moment ago. Nothing was paid twice."))
    after: dict[str, Value] = {"approval": str(to), "number": approval.number, "asked_by": approval.asked_by.email}
    return Fact(f"refund.approval_{to}", item=item, before={"approval": "open"}, after=after, reason=reason)


def _contradict(refund: Refund, item: Item, terms: RefundTerms, *, now: datetime) -> list[Fact]:
    """A decided refund stays as it is; that the rules would now say otherwise is a fact, told once.

    Another cause that owes the same money without a question is no contradiction, and neither is one that the rules
    of the decision did not know, or another DECLINED_REFUND_POLICY: then we changed our mind, AssetPay said nothing.
    """
    if refund.contradicted_at is not None:
        return []
    is_owed_alike = terms.state == refund.ruling == RefundState.DUE and terms.amount == refund.amount
    told_apart = {rule.cause for rule in RULES[refund.rule_version]} | {RefundCause.LATEST_DISAGREES}
    is_same = terms.cause == refund.cause or is_owed_alike or terms.cause not in told_apart
    if is_same and terms.price == refund.price:
        return []
    Refund.objects.filter(pk=refund.pk, contradicted_at=None).update(contradicted_at=now)
    before = described(refund.state, refund.cause, refund.amount)
    after = described(terms.state, terms.cause, terms.amount)
    return [Fact("refund.contradicted", item=item, before=before, after=after)]


def bring_up_to_date(*, refund_id: int, origin: Origin, now: datetime) -> None:
    """Let an undecided refund follow its item and the rules as they stand now, and an approval expire.

    Called before every decision: what a person then decides on is what the rules say at that moment.
    """
    with transaction.atomic():
        refund = take(refund_id)
        if refund.state in DECIDED_REFUNDS:
            return
        was_asked = refund.item_id in asked_by_us([refund.item_id])
        facts = _follow_item(refund, refund.item, was_asked=was_asked, now=now)
        facts += _expire(Refund.objects.select_related("item__trade").get(pk=refund_id), now=now)
        record(facts, origin=origin.because_of(refund.evidence_name), now=now)


def _expire(refund: Refund, *, now: datetime) -> list[Fact]:
    if refund.state != RefundState.AWAITING:
        return []
    approval = refund.approvals.filter(state=ApprovalState.OPEN).select_related("asked_by").get()
    if now < approval.expires_at:
        return []
    reason = gettext_noop("No second person looked in time.")
    ended = end_approval(approval, to=ApprovalState.EXPIRED, reason=reason, item=refund.item, by=None, now=now)
    return [ended, put_back(refund, now=now)]


def put_back(refund: Refund, *, now: datetime) -> Fact:
    """Return a refund from a second person's desk to where the rules have it; the fact to record."""
    before = described(refund.state, refund.cause, refund.amount)
    Refund.objects.filter(pk=refund.pk, state=RefundState.AWAITING).update(state=refund.ruling, changed_at=now)
    after = described(refund.ruling, refund.cause, refund.amount)
    return Fact("refund.changed", item=refund.item, before=before, after=after)


def take(refund_id: int) -> Refund:
    """The refund with all that a decision looks at, its row locked. Raises Refund.DoesNotExist."""
    # The lock by a statement of its own: after a wait, PostgreSQL reads again only the row that it locks, and would
    # join it to the item as that was before the news that it waited for. SQLite's transactions are in line anyway.
    Refund.objects.select_for_update(no_key=True).values_list("pk").get(pk=refund_id)
    return (
        Refund.objects.select_related(
            "item__trade", "confirmed_by", "waived_by", "set_by", "evidence_delivery", "evidence_read"
        )
        .defer("evidence_delivery__body", "evidence_read__document", "item__document", "item__trade__document")
        .get(pk=refund_id)
    )


def confirm_refund(*, refund_id: int, seen: str, reference: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Confirm that the customer got the money back; the refund as it then stands.

    Above the limit this is the first person's word only: the refund then awaits a second one. `seen` is the
    fingerprint of what the person decided on. Raises RefundChanged where that is no longer so, naming who was first;
    SupervisorNeeded; EvidenceMissing; RefundRefused where nothing is owed; Refund.DoesNotExist.
    """
    bring_up_to_date(refund_id=refund_id, origin=origin, now=now)
    with transaction.atomic():
        refund = take(refund_id)
        refuse_unless_open(refund, seen=seen)
        if refund.state == RefundState.IN_REVIEW and not actor.may("settle_refund"):
            raise SupervisorNeeded(gettext("This refund is in review: a supervisor must confirm it."))
        if not refund.amount:
            raise RefundRefused(
                gettext("No price was ever reported, so there is no amount yet: a supervisor sets it first.")
            )
        missing = refund.evidence_refusal(now)
        if missing:
            raise EvidenceMissing(missing)
        if refund.is_large:
            facts = [_ask_second_person(refund, reference=reference, actor=actor, now=now)]
        else:
            facts = [settle(refund, reference=reference, actor=actor, approved_by=None, now=now)]
        record(facts, origin=origin.because_of(refund.evidence_name), now=now)
    return Refund.objects.select_related("item__trade", "confirmed_by").get(pk=refund_id)


def refuse_unless_open(refund: Refund, *, seen: str) -> None:
    """Raise RefundChanged or RefundRefused where a refund is not open, or not what was seen."""
    if refund.state == RefundState.CONFIRMED:
        raise RefundChanged(
            gettext(
                "Already confirmed by {who} on {at} UTC with reference {reference}. Nothing was paid twice."
            ).format(
                who=refund.confirmed_by,
                at=f"{refund.confirmed_at:%d %b %Y at %H:%M:%S}",
                reference=refund.reference,
            )
        )
    if refund.state == RefundState.WAIVED:
        raise RefundChanged(
            gettext("Waived by {who} on {at} UTC: {reason}").format(
                who=refund.waived_by,
                at=f"{refund.waived_at:%d %b %Y at %H:%M:%S}",
                reason=refund.waived_reason,
            )
        )
    if refund.state == RefundState.AWAITING:
        approval = refund.approvals.filter(state=ApprovalState.OPEN).select_related("asked_by").get()
        raise RefundChanged(
            gettext("{who} already asked a second person on {at} UTC, with reference {reference}.").format(
                who=approval.asked_by,
                at=f"{approval.asked_at:%d %b %Y at %H:%M:%S}",
                reference=approval.reference,
            )
        )
    if refund.state == RefundState.NOT_OWED:
        raise RefundRefused(
            gettext("Nothing is owed for this item: {cause}.").format(cause=refund.get_cause_display().lower())
        )
    if refund.fingerprint() != seen:
        raise RefundChanged(gettext("This refund changed after your page was loaded. Look at it again, then decide."))


def _ask_second_person(refund: Refund, *, reference: str, actor: User, now: datetime) -> Fact:
    shown = refund.decided_on()
    moved = Refund.objects.filter(pk=refund.pk, state=refund.state, net=0, entries_made=refund.entries_made).update(
        state=RefundState.AWAITING, changed_at=now
    )
    if not moved:
        raise RefundChanged(gettext("Somebody else decided this refund a moment ago. Nothing was paid twice."))
    approval = RefundApproval.objects.create(
        refund=refund,
        number=refund.approvals.count() + 1,
        reference=reference,
        shown=shown,
        fingerprint=refund.fingerprint(),
        asked_by=actor,
        asked_at=now,
        expires_at=now + timedelta(hours=settings.REFUND_APPROVAL_HOURS),
    )
    before = described(refund.state, refund.cause, refund.amount)
    after = described(RefundState.AWAITING, refund.cause, refund.amount)
    asked: dict[str, Value] = {"approval": str(ApprovalState.OPEN), "reference": reference, "number": approval.number}
    asked["fingerprint"] = approval.fingerprint
    return Fact("refund.approval_asked", item=refund.item, before=before, after=after | asked)


def settle(refund: Refund, *, reference: str, actor: User, approved_by: User | None, now: datetime) -> Fact:
    """Move a taken refund to confirmed and write its ledger row, in the caller's transaction; the fact to record."""
    if refund.amount is None:
        raise RefundRefused(gettext("There is no amount to confirm."))
    before = described(refund.state, refund.cause, refund.amount)
    key = reference_key(reference)
    moved = Refund.objects.filter(pk=refund.pk, state=refund.state, net=0, entries_made=refund.entries_made).update(
        state=RefundState.CONFIRMED,
        net=refund.amount,
        entries_made=refund.entries_made + 1,
        confirmed_by=actor,
        confirmed_at=now,
        reference=reference,
        reference_key=key,
        contradicted_at=None,
        changed_at=now,
    )
    if not moved:
        raise RefundChanged(gettext("Somebody else decided this refund a moment ago. Nothing was paid twice."))
    write_entry(
        refund,
        EntryKind.CONFIRMATION,
        amount=refund.amount,
        actor=actor,
        approved_by=approved_by,
        reference=reference,
        now=now,
    )
    after = described(RefundState.CONFIRMED, refund.cause, refund.amount)
    said: dict[str, Value] = {"reference": reference, "rule_version": refund.rule_version}
    if approved_by is not None:
        said |= {"first_person": actor.email, "second_person": approved_by.email}
    return Fact("refund.confirmed", item=refund.item, before=before, after=after | said)


def write_entry(
    refund: Refund,
    kind: EntryKind,
    *,
    amount: Decimal,
    actor: User,
    approved_by: User | None,
    reference: str,
    now: datetime,
    reason: str = "",
) -> None:
    """Append the next row of a refund's ledger; the database refuses any other number, and any change of it."""
    RefundEntry.objects.create(
        refund=refund,
        number=refund.entries_made + 1,
        kind=kind,
        amount=amount,
        actor=actor,
        approved_by=approved_by,
        made_at=now,
        reference=reference,
        reference_key=reference_key(reference),
        reason=reason,
        cause=refund.cause,
        rule_version=refund.rule_version,
        evidence_delivery_id=refund.evidence_delivery_id,
        evidence_read_id=refund.evidence_read_id,
        evidence_sha256=refund.evidence_sha256,
    )


def described(state: str, cause: str, amount: Decimal | None) -> dict[str, Value]:
    """A refund as the audit log names it."""
    return {"refund": str(state), "cause": str(cause), "amount": None if amount is None else f"{amount:.4f}"}


def _evidence_sha256(item: Item) -> str:
    evidence = item.status_delivery or item.status_read
    if evidence is None:
        raise ValueError("An item's status always has its evidence.")
    return evidence.body_sha256
