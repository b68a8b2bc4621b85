"""The second person, corrections and evidence: what each may do, and what makes an approval void."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from pytest_django import Settings

from tests.actions.test_refunds import confirm, owed
from tests.desk import deliver, news, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import refunds as refund_actions
from withdrawals.actions.audit import Origin
from withdrawals.actions.refund_approvals import approve_refund, expire_due, send_back_refund
from withdrawals.actions.refund_corrections import compensate_refund, set_refund_amount, waive_refund
from withdrawals.actions.refunds import EvidenceMissing, RefundChanged, RefundRefused, SupervisorNeeded
from withdrawals.models import AuditEntry, Delivery, Refund, RefundApproval, RefundEntry, Role, Source, Trade, User
from withdrawals.models import refund_rules as rules

pytestmark = pytest.mark.django_db


def origin(actor: User) -> Origin:
    return Origin(Source.SCREEN, actor=actor)


def awaiting(actor: User | None = None, price: str = "250.00") -> RefundApproval:
    return RefundApproval.objects.get(refund=confirm(owed(price=price), actor=actor or person()))


def approve(approval: RefundApproval, actor: User | None = None, hours: int = 0) -> Refund:
    actor = actor or person(Role.SUPERVISOR)
    return approve_refund(
        refund_id=approval.refund_id,
        seen=approval.seal,
        actor=actor,
        origin=origin(actor),
        # A read that is an hour old no longer proves anything, whoever approves.
        now=NOON + timedelta(hours=hours),
    )


def test_two_people_confirm_a_large_refund_and_both_are_named() -> None:
    first, second = person(), person(Role.SUPERVISOR)

    refund = approve(awaiting(first), second)

    entry, logged = RefundEntry.objects.get(), AuditEntry.objects.latest("number")
    assert (refund.state, refund.net, refund.confirmed_by) == ("confirmed", Decimal(250), first)
    assert (entry.actor, entry.approved_by) == (first, second)
    assert (logged.after["first_person"], logged.after["second_person"]) == (first.email, second.email)


@pytest.mark.parametrize("email", ["", "Super.Visor+second@desk.example"])
def test_nobody_approves_their_own_not_even_by_a_second_account(email: str) -> None:
    first = person(Role.SUPERVISOR, "super.visor@desk.example")
    approval = awaiting(first)

    with pytest.raises(SupervisorNeeded, match="yourself"):
        approve(approval, person(Role.SUPERVISOR, email) if email else first)

    assert not RefundEntry.objects.exists()


def test_the_database_too_refuses_ones_own_approval() -> None:
    first = person(Role.SUPERVISOR)
    approval = awaiting(first)

    with pytest.raises(IntegrityError), transaction.atomic():
        RefundApproval.objects.filter(pk=approval.pk).update(state="approved", ended_by=first, ended_at=NOON)


def test_an_agent_is_no_second_person() -> None:
    with pytest.raises(SupervisorNeeded, match="supervisor approves"):
        approve(awaiting(), person())


def test_what_a_supervisor_asked_for_in_review_is_approved_by_nobody_once_they_are_none() -> None:
    first, second = person(Role.SUPERVISOR), person(Role.SUPERVISOR)
    refund = owed(price="250.00", status="declined")
    assert refund.state == "in_review"
    approval = RefundApproval.objects.get(refund=confirm(refund, actor=first))
    first.groups.set([Group.objects.get(name=Role.AGENT)])

    with pytest.raises(SupervisorNeeded, match="may not decide it any more"):
        approve(approval, second)

    assert not RefundEntry.objects.exists()


@pytest.mark.parametrize("loss", ["switched off", "role taken"])
def test_what_somebody_asked_for_who_may_confirm_no_more_is_approved_by_nobody(loss: str) -> None:
    first, supervisor = person(), person(Role.SUPERVISOR)
    approval = awaiting(first)
    if loss == "switched off":
        User.objects.filter(pk=first.pk).update(is_active=False)
    else:
        first.groups.clear()

    with pytest.raises(SupervisorNeeded, match="may not decide it any more"):
        approve(approval, supervisor)

    assert not RefundEntry.objects.exists()
    send_back_refund(
        refund_id=approval.refund_id,
        seen=approval.seal,
        reason="they left",
        actor=supervisor,
        origin=origin(supervisor),
        now=NOON,
    )
    refund = Refund.objects.get()
    assert refund.state == "due"
    again = RefundApproval.objects.get(refund=confirm(refund, actor=person()), state="open")
    assert approve(again, supervisor).state == "confirmed"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "reverted", "items": [item_document(status="reverted", offer={"price": 249})]},
        {"status": "completed", "items": [item_document(status="completed", offer={"price": 250})]},
        {"status": "reverted", "revertedBy": "user", "items": [item_document(status="reverted", offer={"price": 250})]},
    ],
)
def test_news_makes_an_approval_void_and_says_what_changed(change: dict[str, object]) -> None:
    approval = awaiting()
    see(trade_snapshot(updatedAt=stamp(NOON), **change))

    with pytest.raises(RefundChanged, match=r"Void: something changed\. .* was "):
        approve(approval)

    approval.refresh_from_db()
    assert approval.state == "void"
    assert AuditEntry.objects.filter(action="refund.approval_void").count() == 1
    assert not RefundEntry.objects.exists()


def test_a_new_version_of_the_rules_makes_an_approval_void_but_changes_no_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decided = confirm(owed())
    see(trade_snapshot("trade-two", status="reverted", items=[item_document("item-two", status="reverted")]))
    waiting = Refund.objects.exclude(pk=decided.pk).get()
    Refund.objects.filter(pk=waiting.pk).update(price=Decimal(250), amount=Decimal(250))
    waiting.item.first_price = Decimal(250)
    waiting.item.save(update_fields=["first_price"])
    approval = RefundApproval.objects.get(refund=confirm(waiting))
    monkeypatch.setattr(refund_actions, "RULE_VERSION", rules.RULE_VERSION + 1)

    with pytest.raises(RefundChanged, match="rule version was"):
        approve(approval)

    decided.refresh_from_db()
    assert (decided.state, decided.rule_version) == ("confirmed", rules.RULE_VERSION)


def test_an_approval_expires_and_the_refund_is_owed_again() -> None:
    approval = awaiting()

    assert expire_due(now=NOON + timedelta(hours=23)) == 0
    assert expire_due(now=NOON + timedelta(hours=24)) == 1
    assert expire_due(now=NOON + timedelta(hours=24)) == 0

    approval.refresh_from_db()
    assert (approval.state, Refund.objects.get().state) == ("expired", "due")


def test_an_expired_approval_is_refused_before_the_clock_found_it() -> None:
    approval = awaiting()

    with pytest.raises(RefundChanged, match="Expired"):
        approve(approval, hours=24)

    assert Refund.objects.get().state == "due"


def test_an_approvers_page_of_an_earlier_request_approves_nothing() -> None:
    approval = awaiting()
    stale = approval.seal
    RefundApproval.objects.filter(pk=approval.pk).update(reference="another payout")
    actor = person(Role.SUPERVISOR)

    with pytest.raises(RefundChanged, match="not the one on your page"):
        approve_refund(refund_id=approval.refund_id, seen=stale, actor=actor, origin=origin(actor), now=NOON)


# --- Evidence ---------------------------------------------------------------------------------------------


def test_a_read_proves_for_an_hour_and_a_new_answer_renews_it() -> None:
    refund = owed()
    late = NOON + timedelta(minutes=61)
    actor = person()
    seen = Refund.objects.select_related("item__trade").get(pk=refund.pk).fingerprint()
    given = {"refund_id": refund.pk, "seen": seen, "reference": "P-1", "actor": actor, "origin": origin(actor)}

    with pytest.raises(EvidenceMissing, match="over an hour old"):
        refund_actions.confirm_refund(**given, now=late)

    Trade.objects.update(answered_at=late)
    assert refund_actions.confirm_refund(**given, now=late).state == "confirmed"


def test_a_verified_callback_proves_however_old_and_its_id_and_hash_stay_with_the_money() -> None:
    delivery = deliver(news(status="reverted", items=[item_document(status="reverted")]))
    refund = Refund.objects.select_related("item__trade").get()
    actor = person()

    refund_actions.confirm_refund(
        refund_id=refund.pk,
        seen=refund.fingerprint(),
        reference="P-1",
        actor=actor,
        origin=origin(actor),
        now=NOON + timedelta(days=3),
    )

    entry = RefundEntry.objects.get()
    assert (entry.evidence_delivery, entry.evidence_sha256) == (delivery, delivery.body_sha256)


def test_a_callback_that_was_never_applied_proves_nothing() -> None:
    deliver(news(status="reverted", items=[item_document(status="reverted")]))
    Delivery.objects.update(verdict="failed")

    with pytest.raises(EvidenceMissing, match="not applied"):
        confirm(Refund.objects.get())


def test_an_item_whose_latest_word_is_another_is_in_review() -> None:
    owed()
    see(trade_snapshot(updatedAt=stamp(NOON), items=[item_document(status="hold", offer={"price": Decimal("12.50")})]))

    refund = Refund.objects.get()
    assert (refund.state, refund.cause) == ("in_review", "latest_disagrees")


# --- Corrections and amounts ------------------------------------------------------------------------------


def test_a_compensation_needs_what_was_seen_and_leaves_the_confirmation_in_place() -> None:
    refund = confirm(owed())
    actor = person(Role.SUPERVISOR)
    seen = Refund.objects.select_related("item__trade").get().fingerprint()
    given = {"refund_id": refund.pk, "reason": "wrong customer", "actor": actor, "origin": origin(actor), "now": NOON}

    with pytest.raises(RefundChanged):
        compensate_refund(seen="0" * 64, **given)
    compensated = compensate_refund(seen=seen, **given)
    with pytest.raises(RefundChanged, match="not confirmed"):
        compensate_refund(seen=seen, **given)

    assert (compensated.state, compensated.net, compensated.reference) == ("due", 0, "")
    assert [(row.kind, row.reason) for row in RefundEntry.objects.order_by("number")] == [
        ("confirmation", ""),
        ("compensation", "wrong customer"),
    ]


def test_an_old_form_does_not_pay_again_what_was_compensated() -> None:
    refund = owed()
    old = Refund.objects.select_related("item__trade").get(pk=refund.pk).fingerprint()
    confirm(refund)
    actor = person(Role.SUPERVISOR)
    seen = Refund.objects.select_related("item__trade").get().fingerprint()
    compensate_refund(refund_id=refund.pk, seen=seen, reason="x", actor=actor, origin=origin(actor), now=NOON)

    with pytest.raises(RefundChanged, match="changed after"):
        confirm(refund, seen=old)

    assert RefundEntry.objects.count() == 2


def test_a_waived_refund_is_not_forgotten_when_later_news_says_otherwise() -> None:
    refund, actor = owed(), person(Role.SUPERVISOR)
    waive_refund(
        refund_id=refund.pk,
        seen=Refund.objects.select_related("item__trade").get().fingerprint(),
        reason="paid by hand",
        actor=actor,
        origin=origin(actor),
        now=NOON,
    )
    reverted = item_document(status="reverted", offer={"price": Decimal("12.50")})
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", revertedBy="user", items=[reverted]))

    refund.refresh_from_db()
    assert (refund.state, refund.contradicted_at) == ("waived", NOON)


@pytest.mark.parametrize(
    ("ruled_by", "first", "later", "is_told"),
    [
        (2, {}, {"revertedBy": "supplier"}, False),  # another cause, the same money without a question
        (2, {}, {"revertedBy": "user"}, True),
        (2, {"revertedBy": "supplier"}, {"revertedBy": "user"}, True),
        (2, {"revertedBy": "user"}, {"revertedBy": "supplier"}, False),  # once said by the user, it stays in review
        (1, {}, {"item": {"assetId": "99"}}, False),  # rules of that version knew no reversal after delivery
        (2, {}, {"item": {"assetId": "99"}}, True),
        (2, {}, {"totalPrice": 13}, False),  # the trade's sum is no item's price
    ],
)
def test_only_what_assetpay_says_anew_contradicts_a_decision(
    ruled_by: int, first: dict[str, Any], later: dict[str, Any], is_told: bool
) -> None:
    refund = owed(**first)
    supervisor = person(Role.SUPERVISOR)
    confirm(refund, actor=supervisor)
    Refund.objects.filter(pk=refund.pk).update(rule_version=ruled_by)

    trade = {name: value for name, value in (first | later).items() if name != "item"}
    item = item_document(status="reverted", offer={"price": Decimal("12.50")}, **later.get("item", {}))
    see(trade_snapshot(status="reverted", updatedAt=stamp(NOON + timedelta(seconds=1)), items=[item], **trade))

    refund.refresh_from_db()
    assert (refund.contradicted_at is not None, refund.state, refund.net) == (is_told, "confirmed", Decimal("12.50"))
    assert AuditEntry.objects.filter(action="refund.contradicted").exists() is is_told


def test_another_policy_for_declined_offers_contradicts_no_decision(settings: Settings) -> None:
    settings.DECLINED_REFUND_POLICY = "full"
    refund = confirm(owed(status="declined"))

    settings.DECLINED_REFUND_POLICY = "net"
    item = item_document(status="declined", offer={"price": Decimal("12.50")})
    see(trade_snapshot(status="declined", updatedAt=stamp(NOON + timedelta(seconds=1)), totalPrice=13, items=[item]))

    refund.refresh_from_db()
    assert (refund.contradicted_at, refund.amount) == (None, Decimal("12.50"))


@pytest.mark.parametrize("amount", ["0", "12.51", "-1"])
def test_no_amount_beyond_the_charge_is_set(amount: str) -> None:
    refund, actor = owed(revertedBy="user"), person(Role.SUPERVISOR)

    with pytest.raises(RefundRefused):
        set_refund_amount(
            refund_id=refund.pk,
            seen=Refund.objects.select_related("item__trade").get().fingerprint(),
            amount=Decimal(amount),
            reason="x",
            actor=actor,
            origin=origin(actor),
            now=NOON,
        )


@pytest.mark.parametrize(
    ("policy", "price", "state", "amount", "loss"),
    [
        ("full", "12.50", "due", "12.50", "0.25"),
        ("net", "12.50", "due", "12.25", "0.25"),
        ("review", "12.50", "in_review", "12.50", "0.25"),
        ("net", "450.00", "due", "441.00", "9.00"),
        ("net", "1000.00", "due", "991.00", "9.00"),
    ],
)
def test_a_declined_offer_follows_the_policy_and_shows_the_loss(
    settings: Settings, policy: str, price: str, state: str, amount: str, loss: str
) -> None:
    settings.DECLINED_REFUND_POLICY = policy

    refund = owed(price=price, status="declined")

    assert (refund.state, refund.amount, refund.loss) == (state, Decimal(amount), Decimal(loss))
