"""One callback on its way to the merchant, and the queue of all of them."""

import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Literal

from sandbox.chance import chance
from sandbox.switches import Switches

Kind = Literal["news", "approval", "other"]
State = Literal["waiting", "sending", "delivered", "ignored", "failed", "given_up", "dropped", "unsent"]

REMEMBERED = 3000


@dataclass
class Attempt:
    """One sending and what was answered; status is None when nothing usable came back."""

    delivery_id: str
    at: datetime
    t: datetime
    status: int | None = None
    answer: str = ""
    error: str | None = None


@dataclass
class Delivery:
    """A callback's body with everything needed to send it, and the attempts so far."""

    id: str
    kind: Kind
    trade_id: str | None
    body: str
    due_at: datetime
    copy_mark: bool
    state: State = "waiting"
    signed: bool = True
    forged: bool = False
    stale_seconds: float = 0.0
    # Does not wait for another delivery of the same trade to come back.
    together: bool = False
    # Its answer decides over the withdrawal.
    decides: bool = False
    attempts: list[Attempt] = field(default_factory=list)


class Queue:
    """Deliveries in the order in which they were queued; thread-safe through `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._open: list[Delivery] = []
        self._ended: deque[Delivery] = deque(maxlen=REMEMBERED)

    def put(self, delivery: Delivery, switches: Switches) -> None:
        """Queue a delivery, held back to the end of a window where the order is to be mixed."""
        if delivery.kind == "news" and switches.order != "natural":
            window = switches.reorder_window_seconds
            ends = ceil(delivery.due_at.timestamp() / window) * window
            delivery.due_at = datetime.fromtimestamp(ends, delivery.due_at.tzinfo)
        with self.changed:
            (self._open if delivery.state == "waiting" else self._ended).append(delivery)
            self.changed.notify_all()

    def claim(self, now: datetime, switches: Switches) -> Delivery | None:
        """The next delivery to send, now marked as being sent; one at a time per trade. None: nothing due."""
        with self.changed:
            busy = {each.trade_id for each in self._open if each.state == "sending" and each.trade_id}
            due = [each for each in self._due(now) if each.together or each.trade_id not in busy]
            if not due:
                return None
            chosen = _next(due, switches)
            chosen.state = "sending"
            return chosen

    def put_back(self, delivery: Delivery, state: State, again_at: datetime | None) -> None:
        """Record how an attempt ended, and when the next one is to be made."""
        with self.changed:
            if not any(each is delivery for each in self._open):
                return  # The queue was cleared meanwhile.
            delivery.state = state
            if again_at is not None:
                delivery.due_at = again_at
            else:
                self._open = [each for each in self._open if each is not delivery]
                self._ended.append(delivery)
            self.changed.notify_all()

    def is_idle(self, now: datetime) -> bool:
        """Whether nothing is due and nothing is on its way."""
        with self.changed:
            return not any(each.state == "sending" for each in self._open) and not self._due(now)

    def open(self) -> list[Delivery]:
        """Everything not finished yet."""
        with self.changed:
            return list(self._open)

    def log(self) -> list[Delivery]:
        """Everything remembered, what has ended first."""
        with self.changed:
            return [*self._ended, *self._open]

    def clear(self) -> None:
        """Forget everything; what is on its way lands nowhere."""
        with self.changed:
            self._open.clear()
            self._ended.clear()
            self.changed.notify_all()

    def _due(self, now: datetime) -> list[Delivery]:
        return [each for each in self._open if each.state == "waiting" and each.due_at <= now]


def _next(due: list[Delivery], switches: Switches) -> Delivery:
    if switches.order == "shuffled":
        return chance.choice(due)
    if switches.order == "reversed":
        return due[-1]
    return min(due, key=lambda each: each.due_at)
