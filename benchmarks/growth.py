"""How the items list grows: the same pages in turn on this database and on one of 10,000 items beside it.

Run as a program it measures the database of DATABASE_URL, which it fills where it is empty, and prints milliseconds.
"""

import json
import os
import subprocess
import sys
import time
from urllib.parse import urlparse

import psycopg

from benchmarks.report import Row

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

FEW, ROUNDS, SECONDS = 10_000, 3, 4.0
SMALL = "desk_small"


def measure_growth() -> list[Row]:
    """Each page at the size of this database, by what it takes at 10,000 items; the best of some rounds."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for address in (small_database(), os.environ["DATABASE_URL"]):
            for page, took in _asked(address).items():
                known = best.setdefault(page, {})
                known[address] = min(took, known.get(address, took))
    rows = []
    for page, (few, many) in ((page, tuple(known.values())) for page, known in best.items()):
        detail = f"{many:.2f} ms, {few:.2f} ms at {FEW:,} items"
        rows.append(Row(f"{page}, grown since {FEW:,} items", many / few, "x", 1.2, detail=detail))
    return rows


def small_database() -> str:
    """The address of a database of its own, on the same disk or the same server."""
    address = urlparse(os.environ["DATABASE_URL"])
    if address.scheme == "sqlite":
        return f"{os.environ['DATABASE_URL']}.{SMALL}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [SMALL]).fetchall():
            server.execute(f"CREATE DATABASE {SMALL}")
    return address._replace(path=f"/{SMALL}").geturl()


def _asked(address: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.growth"]
    told = subprocess.run(command, env=os.environ | {"DATABASE_URL": address}, stdout=subprocess.PIPE, check=True)  # noqa: S603 # our own
    found: dict[str, float] = json.loads(told.stdout)
    return found


def main() -> None:
    """Fill, measure, print."""
    import django  # noqa: PLC0415 # settings come first

    django.setup()

    from benchmarks.desk import browser, page  # noqa: PLC0415 # as above
    from benchmarks.pages import deep_cursor  # noqa: PLC0415
    from benchmarks.run import fill  # noqa: PLC0415
    from benchmarks.timing import race  # noqa: PLC0415
    from withdrawals.models import User  # noqa: PLC0415
    from withdrawals.views.kept_pages import PAGES  # noqa: PLC0415

    fill(FEW)
    client, deep = browser(User.objects.get(email="agent@desk.example")), deep_cursor()
    pages = {
        "items list": lambda: page(client, "/items/", tab="all"),
        "items list, something changed": lambda: (PAGES.clear(), page(client, "/items/", tab="all")),
        "deep page": lambda: page(client, "/items/", tab="all", cursor=deep),
    }
    took = race(pages, seconds=SECONDS, most_rounds=200, clock=time.process_time)
    sys.stdout.write(json.dumps({name: figure.p50 for name, figure in took.items()}))


if __name__ == "__main__":
    main()
