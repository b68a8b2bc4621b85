"""What happens to refunds: they follow their item, and a person confirms them, once."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import (
    EntryKind,
    Item,
    Refund,
    RefundEntry,
    RefundState,
    User,
    refund_terms,
)
from withdrawals.models.refund import RULE_VERSION, RefundTerms, needs_refund


class RefundRefused(Exception):
    """A refund cannot be confirmed; the sentence says why and who was first."""


class RefundChanged(RefundRefused):
    """What the person saw is not what stands now."""


class SupervisorNeeded(RefundRefused):
    """This person may not decide this refund."""


def follow_items(items: Iterable[Item], *, now: datetime) -> list[Fact]:
    """Open or update the refund of each item (its trade loaded) that needs one, in the caller's transaction.

    A confirmed refund never changes here. Returns the facts for the caller to record.
    """
    by_item = {item.pk: item for item in items if needs_refund(item)}
    if not by_item:
        return []
    existing = {refund.item_id: refund for refund in Refund.objects.filter(item__in=by_item)}
    facts = []
    for item in by_item.values():
        refund = existing.get(item.pk)
        fact = _open_refund(item, now=now) if refund is None else _follow_item(refund, item, now=now)
        if fact is not None:
            facts.append(fact)
    return facts


def _open_refund(item: Item, *, now: datetime) -> Fact:
    terms = refund_terms(item)
    Refund.objects.create(
        item=item,
        state=terms.state,
        cause=terms.cause,
        amount=terms.amount,
        rule_version=RULE_VERSION,
        evidence_delivery_id=item.status_delivery_id,
        evidence_read_id=item.status_read_id,
        evidence_sha256=_evidence_sha256(item),
        opened_at=now,
        changed_at=now,
    )
    after = _described(terms.state, terms.cause, terms.amount)
    return Fact("refund.opened", item=item, after=after)


def _follow_item(refund: Refund, item: Item, *, now: datetime) -> Fact | None:
    terms = refund_terms(item)
    before = _described(refund.state, refund.cause, refund.amount)
    after = _described(terms.state, terms.cause, terms.amount)
    same_evidence = (refund.evidence_delivery_id, refund.evidence_read_id) == (
        item.status_delivery_id,
        item.status_read_id,
    )
    if refund.state == RefundState.CONFIRMED:
        return _contradict(refund, item, terms, now=now)
    if before == after and same_evidence:
        return None
    moved = (
        Refund.objects.filter(pk=refund.pk)
        .exclude(state=RefundState.CONFIRMED)
        .update(
            state=terms.state,
            cause=terms.cause,
            amount=terms.amount,
            rule_version=RULE_VERSION,
            evidence_delivery_id=item.status_delivery_id,
            evidence_read_id=item.status_read_id,
            evidence_sha256=_evidence_sha256(item),
            changed_at=now,
        )
    )
    return Fact("refund.changed", item=item, before=before, after=after) if moved else None


def _contradict(refund: Refund, item: Item, terms: RefundTerms, *, now: datetime) -> Fact | None:
    """A confirmed refund stays as it is; that the rules would now say otherwise is a fact, told once."""
    if refund.contradicted_at is not None or (terms.cause == refund.cause and terms.amount == refund.amount):
        return None
    Refund.objects.filter(pk=refund.pk, contradicted_at=None).update(contradicted_at=now)
    before = _described(refund.state, refund.cause, refund.amount)
    return Fact(
        "refund.contradicted", item=item, before=before, after=_described(terms.state, terms.cause, terms.amount)
    )


def confirm_refund(*, refund_id: int, seen: str, reference: str, actor: User, origin: Origin, now: datetime) -> Refund:
    """Confirm that the customer got the money back; the refund as it then stands.

    `seen` is the fingerprint of what the person decided on. Raises RefundChanged where that is no longer so, naming
    who was first if somebody confirmed; SupervisorNeeded; RefundRefused where nothing is owed; Refund.DoesNotExist.
    """
    with transaction.atomic():
        refund = (
            Refund.objects.select_for_update(of=("self",), no_key=True)
            .select_related("item__trade", "confirmed_by")
            .get(pk=refund_id)
        )
        _refuse_unless_confirmable(refund, seen=seen, actor=actor)
        amount = refund.amount
        if amount is None or amount == 0:
            raise RefundRefused("No price was ever reported for this item, so there is no amount to confirm.")
        before = _described(refund.state, refund.cause, amount)
        moved = Refund.objects.filter(pk=refund.pk, state=refund.state, net=0).update(
            state=RefundState.CONFIRMED,
            net=amount,
            confirmed_by=actor,
            confirmed_at=now,
            reference=reference,
            changed_at=now,
        )
        if not moved:
            raise RefundChanged("Somebody else decided this refund a moment ago. Nothing was paid twice.")
        RefundEntry.objects.create(
            refund=refund,
            number=refund.entries.count() + 1,
            kind=EntryKind.CONFIRMATION,
            amount=amount,
            actor=actor,
            made_at=now,
            reference=reference,
            evidence_sha256=refund.evidence_sha256,
        )
        refund.refresh_from_db()
        after = _described(refund.state, refund.cause, amount) | {"reference": reference}
        cause = (
            f"delivery:{refund.evidence_delivery_id}"
            if refund.evidence_delivery_id
            else f"read:{refund.evidence_read_id}"
        )
        fact = Fact("refund.confirmed", item=refund.item, before=before, after=after)
        record([fact], origin=origin.because_of(cause), now=now)
    return refund


def _refuse_unless_confirmable(refund: Refund, *, seen: str, actor: User) -> None:
    if refund.state == RefundState.CONFIRMED:
        raise RefundChanged(
            f"Already confirmed by {refund.confirmed_by} on {refund.confirmed_at:%d %b %Y at %H:%M:%S} UTC "
            f"with reference {refund.reference}. Nothing was paid twice."
        )
    if refund.state == RefundState.NOT_OWED:
        raise RefundRefused(f"Nothing is owed for this item: {refund.get_cause_display().lower()}.")
    if refund.fingerprint() != seen:
        raise RefundChanged("This refund changed after your page was loaded. Look at it again, then confirm.")
    if refund.needs_supervisor() and not actor.may("settle_refund"):
        why = "is in review" if refund.state == RefundState.IN_REVIEW else "is above the limit for one agent"
        raise SupervisorNeeded(f"This refund {why}: a supervisor must confirm it.")


def _described(state: str, cause: str, amount: Decimal | None) -> dict[str, Value]:
    return {"refund": str(state), "cause": str(cause), "amount": None if amount is None else f"{amount:.4f}"}


def _evidence_sha256(item: Item) -> str:
    evidence = item.status_delivery or item.status_read
    if evidence is None:
        raise ValueError("An item's status always has its evidence.")
    return evidence.body_sha256
