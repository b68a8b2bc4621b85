"""The log: what an entry adds to its transaction, and how long the whole chain takes to verify."""

import threading
import time

from django.db import connection, transaction
from django.utils import timezone

from benchmarks.report import Row
from benchmarks.timing import Figure, figure
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import AuditEntry, Item, Source, User
from withdrawals.models.audit_chain import verify_chain

APPENDS = 300
WRITERS, APPENDS_OF_EACH = 8, 50


def measure_audit(person: User) -> list[Row]:
    """Append and verify."""
    item = Item.objects.select_related("trade").order_by("pk").first()
    assert item is not None  # noqa: S101 # the data is there
    took = []
    origin = Origin(Source.SCREEN, actor=person)
    for number in range(APPENDS):
        with transaction.atomic():
            # The transaction has its write lock by now, as that of any action has when it comes to its entry.
            Item.objects.filter(pk=item.pk).update(position=item.position)
            started = time.perf_counter()
            record([Fact("item.changed", item=item, after={"status": str(number)})], origin=origin, now=timezone.now())
            took.append((time.perf_counter() - started) * 1_000)
    append = figure(took)
    queued, waits = _under_writers(person)
    started = time.perf_counter()
    verified = verify_chain()
    seconds = time.perf_counter() - started
    if verified.problem:
        raise RuntimeError(verified.problem)
    entries = AuditEntry.objects.count()
    return [
        Row("audit: one entry adds", append.p50, "ms", 1, detail=f"p99 {append.p99:.2f} ms, {APPENDS} times"),
        Row(
            f"audit: one entry under {WRITERS} writers",
            queued,
            "ms",
            detail=f"the head's lock is held no longer; transaction p50 {waits.p50:.1f} ms, p99 {waits.p99:.1f} ms",
        ),
        Row("audit: verify", seconds * 1_000_000 / entries, "s a million", 60, detail=f"{entries:,} entries"),
    ]


def _under_writers(person: User) -> tuple[float, Figure]:
    """Milliseconds for each entry while several write at once, each at an item of its own, and how long each took."""
    items = list(Item.objects.select_related("trade").order_by("pk")[:WRITERS])
    took: list[float] = []
    origin = Origin(Source.SCREEN, actor=person)

    def write(item: Item) -> None:
        for number in range(APPENDS_OF_EACH):
            started = time.perf_counter()
            with transaction.atomic():
                Item.objects.filter(pk=item.pk).update(position=item.position)
                record(
                    [Fact("item.changed", item=item, after={"status": str(number)})], origin=origin, now=timezone.now()
                )
            took.append((time.perf_counter() - started) * 1_000)
        connection.close()

    threads = [threading.Thread(target=write, args=(item,)) for item in items]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - started) * 1_000 / len(took), figure(took)
