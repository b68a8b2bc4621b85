"""AssetPay's endpoints: which there are, who may call them, and what each answers."""

import math
import time
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox import buying, cancelling, reading
from sandbox.desk import Desk, Done, Route
from sandbox.errors import Refused
from sandbox.model import Source, Trade, steam_id_of
from sandbox.retry_after import retry_after_value
from sandbox.tokens import STEAM_ID, TRADE_URL, ClientUser, issue_client_token
from sandbox.wire import iso, trade_json


def cancel_item(desk: Desk) -> Done:
    """POST .../items/{item}/cancel, for an end user's withdrawal or the merchant's own purchase."""
    trade = _trade_to_cancel(desk)
    return Done(*cancelling.cancel_item(desk.sandbox.world, trade, desk.call.params["item"], desk.now))


def cancel_trade(desk: Desk) -> Done:
    """POST .../cancel for a whole trade."""
    return Done(*cancelling.cancel_trade(desk.sandbox.world, _trade_to_cancel(desk), desk.now))


def read_trades(desk: Desk) -> Done:
    """GET /secure/trades/{refs}"""
    desk.merchant()
    return Done(reading.read_refs(desk.sandbox.world, desk.call.params["refs"]))


def list_own_trades(desk: Desk) -> Done:
    """GET /secure/trades: the merchant's own purchases and sales."""
    desk.merchant()
    trades = (trade for trade in desk.sandbox.world.trades.values() if trade.source == "self")
    return Done(reading.read_page(trades, desk.call.query))


def list_client_trades(desk: Desk) -> Done:
    """GET /client/trades: those of the token's user."""
    user = desk.user()
    world = desk.sandbox.world
    theirs = (trade for trade in world.trades.values() if _belongs_to(trade, user))
    return Done(reading.read_page(theirs, desk.call.query))


def read_client_trade(desk: Desk) -> Done:
    """GET /client/trades/{trade}, which only one page has ever mentioned."""
    if not desk.sandbox.world.switches.client_trade_lookup:
        raise Refused("NOT_FOUND", "There is nothing at this address.")
    user = desk.user()
    trade = desk.sandbox.world.find(desk.call.params["trade"])
    if trade is None or not _belongs_to(trade, user):
        raise Refused("TRADE_NOT_FOUND", "There is no such trade.")
    return Done(trade_json(trade))


def withdraw(desk: Desk) -> Done:
    """POST /client/trading/withdraw"""
    user = desk.user()
    return _create(desk, buying.read_order(buying.Order, desk.call.body), user, "client")


def buy(desk: Desk) -> Done:
    """POST /secure/buy"""
    desk.merchant()
    order = buying.read_order(buying.OwnOrder, desk.call.body)
    if not TRADE_URL.fullmatch(order.tradeUrl):
        raise Refused("INVALID_TRADEURL", "This is not a trade URL.")
    return _create(desk, order, ClientUser(steam_id_of(order.tradeUrl), order.tradeUrl, None), "self")


class Introduction(BaseModel):
    """The body that asks for a client token."""

    model_config = ConfigDict(extra="forbid")

    clientSteamId: str = Field(pattern=f"^{STEAM_ID.pattern}$")
    clientTradeUrl: str
    clientId: str | None = Field(default=None, max_length=128)
    clientData: dict[str, Any] | None = None


def authenticate(desk: Desk) -> Done:
    """POST /auth/authenticate-client"""
    desk.merchant()
    who = buying.read_order(Introduction, desk.call.body)
    user = ClientUser(who.clientSteamId, who.clientTradeUrl, who.clientId)
    return Done({"token": issue_client_token(desk.sandbox.config, user, desk.sandbox.clock.wall())})


def balance(desk: Desk) -> Done:
    """GET /v1/wallets/me/balance"""
    desk.merchant()
    return Done(buying.balance(desk.sandbox.world))


def health(desk: Desk) -> Done:
    """GET /health"""
    mode = "on" if desk.sandbox.world.switches.maintenance else "off"
    uptime = round(time.monotonic() - desk.sandbox.started, 3)
    return Done({"status": "ok", "timestamp": iso(desk.now), "uptime": uptime, "maintenance": {"mode": mode}})


ROUTES = (
    Route("cancel_item", "POST", "/client/trading/withdraw/{trade}/items/{item}/cancel", cancel_item),
    Route("cancel_trade", "POST", "/client/trading/withdraw/{trade}/cancel", cancel_trade),
    Route("cancel_item", "POST", "/secure/buy/{trade}/items/{item}/cancel", cancel_item),
    Route("cancel_trade", "POST", "/secure/buy/{trade}/cancel", cancel_trade),
    Route("read_trades", "GET", "/secure/trades/{refs}", read_trades),
    Route("list_trades", "GET", "/secure/trades", list_own_trades),
    Route("list_trades", "GET", "/client/trades", list_client_trades),
    Route("client_trade", "GET", "/client/trades/{trade}", read_client_trade),
    Route("create", "POST", "/client/trading/withdraw", withdraw),
    Route("create", "POST", "/secure/buy", buy),
    Route("authenticate", "POST", "/auth/authenticate-client", authenticate),
    Route("balance", "GET", "/v1/wallets/me/balance", balance),
    Route("health", "GET", "/health", health),
)


def _trade_to_cancel(desk: Desk) -> Trade:
    secure = desk.call.path.startswith("/secure/")
    user = None if secure else desk.user()
    if secure:
        desk.merchant()
    _check_rate(desk)
    world = desk.sandbox.world
    trade = world.find(desk.call.params["trade"])
    if trade is None or (secure and trade.source != "self"):
        raise Refused(world.switches.unknown_trade_key, "There is no such trade.")
    if user is not None and not _belongs_to(trade, user):
        raise Refused("FORBIDDEN", "This trade is not yours.")
    return trade


def _check_rate(desk: Desk) -> None:
    switches = desk.sandbox.world.switches
    wait = desk.sandbox.limit.wait_seconds(desk.now, switches.cancels_per_minute)
    if wait is None:
        return
    form = switches.retry_after
    seconds = max(1, math.ceil(wait))
    headers = {}
    if form != "none":
        headers["Retry-After"] = retry_after_value(seconds if form == "seconds" else form, seconds)
    raise Refused("RATE_LIMITED", "Too many cancellations; try again later.", headers=headers)


def _belongs_to(trade: Trade, user: ClientUser) -> bool:
    # By Steam account: the trade URL may have been renewed since.
    return trade.source == "client" and trade.client_steam_id == user.steam_id


def _create(desk: Desk, order: buying.Order, user: ClientUser, source: Source) -> Done:
    trade = buying.create_withdrawal(desk.sandbox.world, order, user, source, desk.now)
    desk.sandbox.callbacks.ask_approval(trade)
    return Done(trade_json(trade), effect=True)
