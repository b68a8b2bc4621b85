"""From AssetPay's snapshot to the columns of a trade and an item. Computes only; nothing is written here."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import models

from withdrawals.actions.audit import Value
from withdrawals.assetpay.snapshots import ItemSnapshot, TradeSnapshot
from withdrawals.models import Game, Item, Trade
from withdrawals.models.masking import mask_tokens
from withdrawals.models.money import UsdField
from withdrawals.models.status import ENDED, LONG_AGO, status_weight
from withdrawals.models.trade import WITHDRAW, sign_of_asset

LAST_CREATION = datetime(9000, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(9999, 12, 31, tzinfo=UTC)

TRADE_COLUMNS = (
    "source",
    "game",
    "merchant_id",
    "client_user_id",
    "client_trade_url",
    "client_steam_id",
    "external_id",
    "external_client_user_id",
    "total_price",
    "offer_id",
    "hold_end_at",
    "active_at",
    "auto_cancel_at",
    "reverted_by",
    "error",
    "document",
)
ITEM_COLUMNS = (
    "error",
    "external_id",
    "asset_id",
    "appid",
    "tradable",
    "amount",
    "price",
    "market_price",
    "delivery",
    "name",
    "market_hash_name",
    "item_type",
    "icon_url",
    "exterior",
    "rarity",
    "color",
    "wear",
    "paint_seed",
    "phase",
    "bot_name",
    "document",
)
# What the audit log leaves out: how we know and where it stands, not what is.
BOOKKEEPING = frozenset(
    {
        "document",
        "unknown",
        "reported_at",
        "status_reported_at",
        "first_price_reported_at",
        "position",
        "ended_as",
        "signs",
        "is_opened_at_known",
        "is_cs2_withdrawal",
        "status_changed_at",
        "status_delivery",
        "status_read",
    }
)


def project_trade(trade: Trade, snapshot: TradeSnapshot, *, is_new: bool) -> dict[str, Any]:
    """Change the trade in memory to what it is after this snapshot; the old values of the columns that changed.

    The document with the latest `updatedAt` gives the columns, whatever came first; the status follows its weight.
    """
    target: dict[str, Any] = {}
    newer = (snapshot.updated_at or LONG_AGO, snapshot.document) > (
        trade.reported_at or LONG_AGO,
        trade.document,
    )
    if is_new or newer:
        target = {name: getattr(snapshot, name) for name in TRADE_COLUMNS}
        target |= {
            "reported_status": snapshot.status,
            "reported_at": snapshot.updated_at,
            "unknown": list(snapshot.unknown),
        }
    said = {f"{name}={getattr(snapshot, name)}" for name in ("reverted_by", "error") if getattr(snapshot, name)}
    said |= {sign_of_asset(part.id) for part in snapshot.items if part.asset_id}
    target["signs"] = sorted({*trade.signs, *said})
    target |= _opened_at(trade, snapshot.created_at)
    if is_new or _is_heavier(trade.status, trade.status_reported_at, snapshot.status, snapshot.updated_at):
        target |= {"status": snapshot.status, "status_reported_at": snapshot.updated_at}
    return _apply(trade, target)


def project_item(
    item: Item, snapshot: ItemSnapshot, trade: Trade, in_trade: TradeSnapshot, *, position: int, is_new: bool
) -> dict[str, Any]:
    """Change the item in memory to what it is after this snapshot; the old values of the columns that changed.

    An item without a status of its own mirrors its trade's (AssetPay's trade lifecycle page).
    """
    status, reported_at = snapshot.status or in_trade.status, in_trade.updated_at
    target: dict[str, Any] = {
        "opened_at": trade.opened_at,
        "is_cs2_withdrawal": trade.type == WITHDRAW and trade.game == Game.CS2,
    }
    kept = (item.reported_at or LONG_AGO, item.document, item.position)
    if is_new or (reported_at or LONG_AGO, snapshot.document, position) > kept:
        target |= {name: getattr(snapshot, name) for name in ITEM_COLUMNS}
        target |= {"reported_status": status, "reported_at": reported_at, "position": position}
    if is_new or _is_heavier(item.status, item.status_reported_at, status, reported_at):
        target |= {"status": status, "status_reported_at": reported_at}
    target |= _first_price(item, snapshot.price, reported_at) | _ends(item, status)
    return _apply(item, target)


def facts_of(before: dict[str, Any], row: models.Model) -> tuple[dict[str, Value], dict[str, Value]]:
    """The columns that changed, before and after, as the audit log keeps them."""
    names = [name for name in before if name not in BOOKKEEPING]
    return {name: plain(before[name]) for name in names}, {name: plain(getattr(row, name)) for name in names}


def plain(value: object) -> Value:
    """A column's value as the audit log keeps it: money as text, times as ISO text in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return f"{value:.4f}"
    if value is None or isinstance(value, bool | int):
        return value
    # The log is for ever, and whoever holds this token can send the customer trade offers.
    return mask_tokens(str(value))


def _is_heavier(status: str, reported_at: datetime | None, other: str, other_at: datetime | None) -> bool:
    return status_weight(other, other_at) > status_weight(status, reported_at)


def _first_price(item: Item, price: Decimal | None, reported_at: datetime | None) -> dict[str, Any]:
    """The price of the earliest report that had one; a report without a time counts as the latest."""
    if price is None:
        return {}
    kept = (item.first_price_reported_at or FAR_AHEAD, item.first_price)
    if item.first_price is not None and kept <= (reported_at or FAR_AHEAD, price):
        return {}
    return {"first_price": price, "first_price_reported_at": reported_at}


def _opened_at(trade: Trade, created_at: datetime | None) -> dict[str, Any]:
    """The earliest creation time that any message told; one at the end of the calendar is none."""
    if created_at is None or created_at > LAST_CREATION:
        return {}
    if trade.is_opened_at_known and trade.opened_at <= created_at:
        return {}
    return {"opened_at": created_at, "is_opened_at_known": True}


def _ends(item: Item, status: str) -> dict[str, Any]:
    if status not in ENDED:
        return {}
    if not item.ended_as:
        return {"ended_as": status}
    if item.ended_as == status:
        return {}
    # Which of the two is kept does not matter: the flag alone is used, and it is set from either side.
    return {"ended_as": max(item.ended_as, status), "has_conflicting_ends": True}


def _apply(row: models.Model, target: dict[str, Any]) -> dict[str, Any]:
    before = {}
    for name, value in target.items():
        kept = getattr(row, name)
        # What stands there fits.
        if kept != value and kept != (fitted := _fit(row, name, value)):
            before[name] = kept
            setattr(row, name, fitted)
    return before


def _fit(row: models.Model, name: str, value: Any) -> Any:
    """What the column can hold: AssetPay promises no lengths, and PostgreSQL refuses what is too long."""
    most, rounds = _limits(type(row), name)
    if most and isinstance(value, int | str):
        # As the database will give it back; else each newer document would look like a change.
        return str(value)[:most]
    if rounds is not None and isinstance(value, Decimal):
        # As the database will give it back; else the same message would look like a change each time.
        return rounds(value)
    return value


@cache
def _limits(model: type[models.Model], name: str) -> tuple[int | None, Callable[[Decimal], Decimal] | None]:
    """How long a text may be in this column, and how it rounds money."""
    column = model._meta.get_field(name)
    most = column.max_length if isinstance(column, models.CharField) else None
    return most, column.round if isinstance(column, UsdField) else None
