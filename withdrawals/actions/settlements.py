"""A person ends a cancellation whose end never came: on evidence at once, else with a second person."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import Cancellation, CancellationState, SettledAs, Settlement, User
from withdrawals.models.cancellation import ASKED_STATES
from withdrawals.models.refund_approval import is_same_person
from withdrawals.models.settlement import fingerprint_to_settle


class SettleRefused(Exception):
    """It cannot be settled, or not by this person; the sentence says why."""


def settle_cancellation(
    *, cancellation_id: int, outcome: str, note: str, seen: str, actor: User, origin: Origin, now: datetime
) -> Settlement:
    """End a cancellation as not done where AssetPay has long shown the item open since; without that, propose it.

    "Done" is never settled by hand: only AssetPay's word ends an item undone. A proposal has no `settled_at`. `seen` is
    the `fingerprint_to_settle` of what was on the person's screen. Raises SettleRefused, or Cancellation.DoesNotExist.
    """
    with transaction.atomic():
        cancellation = _take(cancellation_id, outcome, note, seen, now)
        evidence = cancellation.settle_evidence()
        settlement = _propose(cancellation, note, evidence, actor, now)
        fact = _settle(settlement, cancellation, now) if evidence else _proposed(settlement, cancellation)
        record([fact], origin=origin, now=now)
    return settlement


def propose_settlement(
    *, cancellation_id: int, outcome: str, note: str, seen: str, actor: User, origin: Origin, now: datetime
) -> Settlement:
    """Propose that a cancellation was not done, for a second person to approve, even where evidence would do.

    Raises as `settle_cancellation` does.
    """
    with transaction.atomic():
        cancellation = _take(cancellation_id, outcome, note, seen, now)
        settlement = _propose(cancellation, note, "", actor, now)
        record([_proposed(settlement, cancellation)], origin=origin, now=now)
    return settlement


def approve_settlement(*, settlement_id: int, seen: str, actor: User, origin: Origin, now: datetime) -> Settlement:
    """Settle what somebody else proposed; `seen` is the `seal` of the proposal on the approver's screen.

    Raises SettleRefused, also where anything that the first person saw has changed since; or Settlement.DoesNotExist.
    """
    with transaction.atomic():
        # The cancellation first, as whoever proposes anew, records an answer or takes news in does.
        asked = Cancellation.objects.select_for_update(no_key=True).filter(settlement=settlement_id)
        list(asked.values_list("pk"))
        settlement = Settlement.objects.select_related("cancellation__item__trade", "proposed_by").get(pk=settlement_id)
        if is_same_person(actor, settlement.proposed_by):
            raise SettleRefused(gettext("You proposed this yourself: a second person has to approve it."))
        if settlement.settled_at is not None:
            raise SettleRefused(gettext("This was already settled."))
        cancellation = settlement.cancellation
        refusal = cancellation.settle_refusal(now)
        if refusal:
            raise SettleRefused(refusal)
        if seen != settlement.seal:
            raise SettleRefused(gettext("This proposal is not the one on your page. Look at it again, then approve."))
        void = settlement.void_because()
        if void:
            raise SettleRefused(void)
        settlement.approved_by = actor
        fact = _settle(settlement, cancellation, now)
        record([fact], origin=origin, now=now)
    return settlement


def _take(cancellation_id: int, outcome: str, note: str, seen: str, now: datetime) -> Cancellation:
    # The lock by a statement of its own, so that the item is read as it stands after a wait.
    Cancellation.objects.select_for_update(no_key=True).values_list("pk").get(pk=cancellation_id)
    cancellation = Cancellation.objects.select_related("item__trade").get(pk=cancellation_id)
    if outcome != SettledAs.NOT_DONE:
        raise SettleRefused(gettext('Only "not done" can be settled: that an item is undone is AssetPay\'s to say.'))
    if not note.strip():
        raise SettleRefused(gettext("Say in the note how you know."))
    refusal = cancellation.settle_refusal(now)
    if refusal:
        raise SettleRefused(refusal)
    if seen != fingerprint_to_settle(cancellation):
        raise SettleRefused(gettext("Something changed after your page was loaded. Look at it again."))
    return cancellation


def _propose(cancellation: Cancellation, note: str, evidence: str, actor: User, now: datetime) -> Settlement:
    """The one settlement of this cancellation: a proposal that was not approved is replaced, the log keeps both."""
    settlement, _ = Settlement.objects.update_or_create(
        cancellation=cancellation,
        defaults={
            "outcome": SettledAs.NOT_DONE,
            "note": note,
            "evidence": evidence[:300],
            "fingerprint": fingerprint_to_settle(cancellation),
            "proposed_by": actor,
            "proposed_at": now,
        },
    )
    return settlement


def _proposed(settlement: Settlement, cancellation: Cancellation) -> Fact:
    after: dict[str, Value] = {"proposed": str(settlement.outcome), "note": settlement.note}
    return Fact("cancellation.settlement_proposed", item=cancellation.item, after=after, reason=settlement.note)


def _settle(settlement: Settlement, cancellation: Cancellation, now: datetime) -> Fact:
    because = (
        f"Settled as not done by {settlement.proposed_by}: {settlement.evidence}."
        if settlement.evidence
        else f"Settled as not done by {settlement.proposed_by} and {settlement.approved_by}."
    )
    row = Cancellation.objects.filter(pk=cancellation.pk, state=cancellation.state, state__in=ASKED_STATES)
    moved = row.move(
        to=CancellationState.REFUSED,
        held_under=cancellation.claim,
        now=now,
        may_resend=False,
        waits_for="",
        needs_person="",
        read_from=None,
        ended_because=because[:500],
    )
    if not moved:
        raise SettleRefused(gettext("News came meanwhile: look again."))
    settlement.settled_at = now
    settlement.save(update_fields=["settled_at", "approved_by"])
    before = {"cancellation": str(cancellation.state)}
    after: dict[str, Value] = {"cancellation": str(CancellationState.REFUSED), "evidence": settlement.evidence}
    return Fact("cancellation.settled", item=cancellation.item, before=before, after=after, reason=settlement.note)
