"""One run: the data, the measurements in turn, the report."""

import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.audit import measure_audit
from benchmarks.desk import browser
from benchmarks.exports import measure_export
from benchmarks.growth import measure_growth
from benchmarks.intake import measure_intake
from benchmarks.live import measure_live
from benchmarks.pages import measure_pages
from benchmarks.report import Row, as_table, save
from benchmarks.rival import measure_rival
from benchmarks.servers import measure_servers
from benchmarks.start import measure_start
from benchmarks.world import build
from withdrawals.models import Item, User


def fill(items: int) -> None:
    """Make the tables and, where there is nothing in them, the data."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    if not Item.objects.exists():
        build(items)


def run(*, items: int, only: set[str], folder: Path) -> str:
    """Measure on the database of the settings; the table, which is also saved in `folder` as JSON and as a chart."""
    fill(items)
    person = User.objects.get(email="agent@desk.example")
    client = browser(person)
    parts: dict[str, Callable[[], list[Row]]] = {
        "pages": lambda: measure_pages(client, person),
        "growth": measure_growth,
        "intake": lambda: measure_intake(person),
        "rival": lambda: measure_rival(folder),
        "live": lambda: measure_live(person),
        "export": lambda: measure_export(person),
        "start": lambda: measure_start(folder),
        "servers": measure_servers,
        "audit": lambda: measure_audit(person),
    }
    rows = []
    for name, measure in parts.items():
        if not only or name in only:
            sys.stderr.write(f"measuring {name} ...\n")
            rows += measure()
    database = connection.vendor
    save(rows, database=database, items=items, folder=folder)
    return as_table(rows, database=f"{database}, {items:,} items") + "\n"
