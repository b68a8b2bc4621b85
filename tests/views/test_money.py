"""The money screen: totals to the cent, what does not close, and the wallet with its time."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tests.factories import ItemFactory, RefundFactory, ago
from tests.views.reading import text
from withdrawals.models import Refund, RefundCause, RefundState, Status, WalletReading

pytestmark = pytest.mark.django_db


def gaps(client: Client) -> dict[str, list[Any]]:
    """Each kind that is shown: the differences of its rows."""
    found = client.get("/refunds/money/").context["gaps"]
    return {gap.kind.name: [difference for _, _, difference in gap.rows] for gap in found if gap.count}


def test_what_is_owed_is_one_sum_over_all_that_waits(agent: Client) -> None:
    for state, price in ((RefundState.DUE, "0.10"), (RefundState.IN_REVIEW, "0.20"), (RefundState.DUE, "1234.5678")):
        RefundFactory(state=state, item__price=Decimal(price), opened_at=ago(hours=3))
    RefundFactory(state=RefundState.CONFIRMED, item__price=Decimal("7.77"))

    page = text(agent.get("/refunds/money/"))

    assert "data-owed-total>$1,234.8678<" in page
    assert "3 h ago" in page
    assert "$7.77" in page


def test_what_closes_is_not_listed(agent: Client) -> None:
    RefundFactory()

    assert gaps(agent) == {}
    assert "data-all-closes" in text(agent.get("/refunds/money/"))


def test_a_penalty_a_double_reference_and_a_forgotten_item_all_appear_to_the_cent(agent: Client) -> None:
    RefundFactory(
        state=RefundState.CONFIRMED,
        cause=RefundCause.DECLINED,
        item__price=Decimal(600),
        loss=Decimal(9),
        reference="payout-9",
    )
    ItemFactory(status=Status.CANCELED, price=Decimal("3.21"))
    for _ in range(2):
        twice = RefundFactory(state=RefundState.CONFIRMED, reference="payout-2")
        twice.entries.create(
            number=1,
            kind="confirmation",
            amount=twice.net,
            actor=twice.confirmed_by,
            made_at=twice.opened_at,
            reference="payout-2",
            reference_key="payout-2",
            cause=twice.cause,
            rule_version=twice.rule_version,
            evidence_sha256=twice.evidence_sha256,
        )

    found = gaps(agent)

    assert found["declined"] == [Decimal(9)]
    assert found["shared_reference"] == [Decimal("12.34")] * 2
    assert found["forgotten"] == [Decimal("3.21")]


def test_a_price_that_moved_news_after_the_payment_and_a_waiver_appear(agent: Client) -> None:
    RefundFactory(state=RefundState.CONFIRMED, item__first_price=Decimal(10), item__price=Decimal(9))
    RefundFactory(state=RefundState.CONFIRMED, contradicted_at=ago(minutes=1))
    RefundFactory(state=RefundState.WAIVED)
    RefundFactory(item__price=None, item__first_price=None, state=RefundState.IN_REVIEW)

    found = gaps(agent)

    assert found["price_moved"] == [Decimal(1)]
    assert found["contradicted"] == [Decimal("12.34")]
    assert found["not_in_full"] == [Decimal("12.34")]
    assert found["without_amount"] == [None]


def test_a_net_that_its_rows_do_not_bear_out_is_found(agent: Client) -> None:
    refund = RefundFactory(state=RefundState.CONFIRMED)

    # The factory writes past the actions, so there is no row beneath it.
    assert gaps(agent).get("ledger") == [Decimal("12.34")]
    assert Refund.objects.get(pk=refund.pk).net == Decimal("12.34")


def test_the_wallet_has_its_time_and_a_failure_is_said_beside_it(agent: Client) -> None:
    assert "Never read yet" in text(agent.get("/refunds/money/"))
    then = ago(minutes=9)
    WalletReading.objects.create(
        read_at=then,
        last_read_at=then,
        balance=Decimal("10432.1"),
        pending_balance=Decimal(5),
        escrow_balance=0,
        currency="USD",
    )
    WalletReading.objects.create(read_at=ago(minutes=1), last_read_at=ago(minutes=1), failure="no answer")

    page = text(agent.get("/refunds/money/"))

    assert "$10,432.10" in page
    assert "9 min ago" in page
    assert "no answer" in page


@pytest.mark.parametrize("many", [1, 25])
def test_the_screen_costs_the_same_however_long(agent: Client, many: int, django_assert_max_num_queries: Any) -> None:
    RefundFactory.create_batch(many)

    with django_assert_max_num_queries(QUERIES_OF_THE_SCREEN):
        agent.get("/refunds/money/")


QUERIES_OF_THE_SCREEN = 17
