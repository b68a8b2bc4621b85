"""AssetPay's documents as it writes them, for tests: a trade with what a test says, and believable rest."""

from datetime import UTC, datetime, timedelta
from typing import Any

from withdrawals.assetpay.snapshots import TradeSnapshot, read_trade

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STEAM_ID = "76561198000000001"
TRADE_URL = "https://steamcommunity.com/tradeoffer/new/?partner=39734273&token=AbCdEfGh"


def stamp(moment: datetime) -> str:
    """AssetPay's way of writing a time: ISO 8601, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def item_document(item_id: str = "item-one", **fields: Any) -> dict[str, Any]:
    """One item on the wire."""
    document: dict[str, Any] = {
        "id": item_id,
        "appid": 730,
        "tradable": True,
        "status": "pending",
        "marketHashName": "AK-47 | Redline (Field-Tested)",
        "offer": {"price": 12},
    }
    return document | fields


def trade_document(trade_id: str = "trade-one", **fields: Any) -> dict[str, Any]:
    """One trade on the wire, an hour old at noon."""
    document: dict[str, Any] = {
        "id": trade_id,
        "type": "withdraw",
        "source": "client",
        "status": "pending",
        "game": "730",
        "merchantId": "test-merchant",
        "clientUserId": "user-1",
        "clientTradeUrl": TRADE_URL,
        "clientSteamID": STEAM_ID,
        "items": [item_document()],
        "totalPrice": 12,
        "createdAt": stamp(NOON - timedelta(hours=1)),
        "updatedAt": stamp(NOON - timedelta(hours=1)),
    }
    return {name: value for name, value in (document | fields).items() if value is not None}


def trade_snapshot(trade_id: str = "trade-one", **fields: Any) -> TradeSnapshot:
    """The same as a snapshot."""
    return read_trade(trade_document(trade_id, **fields))
