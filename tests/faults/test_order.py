"""F12, F24, F48 and P1 to P4: the rows depend on the set of messages, not on their order or number, nor on reads."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import count as counting
from itertools import permutations
from typing import Any

import pytest
from django.db import connection

from tests.desk import deliver, news, see
from tests.faults.door import LONG, approval, runs, seeded, send, tell
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.models import AuditEntry, Delivery, Item, Refund, Status, Trade, Verdict

pytestmark = pytest.mark.django_db

TRADE_STATE = ("status", "reported_status", "reverted_by", "total_price", "opened_at", "reported_at", "document")
ITEM_STATE = ("assetpay_id", "status", "reported_status", "status_reported_at", "has_conflicting_ends", "price")
REFUND_STATE = ("item__assetpay_id", "state", "cause", "amount")
PLACEHOLDER = "the-trade"
LIFE = ["initiated", "pending", "active", "hold", "completed", "reverted", "frozen"]
fresh = counting(1)


def told(at: int | None, status: str, other: str, *, price: int = 12, cause: str | None = None) -> dict[str, Any]:
    """One message about a trade of two items."""
    return {
        "status": status,
        "items": [
            item_document("item-a", status=status, offer={"price": price}),
            item_document("item-b", status=other),
        ],
        "revertedBy": cause,
        "updatedAt": None if at is None else stamp(NOON + timedelta(seconds=at)),
    }


def outcome(messages: Iterable[dict[str, Any]]) -> tuple[object, ...]:
    """What these deliveries leave, in this order, on a trade of their own; the trade's name is blotted out."""
    trade_id = f"t{next(fresh):08d}"
    for message in messages:
        deliver(news(trade_id, **message))
    rows = (
        list(Trade.objects.filter(assetpay_id=trade_id).values_list(*TRADE_STATE)),
        list(Item.objects.filter(trade__assetpay_id=trade_id).order_by("assetpay_id").values_list(*ITEM_STATE)),
        list(
            Refund.objects.filter(item__trade__assetpay_id=trade_id)
            .order_by("item__assetpay_id")
            .values_list(*REFUND_STATE)
        ),
    )
    return (repr(rows).replace(trade_id, PLACEHOLDER),)


FIVE = [
    told(0, "initiated", "initiated"),
    told(1, "pending", "active", price=13),
    told(2, "canceled", "completed"),
    told(2, "active", "pending", price=11),
    told(3, "reverted", "completed", cause="supplier"),
]
SEVEN = [*FIVE, told(None, "hold", "failed"), told(4, "frozen", "declined", price=14)]


# With the seven the trade's latest word is "frozen" for an item that came back: a person looks at it.
@pytest.mark.parametrize(
    ("messages", "owed"),
    [
        pytest.param(FIVE, "'item-a', 'due', 'supplier'", id="five"),
        pytest.param(SEVEN, "'item-a', 'in_review', 'latest_disagrees'", id="seven", marks=LONG),
    ],
)
def test_f12_every_order_of_a_set_of_deliveries_ends_the_same(messages: list[dict[str, Any]], owed: str) -> None:
    orders = list(permutations(messages))

    outcomes = {outcome(order) for order in orders}

    tell(f"{len(orders):,} orders of {len(messages)}: {len(outcomes)} outcome")
    assert len(outcomes) == 1
    assert owed in outcomes.pop()[0]


def test_f12_control_where_the_last_message_wins_the_order_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.actions.projection._is_heavier", lambda *_: True)

    assert len({outcome(order) for order in permutations(FIVE[:3])}) > 1


@pytest.mark.parametrize("count", runs(15, 20_000))
def test_f12_random_sets_end_the_same_in_any_order_and_with_repetitions(count: int) -> None:
    chance = seeded(12)
    statuses = [*Status.values, "frozen"]

    deliveries = 0
    for _ in range(count):
        messages = [
            told(
                chance.choice([None, 0, 1, 2, 3]),
                chance.choice(statuses),
                chance.choice(statuses),
                price=chance.choice([10, 12]),
                cause=chance.choice([None, "user", "supplier"]),
            )
            for _ in range(chance.randint(2, 5))
        ]
        again = [*messages, *chance.choices(messages, k=2)]
        chance.shuffle(again)
        deliveries += len(messages) + len(again)
        assert outcome(messages) == outcome(again), messages
    tell(f"{deliveries:,} deliveries")


@pytest.mark.parametrize("count", runs(25, 2_000))
def test_f48_a_stale_read_never_takes_back_what_a_callback_told(count: int) -> None:
    assert lost_to_stale_reads(count) == 0


def test_f48_control_where_the_last_message_wins_stale_reads_take_states_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.actions.projection._is_heavier", lambda *_: True)

    assert lost_to_stale_reads(8) > 0


def lost_to_stale_reads(count: int) -> int:
    """Interleavings of callbacks with reads that were taken earlier, after which the last state is not what stands."""
    chance, lost = seeded(48), 0
    for _ in range(count):
        trade_id = f"t{next(fresh):08d}"
        life = LIFE[: chance.randint(2, len(LIFE) - 1)]
        messages = [told(at, status, status) for at, status in enumerate(life)]
        waiting = [(message, chance.random() < 0.5) for message in [*messages, *chance.choices(messages, k=3)]]
        chance.shuffle(waiting)
        for message, is_read in waiting:
            if is_read:
                see(trade_snapshot(trade_id, **message))
            else:
                deliver(news(trade_id, **message))
        statuses = set(Item.objects.filter(trade__assetpay_id=trade_id).values_list("status", flat=True))
        lost += statuses != {life[-1]}
    return lost


@pytest.mark.parametrize("count", runs(12, 1_000))
def test_f24_an_approval_asked_three_times_is_mirrored_once_and_answered_alike(count: int) -> None:
    answers = []
    for attempt in range(3):
        for number in range(count):
            # AssetPay gives every attempt an id of its own; between the attempts we were restarted.
            answers.append(send(approval(f"t-{number}"), delivery_id=f"d-{number}-{attempt}", is_copy=number % 2 == 0))

    assert set(answers) == {503}
    assert Trade.objects.count() == Item.objects.count() == count
    assert Delivery.objects.filter(verdict=Verdict.APPROVAL).count() == 3 * count
    assert AuditEntry.objects.count() == 2 * count
    assert connection.is_usable()
