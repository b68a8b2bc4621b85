"""Looking trades up and paging through them."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping

from sandbox.errors import Refused, invalid
from sandbox.model import CS2, Trade
from sandbox.wire import Json, iso, trade_json
from sandbox.world import World

MOST_REFS = 100


def read_refs(world: World, text: str) -> Json | list[Json]:
    """The trades behind comma-joined ids or external ids.

    One ref gives an object or 404; several give an array in the order asked, without those not found.
    """
    refs = text.split(",")
    if len(refs) > MOST_REFS:
        raise invalid("refs", f"at most {MOST_REFS} references are allowed")
    if not all(refs):
        raise invalid("refs", "a reference must not be empty")
    found = {trade.id: trade for ref in refs if (trade := _visible(world, ref)) is not None}
    if len(refs) > 1:
        return [trade_json(trade) for trade in found.values()]
    if not found:
        raise Refused("TRADE_NOT_FOUND", "There is no such trade.")
    return trade_json(next(iter(found.values())))


def read_page(trades: Iterable[Trade], query: Mapping[str, str]) -> Json:
    """One page of these trades, newest first, by the query's cursor, limit, type and game."""
    limit = _limit(query.get("limit", "20"))
    kind = query.get("type")
    if kind not in (None, "deposit", "withdraw"):
        raise invalid("type", "must be deposit or withdraw")
    game = query.get("game", CS2)
    chosen = [trade for trade in trades if trade.game == game and kind in (None, trade.type)]
    chosen.sort(key=_place, reverse=True)
    if "cursor" in query:
        before = _decode(query["cursor"])
        chosen = [trade for trade in chosen if _place(trade) < before]
    page = chosen[:limit]
    following = _encode(page[-1]) if len(chosen) > limit else None
    return {"items": [trade_json(trade) for trade in page], "nextCursor": following}


def _visible(world: World, ref: str) -> Trade | None:
    trade = world.find(ref)
    if trade is not None and trade.source == "client" and not world.switches.secure_reads_client_trades:
        return None
    return trade


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= 100:
        raise invalid("limit", "must be a whole number from 1 to 100")
    return int(text)


def _place(trade: Trade) -> tuple[str, str]:
    return iso(trade.created_at), trade.id


def _encode(trade: Trade) -> str:
    created_at, ref = _place(trade)
    text = json.dumps({"createdAt": created_at, "id": ref})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[str, str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(place["createdAt"]), str(place["id"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise invalid("cursor", "is not a cursor of this list") from None
