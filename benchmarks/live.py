"""A hundred screens with the items list open: what they cost while nothing changes, and while something does."""

import os
import threading
import time
from collections import Counter
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from benchmarks.desk import browser
from benchmarks.intake import serve
from benchmarks.report import Row
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Item, Source, Status, User
from withdrawals.views.fresh import LOOK_ANYWAY_SECONDS

AGENTS, ROWS = 100, 50
ADDRESS = "/items/?tab=all"
# As static/js/live.js asks.
EVERY_SECONDS = 4.0
# With the last questions as long as each screen takes to be given its page once, whatever happens: a shorter or longer
# look would see that never or twice, by chance.
SECONDS = LOOK_ANYWAY_SECONDS - EVERY_SECONDS
TICKS = os.sysconf("SC_CLK_TCK")


def measure_live(person: User) -> list[Row]:
    """Share of one core that the web processes use, by how often a row of the page changes."""
    items = list(Item.objects.order_by("-opened_at", "-pk")[:ROWS].values_list("pk", flat=True))
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
            answers: list[int] = []
            # Their first pages are no part of what it costs that they stay open.
            ends_at = time.monotonic() + EVERY_SECONDS + SECONDS
            screens = [
                threading.Thread(target=_screen, args=(server.port, session, items, ends_at, number, answers))
                for number, session in enumerate(sessions)
            ]
            for screen in screens:
                screen.start()
            time.sleep(EVERY_SECONDS)
            answers.clear()
            used, started = _cpu_seconds(server.pid), time.monotonic()
            _change(person, items, every, ends_at)
            for screen in screens:
                screen.join()
            took = time.monotonic() - started
            share = 100 * (_cpu_seconds(server.pid) - used) / took
            said = Counter(answers)
            unchanged, pages = said.pop(HTTPStatus.NOT_MODIFIED, 0), said.pop(HTTPStatus.OK, 0)
            detail = f"{len(answers) / took:.0f} a second: {unchanged} unchanged, {pages} pages, {said.total()} refused"
            rows.append(Row(f"100 agents, {name}", share, "% of a core", goal, detail=detail))
    return rows


def _screen(port: int, session: str, items: list[int], ends_at: float, number: int, answers: list[int]) -> None:
    """One browser: its page asks for itself, as static/js/live.js does, over a connection that is kept."""
    headers = {
        "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}",
        "Host": "localhost",
        "HX-Request": "true",
        "HX-Current-URL": f"http://localhost{ADDRESS}",
        "X-Background": "1",
        "X-Live": ",".join(map(str, items)),
    }
    time.sleep(EVERY_SECONDS * number / AGENTS)
    caller = HTTPConnection("127.0.0.1", port, timeout=30)
    while time.monotonic() < ends_at:
        next_at = time.monotonic() + EVERY_SECONDS
        caller.request("GET", ADDRESS, headers=headers)
        response = caller.getresponse()
        response.read()
        answers.append(response.status)
        if response.status == HTTPStatus.OK:
            headers["If-None-Match"] = response.headers["ETag"]
        time.sleep(max(0.0, next_at - time.monotonic()))
    caller.close()


def _change(person: User, items: list[int], every: float, ends_at: float) -> None:
    number = 0
    while every and time.monotonic() < ends_at - every:
        time.sleep(every)
        now, item = timezone.now(), items[number % len(items)]
        with transaction.atomic():
            changed = Item.objects.select_related("trade").get(pk=item)
            status = Status.HOLD if changed.status != Status.HOLD else Status.ACTIVE
            Item.objects.filter(pk=item).update(status=status, status_changed_at=now)
            fact = Fact("item.changed", item=changed, after={"status": status})
            record([fact], origin=Origin(Source.SCREEN, actor=person), now=now)
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
