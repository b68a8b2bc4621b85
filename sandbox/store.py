"""Keeps the world in a file, so that a stopped sandbox goes on where it was."""

import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sandbox.deliveries import Delivery, Queue
from sandbox.model import Due, Trade
from sandbox.world import World

EVERY_SECONDS = 1.0


@dataclass
class Kept:
    """What the file holds."""

    clock_offset_seconds: float
    trades: list[Trade]
    agenda: list[Due]
    deliveries: list[Delivery]


KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)


class StateUnreadable(Exception):
    """The state file is there but is none of ours."""


class Store:
    """Writes the world to a file whole, by atomic replacement, and no more often than once a second."""

    def __init__(self, path: Path, world: World, queue: Queue) -> None:
        self.path = path
        self.world = world
        self.queue = queue
        self._saved = -1
        self._saved_at = 0.0

    def load(self) -> None:
        """Take over what the file holds; a missing file is an empty world. Raises StateUnreadable."""
        if not self.path.exists():
            return
        try:
            kept = KEPT.validate_json(self.path.read_bytes())
        except ValueError as error:
            raise StateUnreadable(f"{self.path} is not a sandbox state file: {error}") from None
        world = self.world
        with world.lock:
            world.clock.offset_seconds = kept.clock_offset_seconds
            for trade in kept.trades:
                world.add(trade)
            # The file's agenda already holds what `add` has just put on it.
            world.agenda.clear()
            for due in sorted(kept.agenda):
                world.schedule(due)
        for delivery in kept.deliveries:
            # What was on its way when the process ended goes out again: at least once, as promised.
            self.queue.put(replace(delivery, state="waiting"), world.switches)

    def save_if_due(self) -> None:
        """Write when something changed and the last writing is a while ago."""
        if self.world.changes != self._saved and time.monotonic() - self._saved_at >= EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        """Write now."""
        with self.world.lock:
            self._saved = self.world.changes
            kept = Kept(
                self.world.clock.offset_seconds,
                list(self.world.trades.values()),
                sorted(self.world.agenda),
                self.queue.open(),
            )
            content: Any = KEPT.dump_python(kept, mode="json")
        self._saved_at = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(self.path.suffix + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
