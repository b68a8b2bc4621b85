"""Reading a trade: what is indispensable, what is forgiven, what is refused."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import item_document, trade_document
from withdrawals.assetpay.documents import NotUnderstood, document_text, parse_json
from withdrawals.assetpay.snapshots import ItemSnapshot, Status, TradeSnapshot, read_trade

BARE = {"id": "t", "type": "withdraw", "status": "pending"}
POISON = ["a\x00b", "a\ud800b", "a\u202eb", "a\u200bb", "🔫" * 10, "x" * 5000, "<b>", "a\r\nb", "'; --", "\x1b[31m"]


def read_item(**fields: object) -> ItemSnapshot:
    return read_trade(BARE | {"items": [{"id": "i"} | fields]}).items[0]


def test_a_full_trade_is_read_field_by_field():
    trade = read_trade(
        {
            "id": "3f0e",
            "type": "withdraw",
            "source": "client",
            "status": "hold",
            "game": "730",
            "merchantId": "m-1",
            "clientUserId": "u-1",
            "clientTradeUrl": "https://steamcommunity.com/tradeoffer/new/?partner=1&token=abcdefgh",
            "clientSteamID": "76561198000000001",
            "externalId": "order-7",
            "externalClientUserId": "customer-9",
            "totalPrice": Decimal("20.50"),
            "createdAt": "2026-05-01T12:00:00.000Z",
            "updatedAt": "2026-05-01T14:30:00.5+02:00",
            "offerID": "6001",
            "holdEndDate": "2026-05-08T12:00:00.000Z",
            "activeAt": "2026-05-01T12:10:00.000Z",
            "autoCancelAt": "2026-05-01T12:30:00.000Z",
            "revertedBy": "supplier",
            "error": "PURCHASE_FAILED",
            "items": [],
        }
    )

    assert dataclasses.replace(trade, document="") == TradeSnapshot(
        id="3f0e",
        type="withdraw",
        source="client",
        status=Status.HOLD,
        game="730",
        merchant_id="m-1",
        client_user_id="u-1",
        client_trade_url="https://steamcommunity.com/tradeoffer/new/?partner=1&token=abcdefgh",
        client_steam_id="76561198000000001",
        external_id="order-7",
        external_client_user_id="customer-9",
        total_price=Decimal("20.50"),
        created_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
        updated_at=datetime(2026, 5, 1, 12, 30, 0, 500_000, tzinfo=UTC),
        offer_id="6001",
        hold_end_at=datetime(2026, 5, 8, 12, tzinfo=UTC),
        active_at=datetime(2026, 5, 1, 12, 10, tzinfo=UTC),
        auto_cancel_at=datetime(2026, 5, 1, 12, 30, tzinfo=UTC),
        reverted_by="supplier",
        error="PURCHASE_FAILED",
        items=(),
        document="",
        unknown=(),
    )


def test_a_full_item_is_read_field_by_field():
    item = read_item(
        id="019a",
        status="reverted",
        error="MARKET_UNAVAILABLE",
        externalId="line-1",
        assetId="4411",
        appid=730,
        tradable=True,
        amount=1,
        offer={"price": Decimal("12.10"), "delivery": "standard"},
        name="Karambit",
        marketHashName="★ Karambit | Doppler (Factory New)",
        type="Knife",
        iconUrl="https://example.test/icon.png",
        marketPrice=13,
        exterior="Factory New",
        rarity="Covert",
        color="8650AC",
        wear="0.0123",
        paintSeed=412,
        doppler={"name": "Phase 2", "paintIndex": 419},
        botInfo={"name": "bot-3"},
    )

    assert dataclasses.replace(item, document="") == ItemSnapshot(
        id="019a",
        status=Status.REVERTED,
        error="MARKET_UNAVAILABLE",
        external_id="line-1",
        asset_id="4411",
        appid=730,
        tradable=True,
        amount=1,
        price=Decimal("12.10"),
        delivery="standard",
        name="Karambit",
        market_hash_name="★ Karambit | Doppler (Factory New)",
        item_type="Knife",
        icon_url="https://example.test/icon.png",
        market_price=Decimal(13),
        exterior="Factory New",
        rarity="Covert",
        color="8650AC",
        wear="0.0123",
        paint_seed=412,
        phase="Phase 2",
        bot_name="bot-3",
        document="",
    )


def test_three_fields_are_enough():
    trade = read_trade(BARE)

    assert (trade.id, trade.type, trade.status) == ("t", "withdraw", "pending")
    assert trade.items == ()
    assert trade.unknown == ()
    rest = set(dataclasses.asdict(trade)) - {"id", "type", "status", "items", "unknown", "document"}
    assert {getattr(trade, name) for name in rest} == {None}


def test_null_is_read_as_absent():
    nulls = dict.fromkeys(set(trade_document()) - set(BARE))

    assert dataclasses.replace(read_trade(BARE | nulls), document="") == dataclasses.replace(
        read_trade(BARE), document=""
    )


@pytest.mark.parametrize("field", ["id", "type", "status"])
@pytest.mark.parametrize("value", [None, "", 7, True, [], {}])
def test_a_trade_without_one_of_the_three_is_not_understood(field, value):
    with pytest.raises(NotUnderstood, match=field):
        read_trade(BARE | {field: value})


@pytest.mark.parametrize("value", [None, 1, "trade", [], [BARE], True])
def test_what_is_no_object_is_not_understood(value):
    with pytest.raises(NotUnderstood):
        read_trade(value)


@pytest.mark.parametrize("name", ["totalPrice"])
@pytest.mark.parametrize(
    "amount", ["12.50", 12.5, True, [], {}, -1, Decimal("-0.01"), Decimal("NaN"), Decimal("Infinity"), 10**12]
)
def test_a_sum_that_is_none_is_not_understood(name, amount):
    with pytest.raises(NotUnderstood, match=name):
        read_trade(BARE | {name: amount})
    with pytest.raises(NotUnderstood, match="offer"):
        read_item(offer={"price": amount})
    with pytest.raises(NotUnderstood, match="marketPrice"):
        read_item(marketPrice=amount)


@pytest.mark.parametrize("offer", [12, "12", [], True])
def test_a_price_that_may_hide_in_an_odd_offer_is_not_overlooked(offer):
    with pytest.raises(NotUnderstood, match="offer"):
        read_item(offer=offer)


@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "holdEndDate", "activeAt", "autoCancelAt"])
@pytest.mark.parametrize(
    "moment",
    [
        "",
        "soon",
        "2026-05-01",
        "2026-05-01T12:00:00",
        "2026-02-30T12:00:00Z",
        1777636800,
        True,
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_is_none_is_not_understood(name, moment):
    with pytest.raises(NotUnderstood, match=name):
        read_trade(BARE | {name: moment})


@pytest.mark.parametrize(
    "name", ["merchantId", "clientUserId", "clientSteamID", "externalId", "externalClientUserId", "offerID"]
)
@pytest.mark.parametrize("value", [7, True, [], {}, "x" * 129, "a\x00b", "a\ud800"])
def test_an_id_that_is_none_is_not_understood(name, value):
    with pytest.raises(NotUnderstood, match=name):
        read_trade(BARE | {name: value})


@pytest.mark.parametrize("value", [None, "", 7, "x" * 129, "a\x00b"])
def test_an_item_needs_an_id(value):
    with pytest.raises(NotUnderstood, match="id"):
        read_item(id=value)


@pytest.mark.parametrize("word", ["source", "revertedBy", "error"])
@pytest.mark.parametrize("value", [7, True, [], {}])
def test_a_wrongly_typed_state_is_not_understood(word, value):
    with pytest.raises(NotUnderstood, match=word):
        read_trade(BARE | {word: value})


@pytest.mark.parametrize("items", [{}, "none", 5, [1], ["x"], [[]], [None]])
def test_items_that_are_no_list_of_objects_are_not_understood(items):
    with pytest.raises(NotUnderstood, match="items"):
        read_trade(BARE | {"items": items})


@pytest.mark.parametrize("value", [7, True, [], {}, Decimal("0.5")])
@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("name", "name"),
        ("marketHashName", "market_hash_name"),
        ("type", "item_type"),
        ("iconUrl", "icon_url"),
        ("exterior", "exterior"),
        ("rarity", "rarity"),
        ("color", "color"),
        ("wear", "wear"),
        ("doppler", "phase"),
    ],
)
def test_a_wrongly_typed_ornament_is_only_missing(name, attribute, value):
    assert getattr(read_item(**{name: value}), attribute) is None


@pytest.mark.parametrize("value", ["730", True, [], -1, 2**31, Decimal("1.5")])
def test_a_number_that_fits_no_column_is_only_missing(value):
    item = read_item(appid=value, paintSeed=value)

    assert (item.appid, item.paint_seed) == (None, None)


@pytest.mark.parametrize("amount", ["1", True, [], -1, Decimal("1.5"), 2**31])
def test_a_count_multiplies_money_and_must_be_right(amount):
    with pytest.raises(NotUnderstood, match="amount"):
        read_item(amount=amount)


def test_two_items_of_one_id_are_not_understood():
    with pytest.raises(NotUnderstood, match="two items"):
        read_trade(BARE | {"items": [{"id": "same"}, {"id": "same"}]})


def test_a_thousand_items_are_read_and_one_more_is_not():
    many = [{"id": str(number)} for number in range(1001)]

    assert len(read_trade(BARE | {"items": many[:1000]}).items) == 1000
    with pytest.raises(NotUnderstood):
        read_trade(BARE | {"items": many})


def test_a_bot_without_a_name_still_tells_the_internal_pool():
    assert read_item().bot_name is None
    assert read_item(botInfo={"avatar": "x"}).bot_name == ""


def test_what_is_new_is_named_and_nothing_else():
    trade = read_trade(
        BARE
        | {"status": "frozen", "newKey": 1, "game": "570", "readyAt": "whenever", "revertedBy": "valve", "error": "NEW"}
        | {
            "items": [
                {"id": "i", "status": "lost", "error": "ODD", "newKey": 1, "propId": 3, "offer": {"delivery": "drone"}}
            ]
        }
    )

    assert set(trade.unknown) == {
        "trade.status=frozen",
        "trade.game=570",
        "trade.revertedBy=valve",
        "trade.error=NEW",
        "trade.newKey",
        "item.status=lost",
        "item.error=ODD",
        "item.delivery=drone",
        "item.newKey",
    }


def test_what_is_new_is_bounded():
    trade = read_trade(BARE | {f"{'k' * 300}{number}": 1 for number in range(500)} | {f"n{n}": 1 for n in range(500)})

    assert len(trade.unknown) <= 20
    assert max(len(note) for note in trade.unknown) <= 120


@pytest.mark.parametrize("text", POISON)
def test_poison_in_text_never_reaches_a_column_and_never_fails(text):
    trade = read_trade(
        BARE | {"status": text, "game": text, "clientTradeUrl": text, "items": [{"id": "i", "name": text}]}
    )

    texts = [
        trade.status,
        trade.game,
        trade.client_trade_url or "",
        trade.items[0].name,
        trade.document,
        *trade.unknown,
    ]
    assert not any("\x00" in kept or any("\ud800" <= sign <= "\udfff" for sign in kept) for kept in texts)
    assert max(len(kept) for kept in texts[:4]) <= 2048


def test_documents_are_kept_whole_and_exact():
    body = b'{"id":"t","type":"withdraw","status":"pending","items":[{"id":"i","offer":{"price":1.10}}],"new":[2.50]}'

    trade = read_trade(parse_json(body))

    assert parse_json(trade.document.encode()) == parse_json(body)
    assert '"price":1.10' in trade.document
    assert trade.items[0].document == '{"id":"i","offer":{"price":1.10}}'


def test_the_same_trade_has_the_same_document_whatever_the_order_of_its_keys():
    trade = trade_document(items=[item_document()])

    assert read_trade(trade).document == read_trade(dict(reversed(trade.items()))).document


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(-9, 9, places=3) | st.text("aZ0.-:", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(trade_document())), json_values), json_values)
def test_any_json_is_either_read_or_not_understood(fields, value):
    for candidate in (value, BARE | fields, BARE | {"items": [{"id": "i"} | fields]}):
        try:
            trade = read_trade(candidate)
        except NotUnderstood:
            continue
        assert trade.document == document_text(candidate)
