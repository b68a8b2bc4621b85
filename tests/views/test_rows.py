"""Rows are kept as text, and yet never old: what a row shows is what it is found by."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.core.exceptions import FieldFetchBlocked
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import Cancellation, CancellationState, Item, Presence, Refund, RefundState, Role, Status, Trade
from withdrawals.views.rows import OF_ITEM, OF_REQUEST, OF_TRADE, row_pieces, stands_since

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')
LATER = NOW + timedelta(hours=5)
# Another value for every column that a row is made from; what identifies a row does not change.
OTHER_OF_ITEM: dict[str, Any] = {
    "opened_at": NOW - timedelta(minutes=1),
    "assetpay_id": "another-item",
    "status": Status.ACTIVE,
    "reported_status": "teleporting",
    "status_changed_at": NOW - timedelta(minutes=7),
    "error": "NO_MONEY",
    "price": Decimal("9.9900"),
    "first_price": Decimal("8.8800"),
    "name": "Another name",
    "market_hash_name": "AWP | Asiimov",
    "icon_url": "https://community.cloudflare.steamstatic.com/economy/image/abc",
    "exterior": "Well-Worn",
    "is_cs2_withdrawal": False,
}
OTHER_OF_TRADE: dict[str, Any] = {
    "assetpay_id": "another-trade",
    "type": "deposit",
    "game": "252490",
    "source": "self",
    "client_steam_id": None,
    "auto_cancel_at": LATER,
}
OTHER_OF_REQUEST: dict[str, Any] = {
    "state": CancellationState.UNCERTAIN,
    "requested_at": NOW - timedelta(minutes=30),
    "changed_at": NOW - timedelta(seconds=1),
    "send_from": LATER,
    "armed_status": "pending",
    "needs_person": "It was lost three times.",
    "waits_for": "AssetPay said: later",
    "ended_because": "Taken back by hand",
    "answer_key": "TRADE_NOT_CANCELLABLE",
}
# These are in the key and change no letter by themselves.
SILENT = {"is_cs2_withdrawal", "name"}


@pytest.fixture(autouse=True)
def noon() -> Iterator[time_machine.Traveller]:
    """A clock that stands, and nothing kept from before."""
    row_pieces.cache_clear()
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def asked() -> Cancellation:
    """A request that waits to be sent, with all that a row can show."""
    item = ItemFactory(trade=TradeFactory(opened_at=NOW - timedelta(hours=1)), market_hash_name="AK-47 | Redline")
    return CancellationFactory(
        item=item, requested_at=NOW - timedelta(minutes=5), requested_by__email="mira@desk.example"
    )


def row(client: Client, item: int) -> str:
    """The row as it is answered, but for the form's token, which is new each time."""
    return TOKEN.sub("", text(client.get(f"/items/{item}/row/")))


def assert_never_old(client: Client, item: int) -> str:
    """What is answered from what was kept is what is made anew."""
    kept = row(client, item)
    row_pieces.cache_clear()
    assert kept == row(client, item)
    return kept


@pytest.mark.parametrize("column", OTHER_OF_ITEM)
def test_a_row_follows_every_column_of_its_item(agent: Client, asked: Cancellation, column: str) -> None:
    item = asked.item
    asked.delete()
    before = row(agent, item.pk)

    Item.objects.filter(pk=item.pk).update(**{column: OTHER_OF_ITEM[column]})

    after = assert_never_old(agent, item.pk)
    assert after != before or column in SILENT


@pytest.mark.parametrize("column", OTHER_OF_TRADE)
def test_a_row_follows_every_column_of_its_trade(agent: Client, asked: Cancellation, column: str) -> None:
    before = row(agent, asked.item_id)

    Trade.objects.filter(pk=asked.item.trade_id).update(**{column: OTHER_OF_TRADE[column]})

    assert assert_never_old(agent, asked.item_id) != before or column in ("type", "game", "source")


@pytest.mark.parametrize("column", OTHER_OF_REQUEST)
def test_a_row_follows_every_column_of_its_request(agent: Client, asked: Cancellation, column: str) -> None:
    before = row(agent, asked.item_id)

    Cancellation.objects.filter(pk=asked.pk).update(**{column: OTHER_OF_REQUEST[column]})

    assert assert_never_old(agent, asked.item_id) != before or column == "answer_key"


def test_nothing_that_a_row_is_made_from_is_left_out_above() -> None:
    identity = {"pk", "trade_id", "item_id", "number", "batch_id"}

    assert set(OF_ITEM) - identity == set(OTHER_OF_ITEM)
    assert set(OF_TRADE) - identity == set(OTHER_OF_TRADE)
    assert set(OF_REQUEST) - identity == set(OTHER_OF_REQUEST)


def test_a_row_follows_its_refund_and_the_next_request(agent: Client, asked: Cancellation) -> None:
    item = asked.item_id
    shown = [row(agent, item)]
    Cancellation.objects.filter(pk=asked.pk).move(to=CancellationState.REFUSED, now=NOW)
    shown.append(assert_never_old(agent, item))
    CancellationFactory(item=asked.item)
    shown.append(assert_never_old(agent, item))
    refund = RefundFactory(item=asked.item, evidence_delivery=DeliveryFactory())
    shown.append(assert_never_old(agent, item))
    Refund.objects.filter(pk=refund.pk).update(state=RefundState.IN_REVIEW)
    shown.append(assert_never_old(agent, item))

    assert len(set(shown)) == 5


def test_a_cancel_is_offered_from_the_very_moment_and_not_before(agent: Client, noon: time_machine.Traveller) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=NOW - timedelta(minutes=29)))
    early = row(agent, item.pk)
    noon.shift(timedelta(seconds=59, milliseconds=999))
    still_early = row(agent, item.pk)
    noon.shift(timedelta(milliseconds=1))
    now = row(agent, item.pk)
    noon.move_to(NOW)

    for shown in (early, still_early):
        assert f'id="cancel-{item.pk}" data-size="sm" disabled' in shown
        assert f'id="arm-{item.pk}"' in shown
    assert f'id="cancel-{item.pk}" data-size="sm" aria' in now
    assert f'id="arm-{item.pk}"' not in now
    assert row(agent, item.pk) == early


def test_a_request_that_is_due_no_longer_says_when_it_leaves(
    agent: Client, asked: Cancellation, noon: time_machine.Traveller
) -> None:
    Cancellation.objects.filter(pk=asked.pk).update(send_from=NOW + timedelta(seconds=5))
    before = row(agent, asked.item_id)
    noon.shift(timedelta(seconds=5))

    after = assert_never_old(agent, asked.item_id)

    assert "It leaves" in before
    assert "It waits for its turn" in after


def test_relative_times_are_those_of_the_moment(agent: Client, noon: time_machine.Traveller) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=NOW - timedelta(minutes=55)))
    assert "55 min ago" in row(agent, item.pk)

    noon.shift(timedelta(minutes=5))

    assert "1 h ago" in row(agent, item.pk)


def test_nobody_gets_the_row_of_somebody_else(log_in: LogIn, asked: Cancellation) -> None:
    agent, auditor = log_in(Role.AGENT), log_in(Role.AUDITOR)
    Presence.objects.create(
        person=UserFactory(email="tom@desk.example"), item=asked.item, trade=asked.item.trade, seen_at=NOW
    )

    offered, looked_at = row(agent, asked.item_id), row(auditor, asked.item_id)

    assert f'id="undo-{asked.item_id}"' in offered
    assert f'id="undo-{asked.item_id}"' not in looked_at
    assert "tom@desk.example is looking at this" in offered
    Presence.objects.all().delete()
    assert "is looking at this" not in row(agent, asked.item_id)


def test_each_page_carries_its_own_token_and_its_own_way_back(agent: Client, asked: Cancellation) -> None:
    pages = [text(agent.get(address)) for address in ("/items/?tab=open", "/items/?tab=all")]

    for page, back in zip(pages, ("tab=open", "tab=all"), strict=True):
        assert f'name="next" value="/items/?{back}"' in page
        assert "<~" not in page
    assert TOKEN.findall(pages[0])[-1] != TOKEN.findall(pages[1])[-1]


def test_text_from_outside_fills_no_place(agent: Client) -> None:
    item = ItemFactory(market_hash_name="<~token~> <~here~> <~time 2026-03-02T12:00:00+00:00~>", exterior="<~back~>")

    shown = text(agent.get(f"/items/{item.pk}/row/"))

    assert "&lt;~token~&gt; &lt;~here~&gt; &lt;~time 2026-03-02T12:00:00+00:00~&gt;" in shown
    assert "&lt;~back~&gt;" in shown


def test_a_column_that_is_not_part_of_the_key_cannot_be_shown(
    agent: Client, asked: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Item, "title", property(lambda item: item.document))

    with pytest.raises(FieldFetchBlocked):
        agent.get(f"/items/{asked.item_id}/row/")


moments = st.integers(0, 9).map(lambda seconds: NOW + timedelta(seconds=seconds))


@given(st.lists(moments, min_size=1, max_size=3), moments)
def test_a_row_stands_since_the_last_moment_that_has_come(of_row: list[datetime], now: datetime) -> None:
    since = stands_since(tuple(of_row), now)

    assert [moment <= since for moment in of_row] == [moment <= now for moment in of_row]
