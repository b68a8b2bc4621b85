"""Waiting for the database: a transaction that would rather fail than wait, and one that waits its turn."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.db import connection, transaction

# How often whoever waits for their turn looks: a write takes some milliseconds.
LOOK_EVERY_MS = 1
_local = threading.local()
_of_this_process = threading.Lock()


@contextmanager
def brief_transaction(wait_ms: int) -> Iterator[None]:
    """A transaction of which no statement waits longer than this many milliseconds; then OperationalError.

    Only for this transaction: the connection goes on to serve pages, which may wait longer. On SQLite all the waiting
    is for the write lock, which BEGIN takes; on PostgreSQL it is for any lock, and for the statement itself.
    """
    if connection.vendor == "sqlite":
        with _busy_timeout(wait_ms), transaction.atomic():
            yield
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    [str(wait_ms), str(wait_ms)],
                )
            yield


@contextmanager
def transaction_in_turn() -> Iterator[None]:
    """A transaction; on SQLite the callers of this take turns, over all threads and processes of the machine.

    SQLite has whoever finds its lock taken sleep, longer each time and up to a tenth of a second, while those who come
    later pass by: with eight callers at once some waited for more than a second.
    Whoever does not get a turn within the usual patience tries without one, and is told what everybody is told.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    # Before the lock: where no file can be made nobody may keep it.
    queue = _queue(f"{connection.settings_dict['NAME']}-turn")
    gives_up_at = time.monotonic() + connection.settings_dict["OPTIONS"]["timeout"]
    # First among the threads of this process: one that only waits does not take the processor from whoever writes.
    leads = _of_this_process.acquire(timeout=connection.settings_dict["OPTIONS"]["timeout"])
    has_turn = False
    try:
        while leads and not (has_turn := _take_turn(queue)) and time.monotonic() < gives_up_at:
            time.sleep(LOOK_EVERY_MS / 1_000)
        with transaction.atomic():
            yield
    finally:
        if has_turn:
            fcntl.flock(queue, fcntl.LOCK_UN)
        if leads:
            _of_this_process.release()


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


@contextmanager
def _busy_timeout(wait_ms: int) -> Iterator[None]:
    usual_ms = round(1_000 * connection.settings_dict["OPTIONS"]["timeout"])
    _set_busy_timeout(wait_ms)
    try:
        yield
    finally:
        _set_busy_timeout(usual_ms)


def _set_busy_timeout(wait_ms: int) -> None:
    # A setting of the open connection, not a statement on data.
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.execute(f"PRAGMA busy_timeout={wait_ms}")
