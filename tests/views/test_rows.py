"""Rows are kept as text, and yet never old: what a row shows is what it is found by."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.core.exceptions import FieldFetchBlocked
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import Cancellation, CancellationState, Item, Presence, Refund, RefundState, Role, Status, Trade
from withdrawals.models.item import cancel_window
from withdrawals.views import rows
from withdrawals.views.moulds import forms_of, stand_in
from withdrawals.views.rows import (
    OF_ITEM,
    OF_REQUEST,
    OF_TRADE,
    SHOWN,
    Facts,
    Look,
    _made_by_template,
    _mould_of,
    kept_text,
    row_pieces,
    stands_since,
)

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
    _mould_of.cache_clear()
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


HOSTILE = st.sampled_from(
    ["<~here~>", "a & b", "<b>", "'", '"', "{{ x }}", "ключ", "1", "<1> Stand-In & “name” '1'", "?q=/"]
)
WORDS = st.one_of(HOSTILE, st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 # the zone stands beside
AMOUNTS = st.one_of(
    st.none(), st.decimals(0, 10_000, places=4), st.sampled_from([Decimal("5.0000"), Decimal("0.0000")])
)
PICTURES = ["", "https://elsewhere.example/a", "https://community.cloudflare.steamstatic.com/economy/image/a&b<c>"]
NAMES = st.one_of(st.none(), WORDS, st.just("AK-47 | Redline (Field-Tested)"))
ROWS = st.builds(
    Facts,
    pk=st.integers(1, 10**9),
    trade_id=st.shared(st.integers(1, 10**9), key="trade"),
    opened_at=MOMENTS,
    assetpay_id=WORDS,
    status=st.sampled_from([*Status, "teleporting"]),
    reported_status=st.sampled_from([*Status, "teleporting", "<i>"]),
    status_changed_at=MOMENTS,
    error=st.sampled_from([None, "", "NO <b>", "<~here~>"]),
    price=AMOUNTS,
    first_price=AMOUNTS,
    name=NAMES,
    market_hash_name=NAMES,
    icon_url=st.one_of(st.none(), st.sampled_from(PICTURES)),
    exterior=st.sampled_from([None, "", "Field-Tested", "<worn>"]),
    is_cs2_withdrawal=st.booleans(),
    trade__pk=st.shared(st.integers(1, 10**9), key="trade"),
    trade__assetpay_id=WORDS,
    trade__type=st.sampled_from(["withdraw", "deposit"]),
    trade__game=st.sampled_from(["730", "252490", "1"]),
    trade__source=st.sampled_from(["client", "self"]),
    trade__client_steam_id=st.one_of(st.none(), st.just(""), WORDS),
    trade__auto_cancel_at=st.one_of(st.none(), MOMENTS),
    refund__pk=st.none(),
    refund__state=st.none(),
)
LOOKS = st.builds(
    Look, may_cancel=st.booleans(), may_select=st.booleans(), language=st.just("en"), zone=st.just("UTC"),
    is_ticked=st.booleans(), notice=st.just(""),
)  # fmt: skip


@given(ROWS, st.one_of(st.none(), st.sampled_from(RefundState)), LOOKS)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_comes_out_of_its_mould_as_its_template_makes_it(
    facts: Any, refund: RefundState | None, look: Look
) -> None:
    facts = facts._replace(refund__pk=9, refund__state=refund) if refund else facts
    known = _mould_of(stand_in(facts, 1), look)
    by_template = _made_by_template(tuple(facts), None, facts.opened_at + cancel_window(), look)

    assert known is not None
    assert kept_text(known.mould.cast(forms_of(facts))) == by_template.kept
    assert (known.like.has_ended, known.like.why_not) == (by_template.has_ended, by_template.why_not)


def test_a_row_whose_shape_holds_a_stand_in_is_made_by_its_template() -> None:
    look, name = Look(True, True, "en", "UTC"), stand_in(EXAMPLE, 1).market_hash_name
    facts = EXAMPLE._replace(error=name, status_changed_at=NOW)
    opens_at = NOW + cancel_window()

    assert _mould_of(stand_in(facts, 1), look) is None
    assert row_pieces(tuple(facts), None, opens_at, opens_at, look) == _made_by_template(
        tuple(facts), None, opens_at, look
    )


def test_rows_of_one_shape_are_made_by_the_template_three_times_and_no_more(agent: Client) -> None:
    for number in range(5):
        ItemFactory(trade=TradeFactory(opened_at=NOW - timedelta(hours=1 + number)), price=Decimal(5 + number))

    with mock.patch.object(rows, "_made_by_template", side_effect=_made_by_template) as made:
        agent.get("/items/?tab=all")

    # Two of stand-ins and the first real one.
    assert made.call_count == 3


def test_a_row_that_is_no_cast_of_its_mould_is_made_by_its_template_and_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = stand_in(EXAMPLE, 1)._replace(market_hash_name="Short")
    opens_at = facts.opened_at + cancel_window()
    template = mock.Mock(**{"render.side_effect": lambda shown: f"{len(shown['row'].item.title)} letters"})

    with mock.patch.object(rows, "get_template", return_value=template):
        made = row_pieces(tuple(facts), None, opens_at, opens_at, Look(True, True, "en", "UTC"))

    assert made.kept.text == "5 letters"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


EXAMPLE = Facts(
    **dict.fromkeys(SHOWN)
    | {"pk": 1, "trade_id": 2, "trade__pk": 2}
    | {"status": "pending", "reported_status": "pending", "trade__type": "withdraw", "trade__game": "730"}
    | {"assetpay_id": "a", "trade__assetpay_id": "b", "market_hash_name": "c", "opened_at": NOW}
)
