"""Several threads that want something at one instant, in a known order: see `withdrawals.models.turns`."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any
from unittest import mock

from withdrawals.models.turns import Turns, _Wish


def all_at_once[Result](turns: Turns[Any, Any], works: Sequence[Callable[[], Result]]) -> list[Future[Result]]:
    """Each on a thread of its own, all of which stand in line, in this order, before the first is done."""
    go, lead = Event(), turns._lead

    def lead_later(wish: Any) -> None:
        go.wait(30)
        lead(wish)

    with ThreadPoolExecutor(len(works)) as threads, mock.patch.object(turns, "_lead", lead_later):
        found = []
        for work in works:
            waiting = turns.line.has_leader + len(turns.line._waiting)
            found.append(threads.submit(work))
            while turns.line.has_leader + len(turns.line._waiting) == waiting and not found[-1].done():
                time.sleep(0.001)  # between two looks at the line
        go.set()
    return found


def in_one_thread[Wanted, Result](turns: Turns[Wanted, Result], wanted: Sequence[tuple[Wanted, str]]) -> list[Result]:
    """The same in a transaction of the caller's, which no other thread could see; given with what each is about."""
    wishes = [_Wish[Wanted, Result](each, subject) for each, subject in wanted]
    left = list(wishes)
    while left:
        turns.line._waiting.extend(left[1:])
        turns._lead(left[0])
        turns.line._waiting.clear()
        left = [wish for wish in left if not (wish.is_over or wish.is_apart)]
    return [wish.outcome() if wish.is_over else turns.do(wish.wanted, subject=wish.subject) for wish in wishes]
