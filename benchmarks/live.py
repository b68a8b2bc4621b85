"""A hundred screens with the items list open: what they cost while nothing changes, and while something does."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from benchmarks.desk import browser
from benchmarks.intake import serve
from benchmarks.report import Row
from withdrawals.models import Cancellation, CancellationState, Item, User

AGENTS, ROWS, SECONDS = 100, 50, 20.0
# As static/js/live.js asks.
EVERY_SECONDS = 4.0
TICKS = os.sysconf("SC_CLK_TCK")


def measure_live(person: User) -> list[Row]:
    """Share of one core that the web processes use, by how often a row of the page changes."""
    items = list(Item.objects.filter(cancellations=None).order_by("-opened_at")[:ROWS].values_list("pk", flat=True))
    sessions = [browser(person).cookies[settings.SESSION_COOKIE_NAME].value for _ in range(AGENTS)]
    connection.close()
    rows = []
    with serve("assetpay_admin.wsgi") as server:
        # Workers that only now begin would be counted.
        for number, session in enumerate(sessions[:20]):
            _screen(server.port, session, items, time.monotonic() + 0.1 + EVERY_SECONDS * number / AGENTS, number, [])
        for name, every, goal in (
            ("nothing changes", 0.0, 10),
            ("one change in 5 s", 5.0, 15),
            ("2 a second", 0.5, 30),
        ):
            answers: list[bool] = []
            used = _cpu_seconds(server.pid)
            started, ends_at = time.monotonic(), time.monotonic() + SECONDS
            screens = [
                threading.Thread(target=_screen, args=(server.port, session, items, ends_at, number, answers))
                for number, session in enumerate(sessions)
            ]
            for screen in screens:
                screen.start()
            _change(person, items, every, ends_at)
            for screen in screens:
                screen.join()
            took = time.monotonic() - started
            share = 100 * (_cpu_seconds(server.pid) - used) / took
            detail = f"{len(answers) / took:.0f} questions a second, {answers.count(False)} refused"
            rows.append(Row(f"100 agents, {name}", share, "% of a core", goal, detail=detail))
    return rows


def _screen(port: int, session: str, items: list[int], ends_at: float, number: int, answers: list[bool]) -> None:
    """One browser: asks which rows are current, and for each that is not, the row."""
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}", "Host": "localhost", "HX-Request": "true"}
    address = f"/live/items/?ids={','.join(map(str, items))}"
    known: dict[str, str] = {}
    time.sleep(EVERY_SECONDS * number / AGENTS)
    while time.monotonic() < ends_at:
        next_at = time.monotonic() + EVERY_SECONDS
        caller = HTTPConnection("127.0.0.1", port, timeout=30)
        caller.request("GET", address, headers=headers)
        response = caller.getresponse()
        body = response.read()
        answers.append(response.status == 200)
        told = {key: row["version"] for key, row in _rows(body)} if response.status == 200 else known
        for key in [key for key, version in told.items() if known.get(key, version) != version]:
            caller.request("GET", f"/items/{key}/row/", headers=headers)
            answers.append(caller.getresponse().read() != b"")
        known = told
        caller.close()
        time.sleep(max(0.0, next_at - time.monotonic()))


def _rows(body: bytes) -> Iterator[tuple[str, dict[str, str]]]:

    told = json.loads(body)
    yield from ((key, row) for key, row in told.items() if isinstance(row, dict) and "version" in row)


def _change(person: User, items: list[int], every: float, ends_at: float) -> None:
    number = 0
    while every and time.monotonic() < ends_at - every:
        time.sleep(every)
        now, item = timezone.now(), items[number % len(items)]
        asked = Cancellation.objects.filter(item=item).first()
        if asked is None:
            Cancellation.objects.create(
                item_id=item, number=1, state=CancellationState.CONFIRMED, reason="benchmark", requested_by=person,
                requested_at=now, changed_at=now, send_from=now, ended_at=now,
            )  # fmt: skip
        else:
            Cancellation.objects.filter(pk=asked.pk).update(changed_at=now)
        number += 1


def _cpu_seconds(pid: int) -> float:
    """What a process and its children have used so far."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == pid or int(words[1]) == pid:
            total += int(words[11]) + int(words[12])
    return total / TICKS
