"""Turns at the database: whoever has the turn does all that waits in its process, in one transaction."""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from django.db import OperationalError, connection, transaction

log = logging.getLogger(__name__)

# How often whoever waits for the turn of another process looks: all wait for as long as it goes unnoticed.
LOOK_EVERY_MICROSECONDS = 250
# How long a thread waits for others of its process on PostgreSQL; on SQLite as long as for the write lock.
PATIENCE_SECONDS = 5
# For how long a transaction takes in what has come to wait: an approval waits behind it, and answers in time.
TOGETHER_MS = 100
_local = threading.local()


class Apart(Exception):
    """What was to be done together cannot be: each is done by itself then."""


@dataclass(eq=False)
class _Wish[Wanted, Result]:
    """What one thread wants done, and what came of it: a result that is committed, or an error and no effect."""

    wanted: Wanted
    subject: str
    result: Result | None = None
    error: Exception | None = None
    is_over: bool = False
    # Tried together with others, without any effect.
    is_apart: bool = False

    def end(self, result: Result | None = None, error: Exception | None = None) -> None:
        self.result, self.error, self.is_over = result, error, True

    def outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        return cast(Result, self.result)


class _Line[Wanted, Result]:
    """The threads of this process that want something done; one of them leads."""

    def __init__(self) -> None:
        self._gate = threading.Condition()
        self._waiting: deque[_Wish[Wanted, Result]] = deque()
        self.has_leader = False

    def join(self, wish: _Wish[Wanted, Result], patience: float) -> bool:
        """Wait until the wish is over, or has to be done apart, or this thread leads, which is the answer.

        None of it after this long: nobody does it any more, and the thread has to go by itself. Raises OperationalError
        where somebody is doing it and does not come to an end: it may be done then, or not.
        """
        with self._gate:
            self._waiting.append(wish)
            self._gate.wait_for(lambda: wish not in self._waiting or not self.has_leader, patience)
            if wish in self._waiting:
                self._waiting.remove(wish)
                leads, self.has_leader = not self.has_leader, True
                return leads
            if not self._gate.wait_for(lambda: wish.is_over or wish.is_apart, patience):
                raise OperationalError("Whoever had the turn has not come back from it.")
            return False

    def take(self, *own: _Wish[Wanted, Result]) -> list[_Wish[Wanted, Result]]:
        """For the leader: its own, where given, and what else waits; of each subject the first in the line."""
        with self._gate:
            found = {wish.subject: wish for wish in own}
            for wish in self._waiting:
                found.setdefault(wish.subject, wish)
            for wish in found.values():
                if wish in self._waiting:
                    self._waiting.remove(wish)
            return list(found.values())

    def dissolve(self) -> None:
        """For the leader: let somebody else lead, and see who is done."""
        with self._gate:
            self.has_leader = False
            self._gate.notify_all()


class Turns[Wanted, Result]:
    """Work that several threads have at once, done together by one of them.

    `together` gets what is wanted, of one thread or of several, within a transaction, and returns a result for each. It
    waits for nobody for long and may raise, for whatever reason: nothing is written then, and each thread has its own
    done `alone`, in a transaction of its own.
    """

    def __init__(
        self, together: Callable[[Sequence[Wanted]], Sequence[Result]], *, alone: Callable[[Wanted], Result]
    ) -> None:
        self._together, self._alone = together, alone
        self.line: _Line[Wanted, Result] = _Line()

    def do(self, wanted: Wanted, *, subject: str) -> Result:
        """The result, once the transaction in which it was made is committed.

        Who leads does what the other threads want too, and commits once: so it may be done on another thread, and twice
        where it failed together with others. Two about one subject are never done together.

        On SQLite callers take turns over all processes of the machine. SQLite has whoever finds its lock taken sleep,
        longer each time and up to a tenth of a second, while those who come later pass by: with eight callers at
        once some waited for more than a second. Whoever does not get a turn within the usual patience tries
        without one, and is told what everybody is told.
        """
        if connection.in_atomic_block:
            with transaction.atomic():
                return self._alone(wanted)
        patience = _patience()
        gives_up_at = time.monotonic() + patience
        wish: _Wish[Wanted, Result] = _Wish(wanted, subject)
        # Before the turn: where no file can be made nobody may keep it.
        queue = _queue()
        if self.line.join(wish, patience):
            try:
                with _turn(queue, gives_up_at):
                    self._lead(wish)
            finally:
                self.line.dissolve()
        if wish.is_over:
            return wish.outcome()
        with _turn(queue, gives_up_at), transaction.atomic():
            return self._alone(wanted)

    def _lead(self, own: _Wish[Wanted, Result]) -> None:
        group: list[_Wish[Wanted, Result]] = []
        results: list[Result] = []
        until = time.monotonic() + TOGETHER_MS / 1_000
        try:
            with transaction.atomic():
                # Taken from the line only now: whoever waits for SQLite's write lock still can give up.
                some = self.line.take(own)
                while some:
                    group += some
                    results += self._together([each.wanted for each in some])
                    # More in the same transaction only where it can wait for nobody, whatever it has locked by now.
                    goes_on = connection.vendor == "sqlite" and time.monotonic() < until
                    some = self.line.take() if goes_on else []
        except Exception as error:
            if not group:
                # It has waited for the database as long as anybody may.
                raise
            if len(group) > 1:
                log.info("%d things are done one by one, not together: %s", len(group), error)
            for each in group:
                each.is_apart = True
        else:
            for each, result in zip(group, results, strict=True):
                each.end(result)
        finally:
            for each in group:
                if not (each.is_over or each.is_apart):
                    each.end(error=OperationalError("Whoever had the turn was stopped in it."))


def _patience() -> float:
    """For how many seconds a thread waits for the others of its process: as long as for SQLite's write lock."""
    given: float = connection.settings_dict["OPTIONS"].get("timeout", PATIENCE_SECONDS)
    return given


@contextmanager
def _turn(queue: IO[bytes] | None, gives_up_at: float) -> Iterator[None]:
    """The turn of this process, where there is a queue; without one after that moment."""
    has_turn = False
    try:
        while queue and not (has_turn := _take_turn(queue)) and time.monotonic() < gives_up_at:
            time.sleep(LOOK_EVERY_MICROSECONDS / 1_000_000)
        yield
    finally:
        if queue and has_turn:
            fcntl.flock(queue, fcntl.LOCK_UN)


def _queue() -> IO[bytes] | None:
    """On SQLite this thread's own handle on the empty file beside the database: a lock on it belongs to the handle."""
    if connection.vendor != "sqlite":
        return None
    name = f"{connection.settings_dict['NAME']}-turn"
    kept: tuple[str, int, IO[bytes]] | None = getattr(_local, "queue", None)
    if kept is None or kept[:2] != (name, os.getpid()):
        kept = _local.queue = (name, os.getpid(), Path(name).open("ab"))  # noqa: SIM115 # kept with the thread
    return kept[2]


def _take_turn(queue: IO[bytes]) -> bool:
    try:
        fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
