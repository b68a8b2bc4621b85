"""Striking in the middle of a walk: at a named point this process dies, or somebody else acts first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.faults.kills import find


class Killed(BaseException):
    """As kill -9, for a walk inside of the test's own process: no `except Exception` of ours sees it.

    Transactions that are open at that moment are rolled back, as the database does for a process that is gone.
    """


def die() -> None:
    """What a walk does no more after this."""
    raise Killed


@contextmanager
def struck(name: str, *, after: bool, deed: Callable[[], object]) -> Iterator[None]:
    """Do `deed` when a walk first comes to the point, before or after what is named."""
    owner, attribute = find(name)
    kept = vars(owner)[attribute]
    called = kept.__func__ if isinstance(kept, staticmethod) else kept
    waiting = [deed]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if waiting and not after:
            waiting.pop()()
        given = called(*args, **kwargs)
        if waiting:
            waiting.pop()()
        return given

    with mock.patch.object(
        owner, attribute, staticmethod(interrupted) if isinstance(kept, staticmethod) else interrupted
    ):
        yield
