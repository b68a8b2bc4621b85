"""A demonstration that lives: withdrawals in every state, then new ones and deliveries without end."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.buying import Order, WantedItem, create_withdrawal
from sandbox.chance import chance
from sandbox.control_trades import build_trade
from sandbox.demo_cast import CUSTOMERS, opening_scene
from sandbox.errors import Refused
from sandbox.market import Listing
from sandbox.model import CS2, RUST, Due, Script, Trade, trade_url_for
from sandbox.sandbox import Sandbox
from sandbox.statuses import FINAL, OPEN, Status
from sandbox.tokens import ClientUser

GENTLE: Mapping[str, Any] = {
    "callback_min_interval_seconds": 0.15,
    # The dashboard may still be starting, or be restarted in the middle.
    "retry_schedule_seconds": (1, 2, 5),
    "retry_give_up": False,
    "hold_seconds": 180,
}
MOST_OPEN = 60
MOST_ENDED = 1000
NEW_EVERY_SECONDS = (20, 30)
SUPPLIERS = (Script.ACCEPT,) * 16 + (Script.REFUSE, Script.LATE, Script.DELIVERS_ANYWAY, Script.SILENT)


def start_demo(sandbox: Sandbox) -> None:
    """Make up the opening scene in an empty world, announce all of it, and keep the world moving."""
    world = sandbox.world
    world.switches = world.switches.patched(dict(GENTLE))
    with world.lock:
        if not world.trades:
            for spec in opening_scene(world.switches.cancel_window_seconds):
                trade = build_trade(sandbox, spec)
                if trade.status in FINAL:
                    trade.updated_at = trade.created_at + timedelta(minutes=45)
                world.add(trade)
                sandbox.callbacks.send_news(trade)
                plan_delivery(sandbox, trade, sandbox.clock.now())
    sandbox.beats.append(DemoLife(sandbox).beat)


class DemoLife:
    """Customers who go on buying."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._next_at = sandbox.clock.now() + timedelta(seconds=chance.uniform(5, 10))

    def beat(self) -> None:
        """Make a new withdrawal when it is time for one and not too many are open."""
        now = self.sandbox.clock.now()
        if now < self._next_at:
            return
        self._next_at = now + timedelta(seconds=chance.uniform(*NEW_EVERY_SECONDS))
        with self.sandbox.world.lock:
            trades = list(self.sandbox.world.trades.values())
            still_open = [trade for trade in trades if trade.status in OPEN]
            if len(still_open) < MOST_OPEN:
                self._buy_something(now)
            ended = sorted((trade for trade in trades if trade.status in FINAL), key=lambda trade: trade.updated_at)
            for trade in ended[: max(0, len(ended) - MOST_ENDED)]:
                self.sandbox.world.forget(trade)

    def _buy_something(self, now: datetime) -> None:
        world = self.sandbox.world
        game = RUST if chance.random() < 0.1 else CS2
        steam_id, client = chance.choice(CUSTOMERS)
        listings = _affordable(world.market.of_game(game), chance.choice((1, 1, 1, 2, 3)))
        order = Order(
            items=[WantedItem(itemId=listing.id, price=listing.price) for listing in listings],
            autoCancel=chance.choice((720, 720, 60)),
            game="252490" if game == RUST else "730",
        )
        user = ClientUser(steam_id, trade_url_for(steam_id), client)
        try:
            trade = create_withdrawal(world, order, user, "client", now)
        except Refused:
            return  # The wallet is empty or withdrawals are paused: nobody buys.
        trade.supplier = chance.choice(SUPPLIERS)
        trade.supplier_delay_seconds = 60 if trade.supplier is Script.LATE else chance.uniform(5, 10)
        self.sandbox.callbacks.ask_approval(trade)
        plan_delivery(self.sandbox, trade, now)


def plan_delivery(sandbox: Sandbox, trade: Trade, now: datetime) -> None:
    """Put an open trade's further way on the agenda, as long as nobody cancels it."""
    if trade.status not in OPEN:
        return
    at = now
    for status, seconds, error in _way(trade, sandbox.world.switches.cancel_window_seconds):
        at += timedelta(seconds=seconds)
        sandbox.world.schedule(Due(at, 0, "move", trade.id, status=status, error=error, unless_cancelled=True))


def _way(trade: Trade, window_seconds: float) -> list[tuple[Status, float, str | None]]:
    luck = chance.random()
    young = trade.status is Status.INITIATED
    sourcing = chance.uniform(120, 600) + (window_seconds if young else 0)
    if trade.status in OPEN[:2] and luck < 0.05:
        return [(Status.FAILED, sourcing, "LISTING_UNAVAILABLE")]
    way: list[tuple[Status, float, str | None]] = []
    if trade.status in OPEN[:2]:
        way.append((Status.ACTIVE, sourcing, None))
    if trade.status in OPEN[:3]:
        if luck < 0.15:
            return [*way, (Status.DECLINED, chance.uniform(60, 180), None)]
        way.append((Status.HOLD, chance.uniform(40, 150), None))
    return [*way, (Status.COMPLETED, chance.uniform(120, 300), None)]


def _affordable(listings: list[Listing], count: int) -> list[Listing]:
    # Dear things sell now and then only.
    weights = [1.0 if listing.price < 100 else 0.08 for listing in listings]
    chosen = chance.choices(listings, weights, k=count)
    return list({listing.id: listing for listing in chosen}.values())
