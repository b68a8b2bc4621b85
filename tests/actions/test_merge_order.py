"""P1 to P4: the mirror ends the same whatever the order of the messages, and however often each comes."""

from datetime import timedelta
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.desk import see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.models import Item, Refund, Status, Trade

TRADE_STATE = ("status", "reported_status", "reverted_by", "error", "total_price", "opened_at", "reported_at")
ITEM_STATE = (
    "assetpay_id",
    "status",
    "reported_status",
    "status_reported_at",
    "has_conflicting_ends",
    "price",
    "first_price",
    "name",
    "position",
)
REFUND_STATE = ("state", "cause", "amount", "item__assetpay_id")
fresh = count(1)

messages = st.fixed_dictionaries(
    {
        "at": st.one_of(st.none(), st.integers(0, 3)),
        "statuses": st.tuples(*[st.sampled_from([*Status.values, "frozen"])] * 2),
        "trade_status": st.sampled_from([*Status.values, "frozen"]),
        "price": st.sampled_from([None, 10, 12]),
        "reverted_by": st.sampled_from([None, "user", "supplier"]),
        "items": st.sampled_from([("item-a",), ("item-b",), ("item-a", "item-b"), ("item-b", "item-a")]),
    }
)


def items_told(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a message on the wire."""
    items = []
    for item_id, status in zip(message["items"], message["statuses"], strict=False):
        document = item_document(item_id, status=status)
        if message["price"] is None:
            del document["offer"]
        else:
            document["offer"] = {"price": message["price"]}
        items.append(document)
    return items


def outcome(sequence: list[dict[str, Any]]) -> tuple[object, ...]:
    """The rows that these messages leave, in this order, on a trade of their own."""
    trade_id = f"trade-{next(fresh):06d}"
    for message in sequence:
        at = message["at"]
        see(
            trade_snapshot(
                trade_id,
                status=message["trade_status"],
                items=items_told(message),
                revertedBy=message["reverted_by"],
                updatedAt=None if at is None else stamp(NOON + timedelta(seconds=at)),
            )
        )
    return (
        list(Trade.objects.filter(assetpay_id=trade_id).values_list(*TRADE_STATE)),
        list(Item.objects.filter(trade__assetpay_id=trade_id).order_by("assetpay_id").values_list(*ITEM_STATE)),
        list(
            Refund.objects.filter(item__trade__assetpay_id=trade_id)
            .order_by("item__assetpay_id")
            .values_list(*REFUND_STATE)
        ),
    )


@pytest.mark.django_db
@given(st.lists(messages, min_size=2, max_size=6).flatmap(lambda m: st.tuples(st.just(m), st.permutations(m))))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_p1_p2_p3_p4_any_order_and_repetition_ends_the_same(
    drawn: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    in_one_order, in_another = drawn

    assert outcome(in_one_order) == outcome([*in_another, *in_another[:2]])


@pytest.mark.django_db
def test_p1_p3_every_order_of_a_cancelled_trades_life_ends_the_same() -> None:
    life = ["initiated", "pending", "active", "canceled", "reverted"]
    sequence = [
        {
            "at": at,
            "statuses": (status, "completed"),
            "trade_status": status,
            "price": 10 + at,
            "reverted_by": "supplier" if status == "reverted" else None,
            "items": ("item-a", "item-b"),
        }
        for at, status in enumerate(life)
    ]

    outcomes = {repr(outcome(list(order))) for order in permutations(sequence)}

    assert len(outcomes) == 1
    assert "'reverted'" in outcomes.pop()


@pytest.mark.django_db
def test_p2_a_message_that_comes_twice_writes_nothing_the_second_time() -> None:
    snapshot = trade_snapshot()
    first = see(snapshot)

    second = see(snapshot)

    assert first.changes
    assert second.changes == ()
