"""What is usual, from our own history; silent where there is too little of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FEWEST_CASES = 30
LOOKED_AT = 500
Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Usual:
    """Nine of ten took no longer than `within`, of the last `cases`."""

    within: timedelta
    cases: int


def lengths(spans: Iterable[Span]) -> list[timedelta]:
    """How long each span took, shortest first; what has no beginning or no end is left out, and none is negative."""
    return sorted(max(end - start, timedelta(0)) for start, end in spans if start and end)


def usual(spans: Iterable[Span]) -> Usual | None:
    """What is usual of these, or None below 30 cases."""
    took = lengths(spans)
    return Usual(percentile(took, 90), len(took)) if len(took) >= FEWEST_CASES else None


def percentile(took: Sequence[timedelta], percent: int) -> timedelta:
    """The length that `percent` of a hundred of the sorted `took` do not exceed; nothing takes no time."""
    return took[min(len(took) - 1, percent * len(took) // 100)] if took else timedelta(0)
