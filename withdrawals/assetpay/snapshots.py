"""Snapshots: a trade as AssetPay described it at one moment, as a value that cannot change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ValidationError

from withdrawals.assetpay import words
from withdrawals.assetpay.documents import NotUnderstood, clean_text, document_text
from withdrawals.assetpay.wire import UNREAD_ITEM_FIELDS, UNREAD_TRADE_FIELDS, WireItem, WireTrade
from withdrawals.assetpay.words import ITEM_ERRORS, TRADE_ERRORS, Status

__all__ = [
    "ITEM_ERRORS",
    "TRADE_ERRORS",
    "ItemSnapshot",
    "NotUnderstood",
    "Status",
    "TradeSnapshot",
    "bounded_notes",
    "note_unknown",
    "read_trade",
]

MAX_UNKNOWN = 20
MAX_UNKNOWN_LENGTH = 120


@dataclass(frozen=True)
class ItemSnapshot:
    """One item. `price` and `market_price` are USD; `document` is the whole item as canonical JSON text.

    `bot_name` is None unless the item comes from AssetPay's own pool; it is empty when that bot has no name.
    """

    id: str
    status: str | None
    error: str | None
    external_id: str | None
    asset_id: str | None
    appid: int | None
    tradable: bool | None
    amount: int | None
    price: Decimal | None
    delivery: str | None
    name: str | None
    market_hash_name: str | None
    item_type: str | None
    icon_url: str | None
    market_price: Decimal | None
    exterior: str | None
    rarity: str | None
    color: str | None
    wear: str | None
    paint_seed: int | None
    phase: str | None
    bot_name: str | None
    document: str


@dataclass(frozen=True)
class TradeSnapshot:
    """One trade with its items. Money is USD, times are aware UTC, absent fields are None.

    `unknown` names what AssetPay's documentation does not: fields ("item.newKey") and values ("trade.status=frozen"),
    at most 20 of them. `document` is the whole trade as canonical JSON text.
    """

    id: str
    type: str
    source: str | None
    status: str
    game: str | None
    merchant_id: str | None
    client_user_id: str | None
    client_trade_url: str | None
    client_steam_id: str | None
    external_id: str | None
    external_client_user_id: str | None
    total_price: Decimal | None
    created_at: datetime | None
    updated_at: datetime | None
    offer_id: str | None
    hold_end_at: datetime | None
    active_at: datetime | None
    auto_cancel_at: datetime | None
    reverted_by: str | None
    error: str | None
    items: tuple[ItemSnapshot, ...]
    document: str
    unknown: tuple[str, ...]


def read_trade(value: object) -> TradeSnapshot:
    """Return the snapshot of one trade as parsed by `parse_json`.

    Only id, type and status are indispensable. Raises NotUnderstood when one of them is missing, when an id, an
    amount of money, a time or a state is wrongly typed, for two items of one id and for more than 1,000 items.
    Source: AssetPay's OpenAPI, schemas Trade and Item.
    """
    trade = _validated(WireTrade, value, "trade")
    wire_items = [_validated(WireItem, entry, "item") for entry in trade.items or []]
    if len({item.id for item in wire_items}) != len(wire_items):
        raise NotUnderstood("trade holds two items of one id")
    items = tuple(_item_snapshot(item, entry) for item, entry in zip(wire_items, trade.items or [], strict=True))
    return TradeSnapshot(
        id=trade.id,
        type=trade.type,
        source=trade.source,
        status=trade.status,
        game=trade.game,
        merchant_id=trade.merchant_id,
        client_user_id=trade.client_user_id,
        client_trade_url=trade.client_trade_url,
        client_steam_id=trade.client_steam_id,
        external_id=trade.external_id,
        external_client_user_id=trade.external_client_user_id,
        total_price=trade.total_price,
        created_at=trade.created_at,
        updated_at=trade.updated_at,
        offer_id=trade.offer_id,
        hold_end_at=trade.hold_end_at,
        active_at=trade.active_at,
        auto_cancel_at=trade.auto_cancel_at,
        reverted_by=trade.reverted_by,
        error=trade.error,
        items=items,
        document=document_text(value),
        unknown=bounded_notes(_unknown_in(trade, wire_items)),
    )


def note_unknown(prefix: str, known: frozenset[str], value: str | None) -> Iterator[str]:
    """Yield "prefix=value" unless the value is absent or known."""
    if value is not None and value not in known:
        yield f"{prefix}={value}"


def bounded_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the first 20 distinct notes, each cleaned and cut to 120 characters."""
    distinct = dict.fromkeys(clean_text(note)[:MAX_UNKNOWN_LENGTH] for note in notes)
    return tuple(distinct)[:MAX_UNKNOWN]


def _item_snapshot(item: WireItem, entry: dict[str, object]) -> ItemSnapshot:
    return ItemSnapshot(
        id=item.id,
        status=item.status,
        error=item.error,
        external_id=item.external_id,
        asset_id=item.asset_id,
        appid=item.appid,
        tradable=item.tradable,
        amount=item.amount,
        price=item.offer.price if item.offer else None,
        delivery=item.offer.delivery if item.offer else None,
        name=item.name,
        market_hash_name=item.market_hash_name,
        item_type=item.item_type,
        icon_url=item.icon_url,
        market_price=item.market_price,
        exterior=item.exterior,
        rarity=item.rarity,
        color=item.color,
        wear=item.wear,
        paint_seed=item.paint_seed,
        phase=item.doppler.name if item.doppler else None,
        bot_name=(item.bot.name or "") if item.bot else None,
        document=document_text(entry),
    )


def _validated[Model: BaseModel](model: type[Model], value: object, name: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # The place of each fault, never its content: it may be a customer's.
        places = sorted({".".join(str(step) for step in fault["loc"][:2]) for fault in error.errors()})
        raise NotUnderstood(f"{name} not as documented: {', '.join(places)[:200] or 'no object'}") from None


def _unknown_in(trade: WireTrade, items: list[WireItem]) -> Iterator[str]:
    yield from _unknown_in_trade(trade)
    for item in items:
        yield from _unknown_in_item(item)


def _unknown_in_trade(trade: WireTrade) -> Iterator[str]:
    yield from note_unknown("trade.type", words.TYPES, trade.type)
    yield from note_unknown("trade.status", words.STATUSES, trade.status)
    yield from note_unknown("trade.source", words.SOURCES, trade.source)
    yield from note_unknown("trade.game", words.GAMES, trade.game)
    yield from note_unknown("trade.revertedBy", words.REVERTERS, trade.reverted_by)
    yield from note_unknown("trade.error", TRADE_ERRORS, trade.error)
    yield from (f"trade.{key}" for key in (trade.model_extra or {}) if key not in UNREAD_TRADE_FIELDS)


def _unknown_in_item(item: WireItem) -> Iterator[str]:
    yield from note_unknown("item.status", words.STATUSES, item.status)
    yield from note_unknown("item.error", ITEM_ERRORS, item.error)
    if item.offer:
        yield from note_unknown("item.delivery", words.DELIVERIES, item.offer.delivery)
    yield from (f"item.{key}" for key in (item.model_extra or {}) if key not in UNREAD_ITEM_FIELDS)
