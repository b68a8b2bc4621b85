"""Each live invariant: it holds on a desk where people work, and breaking it by hand turns it red."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, UserFactory, ago
from tests.stories.conftest import Stage
from tests.stories.conftest import stage as stage  # the fixture
from withdrawals.actions.invariants import INVARIANTS, Invariant, check_invariants, look_at_invariants
from withdrawals.models import (
    Attempt,
    AuditEntry,
    AuditHead,
    Cancellation,
    CancellationState,
    InvariantResult,
    Refund,
    RefundState,
    Role,
    Verdict,
)
from withdrawals.models.audit_triggers import drop_triggers

BY_NAME = {invariant.name: invariant for invariant in INVARIANTS}


def broken() -> set[str]:
    look_at_invariants(now=timezone.now())
    return set(InvariantResult.objects.filter(broken__gt=0).values_list("name", flat=True))


def test_all_hold_where_people_work(stage: Stage) -> None:
    item = stage.withdrawal(items=[{"name": "AWP | Asiimov (Field-Tested)", "price": "42.50"}])
    agent = stage.desk(Role.AGENT)
    agent.submit(f"/items/{item.pk}/cancel/", reason="not delivered")
    stage.work()
    stage.settle()
    agent.submit(f"/refunds/{Refund.objects.get().pk}/confirm/", reference="PAY-1")
    assert Refund.objects.get().state == RefundState.CONFIRMED

    assert broken() == set()
    assert InvariantResult.objects.count() == len(INVARIANTS)


def _open_twice() -> None:
    item = ItemFactory()
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX one_open_cancellation_per_item")
    CancellationFactory(item=item)
    CancellationFactory(item=item)


def _numbered_with_a_gap() -> None:
    CancellationFactory(number=2)


def _sent_without_permit() -> None:
    _attempt(CancellationFactory(), "11111111-1111-4111-8111-111111111111", ago(hours=3))


def _attempt(cancellation: Cancellation, request_id: str, started_at: object) -> None:
    Attempt.objects.create(cancellation=cancellation, number=1, request_id=request_id, started_at=started_at)


def _eleven_in_a_minute() -> None:
    for number in range(11):
        _attempt(CancellationFactory(), f"11111111-1111-4111-8111-1111111111{number:02d}", ago(seconds=number))


def _worker_gone_for_an_hour() -> None:
    CancellationFactory(state=CancellationState.SENDING, requested_at=ago(hours=1))


def _open_on_an_ended_item() -> None:
    CancellationFactory(item=ItemFactory(status="completed", status_changed_at=ago(hours=1)))


def _approval_acknowledged() -> None:
    DeliveryFactory(kind="withdrawal_approval")


def _delivery_without_verdict() -> None:
    DeliveryFactory(verdict=Verdict.RECEIVED, received_at=ago(hours=1))


def five_dollars_confirmed(**fields: object) -> None:
    RefundFactory(
        state=RefundState.CONFIRMED,
        amount=Decimal(5),
        net=Decimal(5),
        reference="x",
        confirmed_by=UserFactory(),
        confirmed_at=ago(minutes=1),
        **fields,
    )


def _paid_without_ledger() -> None:
    five_dollars_confirmed()


def _paid_above_the_price() -> None:
    item = ItemFactory(status="failed", price=Decimal(4), status_delivery=DeliveryFactory())
    five_dollars_confirmed(item=item, price=Decimal(5))


def _undelivered_and_forgotten() -> None:
    ItemFactory(status="reverted", status_changed_at=ago(hours=1))


def _due_for_a_delivered_item() -> None:
    RefundFactory(item=ItemFactory(status="completed", status_delivery=DeliveryFactory()), state=RefundState.DUE)


def _due_though_the_customer_reversed() -> None:
    item = ItemFactory(status="reverted", status_delivery=DeliveryFactory())
    item.trade.signs = ["reverted_by=user"]
    item.trade.save(update_fields=["signs"])
    RefundFactory(item=item, state=RefundState.DUE)


def _head_is_ahead() -> None:
    AuditHead.objects.update(number=3)


def _entry_edited() -> None:
    _entry_added("0" * 64)


def _entry_added(hash_: str) -> None:
    AuditEntry.objects.create(
        number=1, at=timezone.now(), actor_name="x", action="x", source="command", previous_hash="0" * 64, hash=hash_
    )
    AuditHead.objects.update(number=1, hash=hash_)


def _triggers_dropped() -> None:
    drop_triggers(connection)


BY_HAND: dict[str, Callable[[], None]] = {
    "one-open-cancellation": _open_twice,
    "cancellations-numbered": _numbered_with_a_gap,
    "sent-under-permit": _sent_without_permit,
    "within-the-limit": _eleven_in_a_minute,
    "sending-ends": _worker_gone_for_an_hour,
    "ended-items-rest": _open_on_an_ended_item,
    "approvals-unanswered": _approval_acknowledged,
    "deliveries-understood": _delivery_without_verdict,
    "refund-is-its-ledger": _paid_without_ledger,
    "refund-within-price": _paid_above_the_price,
    "undelivered-has-refund": _undelivered_and_forgotten,
    "refund-has-cause": _due_for_a_delivered_item,
    "reversed-by-customer": _due_though_the_customer_reversed,
    "log-without-gap": _head_is_ahead,
    "log-links": _entry_edited,
    "triggers-stand": _triggers_dropped,
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.django_db
def test_breaking_it_by_hand_turns_it_red(name: str) -> None:
    assert name not in broken()

    BY_HAND[name]()

    assert name in broken()
    result = InvariantResult.objects.get(name=name)
    assert result.rows
    assert result.broken_since is not None


@pytest.mark.django_db
def test_it_says_since_when_and_turns_green_again() -> None:
    head = AuditHead.objects.get()
    AuditHead.objects.update(number=3)
    early = timezone.now()
    look_at_invariants(now=early)
    look_at_invariants(now=early + timedelta(minutes=3))
    assert InvariantResult.objects.get(name="log-without-gap").broken_since == early

    AuditHead.objects.update(number=head.number)

    assert check_invariants.func() == 0
    assert InvariantResult.objects.get(name="log-without-gap").broken_since is None


@pytest.mark.django_db
def test_one_that_cannot_be_asked_is_red_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def fail(_: object) -> list[str]:
        raise RuntimeError("planted")

    failing = Invariant("log-links", "x", fail)
    monkeypatch.setattr("withdrawals.actions.invariants.INVARIANTS", (failing, BY_NAME["log-without-gap"]))

    assert broken() == {"log-links"}
    assert InvariantResult.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("told_later", [False, True])
def test_an_amount_that_a_supervisor_set_or_an_earlier_price_that_came_late_breaks_nothing(told_later: bool) -> None:
    price = Decimal(5) if told_later else Decimal(0)
    item = ItemFactory(status="failed", price=min(price, Decimal(3)), status_delivery=DeliveryFactory())
    five_dollars_confirmed(item=item, price=price, contradicted_at=ago(minutes=1) if told_later else None)

    assert "refund-within-price" not in broken()
