"""A hundred thousand rows as CSV: when the first byte comes, and what it takes of memory."""

import resource
import time

from benchmarks.desk import browser
from benchmarks.report import Row
from withdrawals.models import Item, User

# As many as the export's own bound; a smaller table gives what it has.
WANTED = 100_000


def measure_export(person: User) -> list[Row]:
    """Stream the list of all items until so many rows have come."""
    client = browser(person)
    warm = client.get("/items/export.csv", {"tab": "open"})
    b"".join(warm.streaming_content)  # type: ignore[attr-defined] # it streams
    before = _peak_mib()
    started = time.perf_counter()
    response = client.get("/items/export.csv", {"tab": "all"})
    parts = iter(response.streaming_content)  # type: ignore[attr-defined] # it streams
    lines = next(parts).count(b"\n")
    first_ms = (time.perf_counter() - started) * 1_000
    early = 0.0
    for part in parts:
        lines += part.count(b"\n")
        early = early or (_peak_mib() if lines > 1_000 else 0.0)
        if lines > WANTED:
            break
    response.close()
    took = time.perf_counter() - started
    detail = f"{lines:,} lines in {took:.1f} s, of {Item.objects.count():,}"
    return [
        Row("export: first byte", first_ms, "ms", 200, detail=detail),
        Row(
            "export: memory after 1,000 rows",
            _peak_mib() - (early or before),
            "MiB more",
            8,
            detail="peak of the process",
        ),
    ]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
