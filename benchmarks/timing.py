"""Timing side by side: every contestant once in each round, so that a noisy moment hits them all."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """What one contestant took, milliseconds."""

    p50: float
    p99: float
    rounds: int


def race(
    contestants: Mapping[str, Call],
    *,
    seconds: float = 8.0,
    most_rounds: int = 60,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Figure]:
    """Run all of them in turn until the time is used up, at least three rounds after one to warm up.

    `clock` is what is counted: the time on the wall, or this process's own, where neighbours must not be.
    """
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for call in contestants.values():
        call()
    ends_at = time.monotonic() + seconds
    gc.collect()
    while len(next(iter(took.values()))) < 3 or (
        time.monotonic() < ends_at and len(next(iter(took.values()))) < most_rounds
    ):
        for name, call in contestants.items():
            started = clock()
            call()
            took[name].append((clock() - started) * 1_000)
    return {name: figure(times) for name, times in took.items()}


def figure(times: list[float]) -> Figure:
    """Median and 99th percentile of some milliseconds."""
    ordered = sorted(times)
    return Figure(statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], len(ordered))
