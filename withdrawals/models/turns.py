"""Turns at SQLite's one write lock: whoever has the turn does all that waits in its process, in one transaction."""

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.db import OperationalError, connection, transaction

# How often whoever waits for the turn of another process looks: a write takes some milliseconds.
LOOK_EVERY_MS = 1
# For how long a transaction takes in what has come to wait: an approval waits behind it, and answers in time.
TOGETHER_MS = 100
_local = threading.local()


@dataclass(eq=False)
class _Wish:
    """What one thread wants done, and what came of it: a result that is committed, or an error and no effect."""

    work: Callable[[], Any]
    # For the log: a line about this work carries its own request.
    context: Context = field(default_factory=copy_context)
    result: Any = None
    error: BaseException | None = None
    is_over: bool = False

    def do(self) -> None:
        self.result = self.context.run(self.work)

    def do_alone(self) -> None:
        try:
            with transaction.atomic():
                self.do()
        except Exception as error:
            self.error = error
        self.is_over = True

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class _Line:
    """The threads of this process that want something done; one of them leads."""

    def __init__(self) -> None:
        self._gate = threading.Condition()
        self._waiting: deque[_Wish] = deque()
        self.has_leader = False

    def join(self, wish: _Wish, patience: float) -> bool:
        """Wait until the wish is over or this thread leads, which is the answer.

        Neither after this long: nobody does it any more, and the thread has to go by itself. Raises OperationalError
        where somebody is doing it and does not come to an end: it may be done then, or not.
        """
        with self._gate:
            self._waiting.append(wish)
            self._gate.wait_for(lambda: wish.is_over or (wish in self._waiting and not self.has_leader), patience)
            if wish in self._waiting:
                self._waiting.remove(wish)
                leads, self.has_leader = not self.has_leader, True
                return leads
            if not self._gate.wait_for(lambda: wish.is_over, patience):
                raise OperationalError("Whoever had the turn has not come back from it.")
            return False

    def next(self) -> _Wish | None:
        """For the leader: what else waits."""
        with self._gate:
            return self._waiting.popleft() if self._waiting else None

    def dissolve(self) -> None:
        """For the leader: let somebody else lead, and see who is done."""
        with self._gate:
            self.has_leader = False
            self._gate.notify_all()


_line = _Line()


def do_in_turn[Result](work: Callable[[], Result]) -> Result:
    """What `work` returns, once the transaction in which it was done is committed.

    On SQLite callers take turns, over all threads and processes of the machine. SQLite has whoever finds its lock taken
    sleep, longer each time and up to a tenth of a second, while those who come later pass by: with eight callers at
    once some waited for more than a second. Who has the turn does what the other threads want too, and commits once:
    so `work` may run on another thread, and twice where a shared transaction failed, for each is then done by itself.
    Whoever does not get a turn within the usual patience tries without one, and is told what everybody is told.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            return work()
    # Before the turn: where no file can be made nobody may keep it.
    queue = _queue(f"{connection.settings_dict['NAME']}-turn")
    patience = connection.settings_dict["OPTIONS"]["timeout"]
    gives_up_at = time.monotonic() + patience
    wish = _Wish(work)
    if _line.join(wish, patience):
        try:
            _lead(wish, queue, gives_up_at)
        finally:
            _line.dissolve()
    elif not wish.is_over:
        wish.do_alone()
    done: Result = wish.outcome()
    return done


def _lead(own: _Wish, queue: IO[bytes], gives_up_at: float) -> None:
    """Wait for the turn of this process, and do what its threads want."""
    has_turn = False
    try:
        while not (has_turn := _take_turn(queue)) and time.monotonic() < gives_up_at:
            time.sleep(LOOK_EVERY_MS / 1_000)
        _do_together(own)
    finally:
        if has_turn:
            fcntl.flock(queue, fcntl.LOCK_UN)


def _do_together(own: _Wish) -> None:
    """In one transaction, or where that fails each in its own."""
    group = [own]
    try:
        with transaction.atomic():
            own.do()
            # Taken from the line only now: whoever waits for the database still can give up.
            until = time.monotonic() + TOGETHER_MS / 1_000
            while time.monotonic() < until and (wish := _line.next()) is not None:
                group.append(wish)
                wish.do()
    except Exception:
        if len(group) == 1:
            raise
        for wish in group:
            wish.do_alone()
    else:
        for wish in group:
            wish.is_over = True
    finally:
        for wish in group:
            if not wish.is_over:
                wish.error, wish.is_over = OperationalError("Whoever had the turn was stopped in it."), True


def _queue(name: str) -> IO[bytes]:
    """This thread's own handle on the empty file beside the database: a lock on it belongs to the handle."""
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
