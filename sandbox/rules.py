"""Who may cancel what, and how often."""

import threading
from collections import deque
from datetime import datetime, timedelta

from sandbox.model import CS2, Item, Trade
from sandbox.statuses import FINAL, Status
from sandbox.switches import Switches

MINUTE = timedelta(seconds=60)

REASONS = {
    "TRADE_NOT_CANCELLABLE": "This item can no longer be cancelled.",
    "TRADE_CANCEL_UNSUPPORTED": "The supplier of this item offers no cancellation.",
    "TRADE_CANCEL_TOO_SOON": "This item is too young to be cancelled.",
}


def trade_refusal(trade: Trade, switches: Switches) -> str | None:
    """The error key that refuses to cancel anything of this trade, or None."""
    if trade.type != "withdraw":
        return "TRADE_NOT_CANCELLABLE"
    if trade.game != CS2:
        return switches.rust_refusal
    return None


def item_refusal(trade: Trade, item: Item, now: datetime, switches: Switches) -> str | None:
    """The error key that refuses to cancel this item now, or None when the supplier is to be asked."""
    if (key := trade_refusal(trade, switches)) is not None:
        return key
    if _has_ended(item.status, switches):
        return "TRADE_NOT_CANCELLABLE"
    if item.internal_pool:
        return "TRADE_CANCEL_UNSUPPORTED"
    if now < trade.created_at + timedelta(seconds=switches.cancel_window_seconds):
        return "TRADE_CANCEL_TOO_SOON"
    if item.cancel_requested_at is not None and switches.repeat_cancel == "refuse":
        return "TRADE_NOT_CANCELLABLE"
    return None


def _has_ended(status: Status, switches: Switches) -> bool:
    if status is Status.DECLINED and not switches.declined_is_final:
        return False
    return status in FINAL or status not in switches.cancellable_statuses


class RateLimit:
    """At most so many calls in any sixty seconds; refused calls do not count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: deque[datetime] = deque()

    def wait_seconds(self, now: datetime, per_minute: int) -> float | None:
        """Admit one call and return None, or return the seconds until the next would be admitted."""
        with self._lock:
            while self._admitted and self._admitted[0] <= now - MINUTE:
                self._admitted.popleft()
            if len(self._admitted) < per_minute:
                self._admitted.append(now)
                return None
            if not self._admitted:
                return MINUTE.total_seconds()
            return (self._admitted[-per_minute] + MINUTE - now).total_seconds()

    def clear(self) -> None:
        """Forget every call."""
        with self._lock:
            self._admitted.clear()
