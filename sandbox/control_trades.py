"""Control over trades: making them up and moving them by hand."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.buying import client_user_id
from sandbox.control_inputs import ItemChange, NewItem, NewTrade, TradeChange
from sandbox.control_refusals import Misuse
from sandbox.model import CS2, Item, Trade, listing_id, offer_number, trade_url_for
from sandbox.sandbox import Sandbox
from sandbox.statuses import OPEN, Status, trade_status
from sandbox.wire import Json, iso, trade_json

OFFERED_AFTER = timedelta(minutes=10)


def make_trade(sandbox: Sandbox, spec: NewTrade) -> Json:
    """A trade out of nothing, in any status and of any age."""
    trade = build_trade(sandbox, spec)
    sandbox.world.add(trade)
    if spec.announce:
        sandbox.callbacks.send_news(trade)
    return {"trade": trade_json(trade)}


def build_trade(sandbox: Sandbox, spec: NewTrade) -> Trade:
    """The trade a spec describes, not in the world yet. Raises Misuse for ids that are taken."""
    world, now = sandbox.world, sandbox.clock.now()
    for ref in (spec.id, spec.external_id):
        if ref is not None and world.find(ref) is not None:
            raise Misuse(f"There is already a trade called {ref!r}.")
    items = [_build_item(spec, each) for each in spec.items]
    if len({item.id for item in items}) < len(items):
        raise Misuse("Two items of one trade have the same id.")
    born = now - timedelta(seconds=spec.age_seconds)
    trade = Trade(
        id=spec.id or str(uuid.uuid4()),
        type=spec.type,
        source=spec.source,
        status=_status_of(spec, items),
        game=spec.game,
        merchant_id=world.merchant_id,
        client_user_id=client_user_id(world, spec.steam_id),
        client_trade_url=spec.trade_url or trade_url_for(spec.steam_id),
        client_steam_id=spec.steam_id,
        items=items,
        total_price=spec.total_price or sum((item.price for item in items), Decimal(0)),
        created_at=born,
        updated_at=now,
        external_id=spec.external_id,
        external_client_user_id=spec.external_client_user_id,
        error=spec.error,
        supplier=spec.supplier,
        supplier_delay_seconds=spec.supplier_delay_seconds,
    )
    if spec.auto_cancel_seconds is not None and spec.game == CS2:
        trade.auto_cancel_at = now + timedelta(seconds=spec.auto_cancel_seconds)
    _add_dates(trade, now, spec, timedelta(seconds=world.switches.hold_seconds))
    return trade


def change_item(sandbox: Sandbox, ref: str, item_ref: str, change: ItemChange) -> Json:
    """Move or mend one item; the trade's status follows."""
    world, now, trade = sandbox.world, sandbox.clock.now(), find_trade(sandbox, ref)
    item = trade.item(item_ref)
    if item is None:
        raise Misuse(f"Trade {ref!r} holds no item {item_ref!r}.", status=404)
    item.error = change.error if "error" in change.model_fields_set else item.error
    item.name = change.name or item.name
    item.supplier = change.supplier or item.supplier
    if change.price is not None:
        trade.total_price += change.price - item.price
        item.price = change.price
    moves = {item.id: change.status} if change.status is not None else {}
    world.move_items(trade, moves, now, reverted_by=world.cause_of_reversal(), announce=change.announce)
    return {"trade": trade_json(trade)}


def change_trade(sandbox: Sandbox, ref: str, change: TradeChange) -> Json:
    """Move or mend a trade; items that stood where it stood go along."""
    world, now, trade = sandbox.world, sandbox.clock.now(), find_trade(sandbox, ref)
    for item_ref, price in change.item_prices.items():
        item = trade.item(item_ref)
        if item is None:
            raise Misuse(f"Trade {ref!r} holds no item {item_ref!r}.", status=404)
        trade.total_price += price - item.price
        item.price = price
    trade.total_price = change.total_price or trade.total_price
    trade.supplier = change.supplier or trade.supplier
    if "supplier_delay_seconds" in change.model_fields_set:
        trade.supplier_delay_seconds = change.supplier_delay_seconds
    if "error" in change.model_fields_set:
        trade.error = change.error
    if "reverted_by" in change.model_fields_set:
        trade.reverted_by = change.reverted_by
    status = change.status or trade.status
    if change.items_follow and change.status is not None:
        moves = {item.id: status for item in trade.items if item.status is trade.status}
        world.move_items(trade, moves, now, announce=False)
    world.set_status(trade, status, now, announce=change.announce)
    return {"trade": trade_json(trade)}


def find_trade(sandbox: Sandbox, ref: str) -> Trade:
    """The trade with this id or external id. Raises Misuse, 404."""
    trade = sandbox.world.find(ref)
    if trade is None:
        raise Misuse(f"There is no trade {ref!r}.", status=404)
    return trade


def behind(trade: Trade) -> Json:
    """What the wire does not show of a trade."""
    return {
        "supplier": trade.supplier,
        "items": {
            item.id: {
                "supplier": item.supplier or trade.supplier,
                "cancelRequestedAt": item.cancel_requested_at and iso(item.cancel_requested_at),
                "internalPool": item.internal_pool,
            }
            for item in trade.items
        },
    }


def _build_item(spec: NewTrade, each: NewItem) -> Item:
    status = each.status or spec.status
    sent = status in (Status.HOLD, Status.COMPLETED)
    return Item(
        id=each.id or (listing_id() if spec.game == CS2 else f"252490_{uuid.uuid4().hex}"),
        price=each.price,
        status=status,
        name=each.name,
        external_id=each.external_id,
        error=each.error,
        asset_id=offer_number() if sent else None,
        internal_pool=each.internal_pool,
        supplier=each.supplier,
    )


def _status_of(spec: NewTrade, items: list[Item]) -> Status:
    if "status" in spec.model_fields_set or all(each.status is None for each in spec.items):
        return spec.status
    return trade_status(item.status for item in items)


def _add_dates(trade: Trade, now: datetime, spec: NewTrade, hold: timedelta) -> None:
    reached = trade.status
    offered = reached in (*OPEN[2:], Status.COMPLETED, Status.DECLINED)
    if offered:
        trade.offer_id, trade.active_at = offer_number(), min(now, trade.created_at + OFFERED_AFTER)
    if reached is Status.HOLD:
        trade.hold_end_date = now + hold
    elif reached is Status.COMPLETED:
        trade.hold_end_date = min(now, trade.created_at + OFFERED_AFTER + hold)
    if reached is Status.REVERTED:
        trade.reverted_by = spec.reverted_by
