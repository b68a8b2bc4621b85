"""All of it together: one merchant's AssetPay, without the HTTP around it."""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from sandbox.callbacks import Callbacks
from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.courier import Courier
from sandbox.faults import Faults
from sandbox.rules import RateLimit
from sandbox.store import Store
from sandbox.wire import Json
from sandbox.world import World

HEARTBEAT_SECONDS = 0.05


class Sandbox:
    """The world, its callbacks, its faults and its memory of calls; `start` sets the threads going."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = Clock()
        self.world = World(self.clock, config.switches, config.merchant_id)
        self.callbacks = Callbacks(self.world)
        self.world.send_news = self.callbacks.send_news
        self.world.reach_verdict = self.callbacks.merchant_decides
        self.courier = Courier(self.world, self.callbacks.queue, config)
        self.limit = RateLimit()
        self.faults = Faults()
        self.calls: deque[Json] = deque(maxlen=config.remembered_calls)
        self.closing = threading.Event()
        self.started = time.monotonic()
        self.store = Store(config.state_file, self.world, self.callbacks.queue) if config.state_file else None
        if self.store is not None:
            self.store.load()
        self._heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self.beats: list[Callable[[], None]] = []

    def start(self) -> None:
        """Let time pass and callbacks go out."""
        self.courier.start()
        self._heartbeat.start()

    def close(self) -> None:
        """Stop every thread and keep the world."""
        self.closing.set()
        self._heartbeat.join(timeout=2)
        self.courier.close()
        if self.store is not None:
            self.store.save()

    def pause(self, seconds: float) -> None:
        """Wait, unless the sandbox is closing."""
        self.closing.wait(seconds)

    def reset(self) -> None:
        """An empty world with the switches it was started with."""
        self.callbacks.queue.clear()
        # Nobody wants a callback about a world that is gone.
        self.courier.wait_for_those_out()
        with self.world.lock:
            self.callbacks.queue.clear()
            self.world.clear()
            self.world.switches = self.config.switches
            self.clock.reset()
            self.limit.clear()
            self.faults.clear()
            self.calls.clear()

    def _beat(self) -> None:
        while not self.closing.wait(HEARTBEAT_SECONDS):
            try:
                self.world.settle()
                for beat in self.beats:
                    beat()
                if self.store is not None:
                    self.store.save_if_due()
            except Exception:
                # Time must not stand still because of one mishap, a full disk for instance.
                sys.stderr.write(f"sandbox: {traceback.format_exc()}")
