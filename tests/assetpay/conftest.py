"""What the wire tests look at besides the answer."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import stamina


@pytest.fixture(autouse=True)
def _no_waiting_between_attempts():
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def timers() -> Callable[[], list[threading.Thread]]:
    return lambda: [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


@pytest.fixture
def open_descriptors() -> Callable[[], set[tuple[str, str]]]:
    def look() -> set[tuple[str, str]]:
        found = set()
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the look's own
                found.add((each.name, str(each.readlink())))
        return found

    return look
