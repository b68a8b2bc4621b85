"""Each guard of a refund by itself: the edge of every rule, and what a decision leaves behind."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from tests.actions.test_refund_decisions import approve, awaiting, origin
from tests.actions.test_refunds import confirm, owed
from tests.desk import ask, item_of, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import refunds as refund_actions
from withdrawals.actions.refund_approvals import expire_approvals, expire_due, send_back_refund
from withdrawals.actions.refund_corrections import compensate_refund, reopen_refund, set_refund_amount, waive_refund
from withdrawals.actions.refunds import RefundChanged, RefundRefused, SupervisorNeeded
from withdrawals.models import AuditEntry, Refund, RefundApproval, RefundEntry, Role, Trade, User, refund_terms
from withdrawals.models.refund import READ_IS_FRESH_FOR, fingerprint_of
from withdrawals.models.refund_rules import RULES

pytestmark = pytest.mark.django_db

Correction = Callable[..., Refund]
LATER = NOON + timedelta(minutes=5)


def stands(refund: Refund) -> Refund:
    return Refund.objects.select_related("item__trade", "evidence_read", "evidence_delivery").get(pk=refund.pk)


def correct(do: Correction, refund: Refund, *, actor: User | None = None, now: Any = LATER, **given: Any) -> Refund:
    actor = actor or person(Role.SUPERVISOR)
    given = {"seen": stands(refund).fingerprint(), "reason": "a reason", **given}
    given = {name: value for name, value in given.items() if value is not None}
    return do(refund_id=refund.pk, actor=actor, origin=origin(actor), now=now, **given)


def told(action: str) -> AuditEntry:
    return AuditEntry.objects.get(action=action)


def unpriced(**trade: Any) -> Refund:
    item = item_document(status="reverted")
    del item["offer"]
    see(trade_snapshot(status="reverted", items=[item], **trade))
    return Refund.objects.get()


# --- What a decision leaves behind ------------------------------------------------------------------------


def test_a_confirmation_says_all_that_it_was_made_on() -> None:
    refund, actor = owed(), person()

    confirmed = confirm(refund, actor=actor, reference="Payout 77")

    entry, logged = RefundEntry.objects.get(), told("refund.confirmed")
    assert (confirmed.entries_made, confirmed.confirmed_at, confirmed.changed_at) == (1, NOON, NOON)
    assert (confirmed.reference_key, entry.reference_key) == ("payout77", "payout77")
    assert (entry.evidence_read, entry.cause, entry.rule_version) == (refund.evidence_read, "undone", 2)
    assert logged.before == {"refund": "due", "cause": "undone", "amount": "12.5000"}
    assert logged.after == {
        "refund": "confirmed",
        "cause": "undone",
        "amount": "12.5000",
        "reference": "Payout 77",
        "rule_version": 2,
    }


def test_a_request_for_a_second_person_is_numbered_timed_and_written_down(settings: Settings) -> None:
    settings.REFUND_APPROVAL_HOURS = 24
    approval = awaiting()

    logged = told("refund.approval_asked")
    assert (approval.number, approval.asked_at, approval.expires_at) == (1, NOON, NOON + timedelta(hours=24))
    assert (logged.before["refund"], logged.after["refund"]) == ("due", "awaiting")
    assert (logged.after["reference"], logged.after["number"]) == ("PAY-1", 1)
    assert logged.after["fingerprint"] == approval.fingerprint
    assert stands(approval.refund).changed_at == NOON

    expire_due(now=approval.expires_at)
    again = RefundApproval.objects.get(refund=confirm(approval.refund), state="open")
    assert again.number == 2


def test_the_end_of_a_request_says_who_asked_and_how_it_ended() -> None:
    first = person()
    approval = awaiting(first)

    expire_due(now=approval.expires_at)

    approval.refresh_from_db()
    logged = told("refund.approval_expired")
    assert (approval.state, approval.ended_at, approval.ended_by) == ("expired", approval.expires_at, None)
    assert (logged.before, logged.reason) == ({"approval": "open"}, "No second person looked in time.")
    assert logged.after == {"approval": "expired", "number": 1, "asked_by": first.email}
    assert told("refund.changed").after["refund"] == "due"
    assert stands(approval.refund).changed_at == approval.expires_at


def test_a_long_reason_is_kept_as_far_as_its_column_goes() -> None:
    approval, actor = awaiting(), person(Role.SUPERVISOR)

    send_back(approval, actor, reason="r" * 600)

    approval.refresh_from_db()
    assert approval.ended_reason == "r" * 500


def test_a_compensation_is_written_down_and_the_refund_owed_as_the_rules_say_by_then() -> None:
    refund = confirm(owed())
    reverted = item_document(status="reverted", offer={"price": Decimal("12.50")})
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", revertedBy="user", items=[reverted]))
    assert stands(refund).contradicted_at == NOON

    compensated = correct(compensate_refund, refund, reason="wrong customer")

    logged = told("refund.compensated")
    assert (compensated.state, compensated.cause) == ("in_review", "reverted_by_user")
    assert (compensated.entries_made, compensated.changed_at) == (2, LATER)
    assert (compensated.confirmed_by, compensated.confirmed_at, compensated.contradicted_at) == (None, None, None)
    assert (logged.reason, logged.after["refund"]) == ("wrong customer", "due")
    assert (logged.before["refund"], logged.before["reference"]) == ("confirmed", "PAY-1")


def test_a_waiver_and_its_end_are_written_down_and_the_refund_owed_as_the_rules_say_by_then() -> None:
    refund, actor = owed(), person(Role.SUPERVISOR)

    waived = correct(waive_refund, refund, actor=actor, reason="paid in the shop")
    assert (waived.waived_by, waived.waived_at, waived.waived_reason) == (actor, LATER, "paid in the shop")
    assert (told("refund.waived").before["refund"], told("refund.waived").after["refund"]) == ("due", "waived")
    assert told("refund.waived").reason == "paid in the shop"

    reverted = item_document(status="reverted", offer={"price": Decimal("12.50")})
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", revertedBy="user", items=[reverted]))
    reopened = correct(reopen_refund, refund, reason="it was not")

    assert (reopened.state, reopened.cause) == ("in_review", "reverted_by_user")
    assert (reopened.waived_by, reopened.waived_reason, reopened.contradicted_at) == (None, "", None)
    assert (told("refund.reopened").before["refund"], told("refund.reopened").after["refund"]) == ("waived", "due")
    assert told("refund.reopened").reason == "it was not"


def test_a_set_amount_is_written_down_with_who_and_why() -> None:
    refund, actor = owed(revertedBy="user"), person(Role.SUPERVISOR)

    changed = correct(set_refund_amount, refund, actor=actor, amount=Decimal("5.00004"), reason="half of it")

    logged = told("refund.amount_set")
    assert (changed.amount, changed.set_amount, changed.set_by) == (Decimal(5), Decimal(5), actor)
    assert (changed.set_reason, changed.changed_at) == ("half of it", LATER)
    assert (logged.before["amount"], logged.after["amount"], logged.reason) == ("12.5000", "5.0000", "half of it")
    assert "half of it" in changed.why_this_amount


# --- What a decision asks first ---------------------------------------------------------------------------


@pytest.mark.parametrize("do", [compensate_refund, reopen_refund, waive_refund, set_refund_amount])
def test_no_correction_is_made_on_a_page_that_is_old(do: Correction) -> None:
    refund = owed(revertedBy="user") if do is set_refund_amount else owed()
    amount = {"amount": Decimal(5)} if do is set_refund_amount else {}
    if do is compensate_refund:
        confirm(refund)
    elif do is reopen_refund:
        correct(waive_refund, refund)
    before = stands(refund).state

    with pytest.raises(RefundChanged, match="changed after your page"):
        correct(do, refund, seen="0" * 64, **amount)

    assert (stands(refund).state, stands(refund).set_amount) == (before, None)


@pytest.mark.parametrize(("do", "why"), [(compensate_refund, "not confirmed"), (reopen_refund, "not waived")])
def test_nothing_is_taken_back_that_was_not_done(do: Correction, why: str) -> None:
    with pytest.raises(RefundChanged, match=why):
        correct(do, owed())


def test_what_is_waived_or_awaits_somebody_says_so_to_whoever_comes_later() -> None:
    refund, first = owed(price="250.00"), person(email="first@desk.example")
    confirm(refund, actor=first)

    with pytest.raises(RefundChanged, match=r"first@desk\.example already asked .* with reference PAY-1"):
        confirm(refund)
    with pytest.raises(RefundChanged, match="already asked"):
        correct(waive_refund, refund)

    send_back(RefundApproval.objects.get(), first)
    correct(waive_refund, refund, reason="paid by hand")
    with pytest.raises(RefundChanged, match=r"Waived by .* on 02 Mar 2026 at 12:05:00 UTC: paid by hand"):
        confirm(refund)


@pytest.mark.parametrize("do", [waive_refund, set_refund_amount])
def test_a_request_that_nobody_answered_in_time_stands_in_no_ones_way(do: Correction) -> None:
    refund = owed(price="250.00", revertedBy="user")
    confirm(refund, actor=person(Role.SUPERVISOR))
    amount = {"amount": Decimal(200)} if do is set_refund_amount else {}

    correct(do, refund, now=NOON + timedelta(hours=24), **amount)

    assert stands(refund).state == ("waived" if do is waive_refund else "in_review")
    assert RefundApproval.objects.get().state == "expired"


def test_a_request_that_nobody_answered_in_time_is_asked_for_anew() -> None:
    approval, actor = awaiting(), person()
    now = approval.expires_at
    Trade.objects.update(answered_at=now)

    correct(refund_actions.confirm_refund, approval.refund, actor=actor, now=now, reference="PAY-2", reason=None)

    assert list(RefundApproval.objects.order_by("number").values_list("state", "reference")) == [
        ("expired", "PAY-1"),
        ("open", "PAY-2"),
    ]


def test_an_amount_up_to_the_price_is_set_even_below_a_dollar() -> None:
    refund = owed(revertedBy="user")

    assert correct(set_refund_amount, refund, amount=Decimal("0.50")).amount == Decimal("0.50")
    assert correct(set_refund_amount, refund, amount=Decimal("12.50")).amount == Decimal("12.50")


def test_without_a_price_the_amount_goes_up_to_the_trades() -> None:
    refund = unpriced(totalPrice=20)

    with pytest.raises(RefundRefused, match=r"whole trade cost \$20\.00"):
        correct(set_refund_amount, refund, amount=Decimal("20.01"))

    assert correct(set_refund_amount, refund, amount=Decimal(20)).amount == Decimal(20)


def test_with_a_price_the_trades_total_says_nothing() -> None:
    refund = owed(revertedBy="user", totalPrice=1)

    assert correct(set_refund_amount, refund, amount=Decimal("12.50")).amount == Decimal("12.50")


def test_without_any_price_at_all_the_amount_is_the_supervisors() -> None:
    refund = unpriced(totalPrice=None)

    assert correct(set_refund_amount, refund, amount=Decimal(70)).amount == Decimal(70)


def test_only_a_refund_in_review_is_given_an_amount() -> None:
    with pytest.raises(RefundRefused, match="The rules give the amount"):
        correct(set_refund_amount, owed(), amount=Decimal(5))


def send_back(approval: RefundApproval, actor: User, *, reason: str = "no", now: Any = NOON) -> Refund:
    return send_back_refund(
        refund_id=approval.refund_id, seen=approval.seal, reason=reason, actor=actor, origin=origin(actor), now=now
    )


def test_who_asked_sends_it_back_and_no_other_agent_does() -> None:
    first = person()
    approval = awaiting(first)

    with pytest.raises(SupervisorNeeded, match="or who asked"):
        send_back(approval, person())
    with pytest.raises(RefundChanged, match="not the one on your page"):
        send_back_refund(
            refund_id=approval.refund_id, seen="0" * 64, reason="x", actor=first, origin=origin(first), now=NOON
        )
    sent_back = send_back(approval, first, reason="a typing error")

    logged = told("refund.approval_sent_back")
    assert sent_back.state == "due"
    assert (logged.reason, logged.after["asked_by"]) == ("a typing error", first.email)
    assert told("refund.changed").before["refund"] == "awaiting"


def test_what_became_of_a_request_is_said_to_whoever_answers_it_late() -> None:
    approval, first = awaiting(), person(Role.SUPERVISOR)
    with pytest.raises(RefundChanged, match=r"Expired\. No second person looked in time\."):
        send_back(approval, first, now=approval.expires_at)

    refund = RefundApproval.objects.get().refund
    again = RefundApproval.objects.get(refund=confirm(refund), state="open")
    approve(again)
    with pytest.raises(RefundChanged, match=r"Already confirmed: asked for by .*, reference PAY-1"):
        approve(again)


def test_where_nobody_asked_there_is_nothing_to_approve() -> None:
    refund, actor = owed(), person(Role.SUPERVISOR)

    with pytest.raises(RefundRefused, match="Nobody asked for a second person"):
        send_back(RefundApproval(refund=refund, asked_by=actor, number=1, shown={}), actor)


def test_the_clock_tells_how_many_had_waited_too_long() -> None:
    approval = awaiting()
    RefundApproval.objects.update(expires_at=NOON)

    assert expire_approvals.func() == 1
    assert expire_approvals.func() == 0
    assert stands(approval.refund).state == "due"


# --- News that comes between ------------------------------------------------------------------------------


def test_what_was_decided_between_our_look_and_now_is_told_and_not_changed() -> None:
    refund = owed()
    stale = stands(refund)
    confirm(refund)
    item = item_of()
    item.trade.signs = ["reverted_by=user"]

    facts = refund_actions._follow_item(stale, item, was_asked=False, now=LATER)

    assert [fact.action for fact in facts] == ["refund.contradicted"]
    assert (stands(refund).state, stands(refund).contradicted_at) == ("confirmed", LATER)


def test_a_request_ends_once() -> None:
    approval = awaiting()
    item = item_of()
    given = {"to": "void", "reason": "x", "item": item, "by": None, "now": NOON}
    refund_actions.end_approval(approval, **given)

    with pytest.raises(RefundChanged, match="Somebody else decided this a moment ago"):
        refund_actions.end_approval(approval, **given)


@pytest.mark.parametrize("do", ["settle", "_ask_second_person"])
@pytest.mark.parametrize("between", [{"state": "in_review"}, {"entries_made": 2}])
def test_a_refund_that_moved_since_it_was_taken_is_not_decided(do: str, between: dict[str, Any]) -> None:
    taken = refund_actions.take(owed().pk)
    Refund.objects.update(**between)
    both = {"approved_by": None} if do == "settle" else {}

    with pytest.raises(RefundChanged, match="Somebody else decided this refund a moment ago"):
        getattr(refund_actions, do)(taken, reference="P", actor=person(), now=NOON, **both)

    assert not RefundEntry.objects.exists()
    assert not RefundApproval.objects.exists()


def test_news_that_changes_nothing_of_a_refund_is_no_change_of_it() -> None:
    refund = owed()
    same = item_document(status="reverted", offer={"price": Decimal("12.50")}, wear="0.1")

    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", items=[same]), now=LATER)

    assert stands(refund).changed_at == NOON
    assert not AuditEntry.objects.filter(action="refund.changed").exists()


def test_news_that_changes_nothing_leaves_a_request_waiting_and_other_news_ends_it() -> None:
    approval = awaiting()
    same = item_document(status="reverted", offer={"price": Decimal(250)}, wear="0.1")
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", items=[same]), now=LATER)
    assert (stands(approval.refund).state, stands(approval.refund).changed_at) == ("awaiting", NOON)

    other = item_document(status="reverted", offer={"price": Decimal(249)})
    see(trade_snapshot(updatedAt=stamp(LATER), status="reverted", items=[other]), now=LATER)

    approval.refresh_from_db()
    assert (approval.state, approval.ended_reason) == ("void", "price latest was 250.0000, is 249.0000")
    assert (stands(approval.refund).state, stands(approval.refund).changed_at) == ("due", LATER)
    changed = told("refund.changed")
    assert (changed.before["refund"], changed.after["refund"]) == ("awaiting", "due")


def test_a_contradiction_is_told_with_both_sides_and_once() -> None:
    refund = confirm(owed())
    reverted = item_document(status="reverted", offer={"price": Decimal("12.50")})
    for seconds in (0, 1):
        moment = NOON + timedelta(seconds=seconds)
        see(trade_snapshot(updatedAt=stamp(moment), status="reverted", revertedBy="user", items=[reverted]), now=moment)

    logged = told("refund.contradicted")
    assert (logged.before["refund"], logged.before["cause"]) == ("confirmed", "undone")
    assert (logged.after["refund"], logged.after["cause"]) == ("in_review", "reverted_by_user")
    assert stands(refund).contradicted_at == NOON


def test_another_price_contradicts_a_decision_though_the_cause_is_the_same() -> None:
    refund = confirm(owed())
    earlier = stamp(NOON - timedelta(hours=2))

    see(trade_snapshot(updatedAt=earlier, items=[item_document(offer={"price": 9})]))

    assert stands(refund).contradicted_at == NOON


def test_a_refund_opens_with_the_rules_that_opened_it_written_down() -> None:
    refund = owed()

    opened = told("refund.opened")
    assert opened.after == {"refund": "due", "cause": "undone", "amount": "12.5000", "rule_version": 2}
    assert (refund.opened_at, refund.changed_at, refund.ruling) == (NOON, NOON, "due")


def test_a_click_that_was_never_sent_explains_no_return() -> None:
    see(trade_snapshot(status="active", items=[item_document(status="active")]))
    ask(item_of())
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", items=[item_document(status="reverted")]))

    assert Refund.objects.get().cause == "undone"


# --- The rules by themselves ------------------------------------------------------------------------------


def ruled(*, status: str = "reverted", price: str = "12.50", signs: list[str] | None = None, **given: Any) -> Any:
    see(trade_snapshot(status=status, items=[item_document(status=status, offer={"price": Decimal(price)})]))
    item = item_of()
    item.trade.signs = signs or []
    item.trade.auto_cancel_at = given.pop("auto_cancel_at", None)
    for name in ("asset_id", "status_reported_at", "ended_as"):
        if name in given:
            setattr(item, name, given.pop(name))
    return refund_terms(item, **given)


@pytest.mark.parametrize(
    ("ended", "cause"),
    [(NOON - timedelta(milliseconds=1), "undone"), (NOON, "auto_cancel"), (NOON + timedelta(1), "auto_cancel")],
)
def test_what_came_back_from_the_very_moment_of_the_auto_cancel_on_is_the_sellers(ended: Any, cause: str) -> None:
    assert ruled(auto_cancel_at=NOON, status_reported_at=ended).cause == cause


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"status_reported_at": None, "auto_cancel_at": NOON}, "undone"),
        ({"status_reported_at": NOON, "auto_cancel_at": None}, "undone"),
        ({"status": "canceled"}, "canceled"),
        ({"asset_id": "41"}, "reverted_after_delivery"),
        ({"asset_id": "41", "was_asked": True}, "our_cancel"),
        ({"asset_id": "41", "status_reported_at": NOON, "auto_cancel_at": NOON, "was_asked": True}, "our_cancel"),
        ({"asset_id": "41", "signs": ["reverted_by=supplier"]}, "supplier"),
        ({"signs": ["asset_of=item-one"]}, "reverted_after_delivery"),
        ({"ended_as": "completed", "was_asked": True}, "reverted_after_delivery"),
        ({"was_asked": True}, "our_cancel"),
        ({"was_asked": True, "signs": ["reverted_by=supplier"]}, "our_cancel"),
        ({"was_asked": True, "signs": ["reverted_by=user"]}, "reverted_by_user"),
        ({"status": "failed", "was_asked": True}, "failed"),
        ({"status": "canceled", "signs": ["reverted_by=supplier"]}, "canceled"),
        ({"status": "canceled", "signs": ["reverted_by=user"]}, "canceled"),
        ({"status": "canceled", "asset_id": "41"}, "canceled"),
        ({"status": "canceled", "asset_id": "41", "status_reported_at": NOON, "auto_cancel_at": NOON}, "canceled"),
        ({"status": "failed", "signs": ["error=MERCHANT_REJECTED"]}, "never_charged"),
        ({"status": "failed", "signs": ["error=APPROVAL_TIMEOUT", "error=MERCHANT_REJECTED"]}, "approval_timeout"),
        ({"signs": ["error=MERCHANT_REJECTED"]}, "undone"),
        ({"signs": ["error=APPROVAL_TIMEOUT"]}, "undone"),
        ({"ended_as": "declined"}, "declined"),
        ({"status": "failed", "price": "0", "signs": ["error=MERCHANT_REJECTED"]}, "never_charged"),
        ({"price": "0"}, "price_unknown"),
    ],
)
def test_the_first_row_that_fits_names_the_cause(given: dict[str, Any], cause: str) -> None:
    assert ruled(**given).cause == cause


def test_a_price_of_zero_owes_what_a_supervisor_sets() -> None:
    assert ruled(price="0").amount is None
    assert ruled(price="0", set_amount=Decimal(3)).amount == Decimal(3)


@pytest.mark.parametrize(("set_to", "amount"), [("12.49", "12.49"), ("12.50", "12.50"), ("12.51", "12.50")])
def test_a_set_amount_counts_up_to_the_price(set_to: str, amount: str) -> None:
    terms = ruled(signs=["reverted_by=user"], set_amount=Decimal(set_to))

    assert (terms.state, terms.amount) == ("in_review", Decimal(amount))


def test_a_set_amount_counts_only_while_it_is_in_review() -> None:
    assert ruled(set_amount=Decimal(5)).amount == Decimal("12.50")


def test_nothing_but_a_declined_offer_loses_a_penalty(settings: Settings) -> None:
    settings.DECLINED_REFUND_POLICY = "net"

    assert ruled().loss is None
    assert (ruled().amount, ruled().price) == (Decimal("12.50"), Decimal("12.50"))


def test_what_is_not_owed_still_names_its_price() -> None:
    rejected = ruled(status="failed", signs=["error=MERCHANT_REJECTED"])

    assert (rejected.state, rejected.amount, rejected.price) == ("not_owed", Decimal("12.50"), Decimal("12.50"))


def test_every_version_of_the_rules_is_read_in_its_order() -> None:
    assert {version: len(rows) for version, rows in RULES.items()} == {1: 7, 2: 14}
    assert RULES[1][0].cause == RULES[2][0].cause == "conflicting_ends"


# --- The refund by itself ---------------------------------------------------------------------------------


def test_a_read_proves_to_the_end_of_its_hour() -> None:
    refund = stands(owed())

    assert refund.evidence_refusal(NOON + READ_IS_FRESH_FOR) == ""
    assert "over an hour old" in refund.evidence_refusal(NOON + READ_IS_FRESH_FOR + timedelta(microseconds=1))
    assert timedelta(hours=1) == READ_IS_FRESH_FOR


def test_evidence_of_another_state_of_the_item_proves_nothing() -> None:
    refund = stands(owed())
    refund.item.status_read_id = None

    assert "not that of the item's state" in refund.evidence_refusal(NOON)


def test_a_hash_of_what_was_shown_does_not_hang_on_its_order() -> None:
    assert fingerprint_of({"amount": "1", "refund": 2}) == fingerprint_of({"refund": 2, "amount": "1"})
    assert fingerprint_of({"amount": "1", "refund": 2}) != fingerprint_of({"amount": "2", "refund": 1})


def test_all_that_is_decided_on_is_named() -> None:
    refund = stands(owed())

    assert refund.decided_on() == {
        "refund": refund.pk,
        "cause": "undone",
        "rules_say": "due",
        "item_status": "reverted",
        "latest_status": "reverted",
        "amount": "12.5000",
        "price_first_seen": "12.5000",
        "price_latest": "12.5000",
        "lost_at_assetpay": None,
        "rule_version": 2,
        "evidence": f"read:{refund.evidence_read_id}",
        "evidence_sha256": "0" * 64,
        "ledger_rows": 0,
    }


@pytest.mark.parametrize(
    ("columns", "latest", "differ"),
    [
        ({}, "12.50", False),
        ({}, None, False),
        ({}, "12.51", True),
        ({"amount": Decimal(5)}, "12.50", True),
        ({"amount": Decimal(5)}, None, True),
    ],
)
def test_prices_that_differ_are_seen(columns: dict[str, Any], latest: str | None, differ: bool) -> None:
    refund = stands(owed())
    refund.item.price = Decimal(latest) if latest else None
    for name, value in columns.items():
        setattr(refund, name, value)

    assert refund.has_other_prices is differ


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({}, "was charged the price first seen"),
        ({"amount": Decimal(5), "set_amount": Decimal(5), "set_reason": "half"}, "set it: half"),
        ({"amount": Decimal(12), "set_amount": Decimal(5)}, "was charged"),
        ({"amount": Decimal("12.25"), "loss": Decimal("0.25")}, "less what AssetPay keeps"),
        ({"amount": Decimal("12.50"), "loss": Decimal("0.25")}, "was charged"),
        ({"amount": Decimal(5), "set_amount": Decimal(5), "loss": Decimal("0.25")}, "set it"),
    ],
)
def test_why_an_amount_is_what_it_is(columns: dict[str, Any], why: str) -> None:
    refund = stands(owed())
    for name, value in columns.items():
        setattr(refund, name, value)

    assert why in refund.why_this_amount


@pytest.mark.parametrize(
    ("amount", "price", "is_large"),
    [("100.00", "100.00", False), ("100.01", "100.01", True), (None, "5", True), ("5", None, True), ("5", "0", True)],
)
def test_what_takes_two_people(settings: Settings, amount: str | None, price: str | None, is_large: bool) -> None:
    settings.REFUND_APPROVAL_LIMIT = Decimal(100)
    refund = Refund(amount=amount and Decimal(amount), price=price and Decimal(price))

    assert refund.is_large is is_large


def test_a_reference_that_two_refunds_share_is_found_from_either_side() -> None:
    first = confirm(owed(), reference="Payout 77")
    see(trade_snapshot("trade-two", status="reverted", items=[item_document("item-two", status="reverted")]))
    second = Refund.objects.exclude(pk=first.pk).get()
    assert list(Refund.objects.using_reference(" PAYOUT77")) == [first]
    assert list(Refund.objects.using_reference("  ")) == []
    assert list(Refund.objects.sharing_reference()) == []

    confirm(second, reference="payout77")
    see(trade_snapshot("trade-three", status="reverted", items=[item_document("item-three", status="reverted")]))

    shared = Refund.objects.with_shared_references().order_by("pk")
    assert [refund.shares_reference for refund in shared] == [True, True, False]
    assert set(Refund.objects.sharing_reference()) == {first, second}
    correct(compensate_refund, second)
    assert set(Refund.objects.sharing_reference()) == {first}
