"""Racing: the same thing done by several threads at one instant, each with a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connections


def race[Outcome](contenders: int, act: Callable[[int], Outcome]) -> list[Outcome | Exception]:
    """What came of `act(n)` for each contender; all start together. An exception is an outcome."""
    start = Barrier(contenders)

    def run(number: int) -> Outcome | Exception:
        try:
            start.wait(timeout=30)
            return act(number)
        except Exception as error:  # the loser's exception is what the test asks about
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(contenders) as pool:
        return list(pool.map(run, range(contenders)))
