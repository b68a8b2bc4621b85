"""What the merchant is told: notices of trades, approvals, and anything a test wants to post."""

import time
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from sandbox.buying import apply_verdict
from sandbox.chance import chance
from sandbox.deliveries import Delivery, Kind, Queue
from sandbox.model import Due, Trade
from sandbox.statuses import Status
from sandbox.wire import dump, trade_json
from sandbox.world import World

POLL_SECONDS = 0.05


class Callbacks:
    """Composes callbacks and queues them; a courier sends what is queued."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue = Queue()

    def send_news(self, trade: Trade) -> None:
        """Queue a notice of how the trade stands now, or lose or double it as the switches have it."""
        switches = self.world.switches
        delivery = self.compose_trade(trade)
        if delivery.state == "waiting" and chance.random() < switches.drop_probability:
            delivery.state = "dropped"
        self.post(delivery)
        if delivery.state != "dropped" and chance.random() < switches.duplicate_probability:
            self.post(replace(delivery, state="waiting", attempts=[]))

    def ask_approval(self, trade: Trade, *, copy_mark: bool | None = None) -> Delivery:
        """Ask the merchant whether to buy.

        Marked copies decide nothing: the merchant's own backend decides, which is a switch. Without the
        mark the answer to this very call decides.
        """
        delivery = self.compose_trade(trade, copy_mark=copy_mark)
        delivery.decides = not delivery.copy_mark
        if delivery.copy_mark:
            wait = timedelta(seconds=self.world.switches.merchant_verdict_seconds)
            self.world.schedule(Due(self.world.clock.now() + wait, 0, "verdict", trade.id))
        self.post(delivery)
        return delivery

    def merchant_decides(self, trade: Trade, now: datetime) -> None:
        """The verdict of the merchant's own backend."""
        verdict = self.world.switches.merchant_verdict
        if verdict != "wait":
            apply_verdict(self.world, trade, verdict, now)

    def compose_trade(self, trade: Trade, *, copy_mark: bool | None = None) -> Delivery:
        """A callback about the trade as it stands now, not queued yet."""
        asks = trade.type == "withdraw" and trade.status is Status.INITIATED
        body = dump({"trade": trade_json(trade)}).decode()
        return self.compose(body, kind="approval" if asks else "news", trade_id=trade.id, copy_mark=copy_mark)

    def compose(
        self,
        body: str,
        *,
        kind: Kind = "other",
        trade_id: str | None = None,
        copy_mark: bool | None = None,
    ) -> Delivery:
        """A callback with this body, not queued yet."""
        switches = self.world.switches
        return Delivery(
            id=str(uuid.uuid4()),
            kind=kind,
            trade_id=trade_id,
            body=body,
            due_at=self.world.clock.now(),
            copy_mark=switches.copy_mark if copy_mark is None else copy_mark,
            state="waiting" if switches.callback_url else "unsent",
        )

    def post(self, delivery: Delivery) -> None:
        """Queue a composed callback."""
        self.queue.put(delivery, self.world.switches)
        self.world.changes += 1

    def flush(self, timeout_seconds: float = 30) -> bool:
        """Wait until nothing is due and nothing is on its way; False when that took too long."""
        give_up = time.monotonic() + timeout_seconds
        while time.monotonic() < give_up:
            self.world.settle()
            with self.queue.changed:
                if self.queue.is_idle(self.world.clock.now()):
                    return True
                self.queue.changed.notify_all()
                self.queue.changed.wait(POLL_SECONDS)
        return False
