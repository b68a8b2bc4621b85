"""Cancelling items and whole trades: the rules first, then the supplier."""

from datetime import datetime

from sandbox.errors import Refused
from sandbox.model import Item, Trade
from sandbox.rules import REASONS, item_refusal, trade_refusal
from sandbox.statuses import FINAL
from sandbox.suppliers import ask_supplier
from sandbox.wire import Json
from sandbox.world import World


def cancel_item(world: World, trade: Trade, item_ref: str, now: datetime) -> tuple[Json, bool]:
    """Ask the supplier to cancel one item; the item itself does not change yet.

    Returns the ItemCancelResult and whether this call, not an earlier one, set things in motion.
    Raises Refused.
    """
    item = trade.item(item_ref)
    if item is None:
        raise Refused("ITEM_NOT_FOUND", "This trade holds no such item.")
    effect = _ask(world, trade, item, now)
    return {"tradeId": trade.id, "itemId": item.id, **_reference(item), "status": "cancelled"}, effect


def cancel_trade(world: World, trade: Trade, now: datetime) -> tuple[Json, bool]:
    """Ask for every item of a trade, as far as each allows it: a mixed outcome is an ordinary answer.

    Returns the TradeCancelResult and whether anything was set in motion. Raises Refused only when nothing
    of this trade could ever be cancelled.
    """
    key = trade_refusal(trade, world.switches)
    if key is None and all(item.status in FINAL for item in trade.items):
        key = "TRADE_NOT_CANCELLABLE"
    if key is not None:
        raise Refused(key, REASONS[key])
    requested, effect, results = 0, False, []
    for item in trade.items:
        if item_refusal(trade, item, now, world.switches) is None:
            requested += 1
        try:
            effect = _ask(world, trade, item, now) or effect
            outcome: Json = {"status": "cancelled"}
        except Refused as refused:
            outcome = {"status": "failed", "reason": refused.key}
        results.append({"itemId": item.id, **_reference(item), **outcome})
    failed = sum(result["status"] == "failed" for result in results)
    return {
        "tradeId": trade.id,
        "requested": requested,
        "cancelled": len(results) - failed,
        "failed": failed,
        "items": results,
    }, effect


def _ask(world: World, trade: Trade, item: Item, now: datetime) -> bool:
    key = item_refusal(trade, item, now, world.switches)
    if key is not None:
        raise Refused(key, REASONS[key])
    return ask_supplier(world, trade, item, now)


def _reference(item: Item) -> Json:
    return {} if item.external_id is None else {"externalId": item.external_id}
