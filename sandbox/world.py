"""The world behind the API: trades, what is still to happen to them, and every move between statuses."""

import heapq
import itertools
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sandbox.clock import Clock
from sandbox.market import Market
from sandbox.model import CS2, Due, RevertedBy, Trade, offer_number
from sandbox.statuses import FINAL, OPEN, UNSENT, Status, trade_status
from sandbox.switches import Switches

MILLISECOND = timedelta(milliseconds=1)


def _to_nobody(trade: Trade) -> None:
    """Where news goes until somebody listens."""


class World:
    """All trades of one merchant. Whoever reads or changes them holds `lock`."""

    def __init__(self, clock: Clock, switches: Switches, merchant_id: str) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.switches = switches
        self.merchant_id = merchant_id
        self.market = Market()
        self.trades: dict[str, Trade] = {}
        self.agenda: list[Due] = []
        self.changes = 0
        self.send_news: Callable[[Trade], None] = _to_nobody
        self.reach_verdict: Callable[[Trade, datetime], None] = lambda trade, now: None
        self._external: dict[str, str] = {}
        self._sequence = itertools.count()

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.trades.clear()
            self.agenda.clear()
            self._external.clear()
            self.market = Market()
            self.changes += 1

    def add(self, trade: Trade) -> None:
        """Take a trade in and put its auto-cancel on the agenda; the caller has checked its ids are free."""
        self.trades[trade.id] = trade
        if trade.external_id is not None:
            self._external[trade.external_id] = trade.id
        if trade.auto_cancel_at is not None:
            self.schedule(Due(trade.auto_cancel_at, 0, "auto_cancel", trade.id))
        self.changes += 1

    def forget(self, trade: Trade) -> None:
        """Drop a trade for good."""
        self.trades.pop(trade.id, None)
        if trade.external_id is not None:
            self._external.pop(trade.external_id, None)
        self.changes += 1

    def find(self, ref: str) -> Trade | None:
        """The trade with this id or external id."""
        return self.trades.get(ref) or self.trades.get(self._external.get(ref, ""))

    def schedule(self, due: Due) -> None:
        """Put something on the agenda."""
        due.seq = next(self._sequence)
        heapq.heappush(self.agenda, due)
        self.changes += 1

    def settle(self) -> None:
        """Let everything happen that is due by now, each thing at its own moment."""
        with self.lock:
            now = self.clock.now()
            while self.agenda and self.agenda[0].at <= now:
                self._carry_out(heapq.heappop(self.agenda))

    def move_items(
        self,
        trade: Trade,
        moves: Mapping[str, Status],
        now: datetime,
        *,
        reverted_by: RevertedBy | None = None,
        announce: bool = True,
    ) -> None:
        """Give items, named by their ids, new statuses; the trade's own status follows from all of them."""
        for item in trade.items:
            if item.id in moves:
                item.status = moves[item.id]
                item.described = True
                if item.status is Status.HOLD or (item.status is Status.COMPLETED and not item.asset_id):
                    item.asset_id = item.asset_id or offer_number()
        least = self.switches.mixed_open_status == "least_advanced"
        after = trade_status((item.status for item in trade.items), least_advanced=least)
        self.set_status(trade, after, now, reverted_by=reverted_by, announce=announce)

    def set_status(
        self,
        trade: Trade,
        status: Status,
        now: datetime,
        *,
        reverted_by: RevertedBy | None = None,
        announce: bool = True,
    ) -> None:
        """Give the trade a status, with the dates that belong to it, and tell the merchant."""
        moved = trade.status is not status
        trade.status = status
        if status in OPEN[2:] and trade.active_at is None:
            trade.active_at = now
            trade.offer_id = trade.offer_id or offer_number()
        if status is Status.HOLD and trade.hold_end_date is None:
            trade.hold_end_date = now + timedelta(seconds=self.switches.hold_seconds)
        if status is Status.REVERTED and reverted_by is not None:
            trade.reverted_by = reverted_by
        self.touch(trade, now)
        if announce and (moved or self.switches.announce_item_changes):
            self.send_news(trade)

    def touch(self, trade: Trade, now: datetime) -> None:
        """Move updatedAt strictly forward, by a millisecond at least."""
        trade.updated_at = max(now, trade.updated_at + MILLISECOND)
        self.changes += 1

    def _carry_out(self, due: Due) -> None:
        self.changes += 1
        trade = self.trades.get(due.trade_id)
        if trade is None:
            return
        if due.act == "verdict":
            self.reach_verdict(trade, due.at)
        elif due.act == "auto_cancel":
            self._auto_cancel(trade, due.at)
        elif due.status is not None:
            self._move_if_open(trade, due, due.status)

    def _move_if_open(self, trade: Trade, due: Due, status: Status) -> None:
        moves = {
            item.id: status
            for item in trade.items
            if due.item_id in (None, item.id)
            and item.status not in FINAL
            and not (due.unless_cancelled and item.cancel_requested_at)
        }
        if not moves:
            return
        if due.error is not None:
            _note_error(trade, moves, due.error)
        self.move_items(trade, moves, due.at, reverted_by=self.cause_of_reversal())

    def _auto_cancel(self, trade: Trade, now: datetime) -> None:
        if not self.switches.auto_cancel_acts or trade.game != CS2:
            return
        status = self.switches.auto_cancel_status
        moves = {item.id: status for item in trade.items if item.status in UNSENT}
        if moves:
            self.move_items(trade, moves, now, reverted_by=self.cause_of_reversal())

    def cause_of_reversal(self) -> RevertedBy | None:
        """What revertedBy says after a cancel."""
        cause = self.switches.reverted_by
        return None if cause == "absent" else cause


def _note_error(trade: Trade, moves: Mapping[str, Status], error: str) -> None:
    for item in trade.items:
        if item.id in moves:
            item.error = error
    # The trade itself carries a cause only where all its items share it.
    if len(moves) == len(trade.items):
        trade.error = error
