"""Refunds: opened by evidence, decided by cause, confirmed once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from tests.desk import ask, item_of, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.refunds import RefundChanged, RefundRefused, SupervisorNeeded, confirm_refund
from withdrawals.actions.sending import claim_next, record_answer
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, ToldToWait
from withdrawals.models import AuditEntry, Refund, RefundEntry, Role, Source, User

pytestmark = pytest.mark.django_db


def owed(price: str = "12.50", status: str = "reverted", **trade: Any) -> Refund:
    item = item_document(status=status, offer={"price": Decimal(price)})
    see(trade_snapshot(status=status, items=[item], **trade))
    return Refund.objects.select_related("item__trade").get()


def confirm(refund: Refund, *, actor: User | None = None, seen: str = "", reference: str = "PAY-1") -> Refund:
    actor = actor or person()
    refund = Refund.objects.select_related("item__trade").get(pk=refund.pk)
    return confirm_refund(
        refund_id=refund.pk,
        seen=seen or refund.fingerprint(),
        reference=reference,
        actor=actor,
        origin=Origin(Source.SCREEN, actor=actor),
        now=NOON,
    )


@pytest.mark.parametrize(
    ("status", "trade", "state", "cause"),
    [
        ("reverted", {}, "due", "undone"),
        ("reverted", {"revertedBy": "supplier"}, "due", "supplier"),
        ("reverted", {"revertedBy": "somebody new"}, "due", "undone"),
        ("reverted", {"revertedBy": "user"}, "in_review", "reverted_by_user"),
        ("canceled", {}, "due", "canceled"),
        ("declined", {}, "in_review", "declined"),
        ("failed", {}, "due", "failed"),
        ("failed", {"error": "PURCHASE_FAILED"}, "due", "failed"),
        ("failed", {"error": "MERCHANT_REJECTED"}, "not_owed", "never_charged"),
        ("canceled", {"error": "MERCHANT_REJECTED"}, "not_owed", "never_charged"),
        ("failed", {"error": "APPROVAL_TIMEOUT"}, "in_review", "approval_timeout"),
    ],
)
def test_the_cause_decides(status: str, trade: dict[str, str], state: str, cause: str) -> None:
    refund = owed(status=status, **trade)

    assert (refund.state, refund.cause, refund.amount) == (state, cause, Decimal("12.50"))
    assert refund.evidence_read is not None
    assert refund.evidence_sha256 == refund.evidence_read.body_sha256


@pytest.mark.parametrize("status", ["initiated", "pending", "active", "hold", "completed", "frozen"])
def test_an_item_that_did_not_end_undelivered_owes_nothing(status: str) -> None:
    see(trade_snapshot(status=status, items=[item_document(status=status)]))

    assert not Refund.objects.exists()


def test_the_amount_is_the_price_first_seen() -> None:
    see(trade_snapshot(items=[item_document(offer={"price": 12})]))
    later = stamp(NOON)

    see(trade_snapshot(updatedAt=later, items=[item_document(status="reverted", offer={"price": 9})]))

    assert Refund.objects.get().amount == Decimal(12)


def test_two_different_ends_are_for_a_person_whichever_came_first() -> None:
    see(trade_snapshot(updatedAt=stamp(NOON), items=[item_document(status="completed")]))
    earlier = stamp(NOON - timedelta(seconds=5))
    see(trade_snapshot(updatedAt=earlier, items=[item_document(status="canceled")]))

    refund = Refund.objects.get()
    assert (item_of().status, refund.state, refund.cause) == ("completed", "in_review", "conflicting_ends")


def test_it_turns_out_later_that_the_user_reversed_it() -> None:
    refund = owed()
    see(
        trade_snapshot(
            updatedAt=stamp(NOON),
            status="reverted",
            revertedBy="user",
            items=[item_document(status="reverted", offer={"price": Decimal("12.50")})],
        )
    )

    refund.refresh_from_db()
    assert (refund.state, refund.cause) == ("in_review", "reverted_by_user")
    assert AuditEntry.objects.latest("number").action == "refund.changed"


def test_an_agent_confirms_a_due_one_with_a_reference() -> None:
    actor = person()

    refund = confirm(owed(), actor=actor, reference="PAY-77")

    entry = RefundEntry.objects.get()
    logged = AuditEntry.objects.latest("number")
    assert (refund.state, refund.net, refund.confirmed_by, refund.reference) == (
        "confirmed",
        Decimal("12.50"),
        actor,
        "PAY-77",
    )
    assert (entry.number, entry.amount, entry.actor) == (1, Decimal("12.50"), actor)
    assert (logged.action, logged.after["reference"]) == ("refund.confirmed", "PAY-77")


def test_a_second_confirmation_says_who_was_first_and_does_nothing() -> None:
    refund = confirm(owed(), actor=person(email="first@desk.example"))

    with pytest.raises(RefundChanged, match=r"first@desk\.example"):
        confirm(refund)

    assert RefundEntry.objects.count() == 1


def test_a_stale_page_confirms_nothing() -> None:
    refund = owed()
    seen = refund.fingerprint()
    see(trade_snapshot(updatedAt=stamp(NOON - timedelta(hours=2)), items=[item_document(offer={"price": 99})]))

    with pytest.raises(RefundChanged, match="changed after"):
        confirm(refund, seen=seen)

    assert not RefundEntry.objects.exists()


def test_a_doubtful_one_takes_a_supervisor() -> None:
    refund = owed(revertedBy="user")

    with pytest.raises(SupervisorNeeded, match="in review"):
        confirm(refund)

    assert confirm(refund, actor=person(Role.SUPERVISOR)).state == "confirmed"


def test_a_large_one_awaits_a_second_person() -> None:
    refund = owed(price="100.01")

    assert confirm(refund).state == "awaiting"
    assert not RefundEntry.objects.exists()


def test_at_the_limit_an_agent_is_enough() -> None:
    assert confirm(owed(price="100.00")).state == "confirmed"


def test_nothing_is_confirmed_that_is_not_owed() -> None:
    refund = owed(status="failed", error="MERCHANT_REJECTED")

    with pytest.raises(RefundRefused, match="Nothing is owed"):
        confirm(refund, actor=person(Role.SUPERVISOR))


def test_without_a_price_there_is_nothing_to_confirm() -> None:
    item = item_document(status="reverted")
    del item["offer"]
    see(trade_snapshot(items=[item]))

    with pytest.raises(RefundRefused, match="No price"):
        confirm(Refund.objects.get(), actor=person(Role.SUPERVISOR))


def test_a_confirmed_refund_never_changes_with_later_news() -> None:
    refund = confirm(owed())

    see(trade_snapshot(updatedAt=stamp(NOON), status="completed", items=[item_document(status="completed")]))

    refund.refresh_from_db()
    assert (refund.state, refund.net) == ("confirmed", Decimal("12.50"))


@pytest.mark.parametrize(
    "change",
    [
        {"net": Decimal("12.51")},
        {"net": Decimal("-0.01")},
        {"reference": ""},
        {"confirmed_by": None},
        {"confirmed_at": None},
        {"state": "due"},
        {"state": "paid"},
        {"evidence_read": None},
        {"price": Decimal("12.49")},
        {"state": "waived", "net": 0},
    ],
)
def test_the_database_itself_keeps_a_confirmed_refund_sound(change: dict[str, object]) -> None:
    refund = confirm(owed())

    with pytest.raises(IntegrityError), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(**change)


def test_ledger_rows_never_change() -> None:
    confirm(owed())

    with pytest.raises(DatabaseError), transaction.atomic():
        RefundEntry.objects.update(amount=Decimal(1))
    with pytest.raises(DatabaseError), transaction.atomic():
        RefundEntry.objects.all().delete()


NEVER_DONE = [
    NotSent("ConnectError"),
    ToldToWait(seconds=1, key="RATE_LIMITED", code=1005, message="", request_id="r", http_status=429, stated=True),
]


@pytest.mark.parametrize("answer", NEVER_DONE, ids=lambda answer: type(answer).__name__)
def test_a_cancel_that_assetpay_never_took_explains_no_return_of_what_the_customer_had(answer: Exception) -> None:
    assert came_back_held_after(answer) == ("in_review", "reverted_after_delivery")


def test_a_cancel_of_unknown_outcome_may_explain_it() -> None:
    lost = OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r", lost_answer=True)

    assert came_back_held_after(lost) == ("due", "our_cancel")


def came_back_held_after(answer: Exception) -> tuple[str, str]:
    """The refund of an item that was with the customer, was asked for with this answer, and came back."""
    held = item_document(status="hold", assetId="41")
    see(trade_snapshot(status="hold", items=[held]))
    ask(item_of())
    claim = claim_next(now=NOON + timedelta(minutes=1))
    assert claim is not None
    record_answer(claim, answer, now=NOON + timedelta(minutes=1))

    see(trade_snapshot(status="reverted", updatedAt=stamp(NOON), items=[held | {"status": "reverted"}]))

    refund = Refund.objects.get()
    return refund.state, refund.cause


@pytest.mark.parametrize("first", ["had", "back"])
def test_what_the_customer_once_had_is_looked_at_though_the_last_message_leaves_it_out(first: str) -> None:
    had = trade_snapshot(status="hold", items=[item_document(status="hold", assetId="41")])
    back = trade_snapshot(status="reverted", updatedAt=stamp(NOON), items=[item_document(status="reverted")])

    for snapshot in (had, back) if first == "had" else (back, had):
        see(snapshot)

    refund = Refund.objects.get()
    assert item_of().asset_id is None
    assert (refund.state, refund.cause) == ("in_review", "reverted_after_delivery")
