"""The log: what an entry adds to its transaction, and how long the whole chain takes to verify."""

import time

from django.db import transaction
from django.utils import timezone

from benchmarks.report import Row
from benchmarks.timing import figure
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import AuditEntry, Item, Source, User
from withdrawals.models.audit_chain import verify_chain

APPENDS = 300


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
    started = time.perf_counter()
    verified = verify_chain()
    seconds = time.perf_counter() - started
    if verified.problem:
        raise RuntimeError(verified.problem)
    entries = AuditEntry.objects.count()
    return [
        Row("audit: one entry adds", append.p50, "ms", 1, detail=f"p99 {append.p99:.2f} ms, {APPENDS} times"),
        Row("audit: verify", seconds * 1_000_000 / entries, "s a million", 60, detail=f"{entries:,} entries"),
    ]
