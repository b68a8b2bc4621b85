"""How things look on AssetPay's wire: envelopes, trades, times and money."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import simplejson

from sandbox.model import CS2, Item, Trade
from sandbox.statuses import FINAL, Status

type Json = dict[str, Any]


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number(amount: Decimal) -> Decimal:
    """The amount as a JSON number without padding: 12.50 is written 12.5."""
    whole = amount.to_integral_value()
    return whole.quantize(Decimal(1)) if amount == whole else amount.normalize()


def dump(body: Any) -> bytes:
    """JSON text in UTF-8; Decimals become numbers."""
    try:
        return simplejson.dumps(body, use_decimal=True, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # A lone surrogate is no UTF-8, but JSON can spell it.
        return simplejson.dumps(body, use_decimal=True, separators=(",", ":")).encode()


def success(request_id: str, data: Any) -> bytes:
    """The envelope of an answer that worked."""
    return dump({"requestId": request_id, "success": True, "data": data})


def failure(request_id: str, *, code: int, key: str, message: str, fields: dict[str, str] | None = None) -> bytes:
    """The envelope of a refusal."""
    error: Json = {"code": code, "key": key, "message": message}
    if fields:
        error["fields"] = fields
    return dump({"requestId": request_id, "success": False, "error": error})


def trade_json(trade: Trade) -> Json:
    """A trade as every endpoint and callback shows it; absent fields are left out."""
    return _without_absent(
        {
            "id": trade.id,
            "type": trade.type,
            "source": trade.source,
            "status": trade.status,
            "game": trade.game,
            "merchantId": trade.merchant_id,
            "clientUserId": trade.client_user_id,
            "clientTradeUrl": trade.client_trade_url,
            "clientSteamID": trade.client_steam_id,
            "items": [_item_json(trade, item) for item in trade.items],
            "totalPrice": number(trade.total_price),
            "createdAt": iso(trade.created_at),
            "updatedAt": iso(trade.updated_at),
            "externalId": trade.external_id,
            "externalClientUserId": trade.external_client_user_id,
            "offerID": trade.offer_id,
            "holdEndDate": trade.hold_end_date and iso(trade.hold_end_date),
            "activeAt": trade.active_at and iso(trade.active_at),
            "autoCancelAt": trade.auto_cancel_at and iso(trade.auto_cancel_at),
            "revertedBy": trade.reverted_by,
            "error": trade.error,
        }
    )


def _item_json(trade: Trade, item: Item) -> Json:
    known = item.name if item.described else None
    return _without_absent(
        {
            "id": item.id,
            "appid": int(trade.game),
            "tradable": item.status not in FINAL or item.status is Status.COMPLETED,
            "status": item.status if trade.type == "withdraw" else None,
            "error": item.error,
            "externalId": item.external_id,
            "assetId": item.asset_id,
            "amount": 1,
            "offer": {"price": number(item.price), "delivery": "standard"},
            "name": known,
            "marketHashName": known,
            "exterior": _exterior(known) if trade.game == CS2 else None,
            "wear": item.wear if known else None,
            "paintSeed": item.paint_seed if known else None,
        }
    )


def _exterior(name: str | None) -> str | None:
    if name and name.endswith(")") and "(" in name:
        return name[name.rindex("(") + 1 : -1]
    return None


def _without_absent(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
