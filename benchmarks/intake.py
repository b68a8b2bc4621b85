"""The callback door under load: how many a second, and how long each waits, beside the floor under the same server."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

import simplejson
from django.conf import settings
from django.db import connection

from benchmarks.desk import browser
from benchmarks.report import Row
from benchmarks.timing import Figure, figure
from withdrawals.assetpay.signature import sign
from withdrawals.models import User

ROUNDS, SECONDS = 3, 4.0
WIDTHS = (1, 8, 32)
ITEMS = 3
PACE, PACED_SECONDS, PAGING_AGENTS, WARMING_SECONDS = 50, 20.0, 5, 1.0
WAITING, DRAINING_AT_MOST_SECONDS = 10_000, 900
START_AT_MOST_SECONDS = 60
STATUSES = ("initiated", "pending", "active", "completed")


@dataclass(frozen=True)
class Load:
    """What one server did under `width` connections."""

    per_second: float
    wait: Figure
    refused: int


def measure_intake(person: User) -> list[Row]:
    """Ours and the floor, in turn, at 1, 8 and 32 connections; each connection is kept open.

    Then beside agents, and with ten thousand that wait.
    """
    with serve("assetpay_admin.wsgi") as ours, serve("benchmarks.floor_app:application") as floor:
        loads = {}
        for width in WIDTHS:
            mine, least = _race(ours.port, floor.port, width)
            loads[width] = (mine, least)
    mine, least = loads[8]
    refused = sum(load.refused for pair in loads.values() for load in pair)
    rows = [
        Row(
            "intake / floor, 8 connections",
            100 * mine.per_second / least.per_second,
            "%",
            25,
            at_least=True,
            detail=f"{mine.per_second:,.0f} and {least.per_second:,.0f} a second; aim 40 %",
        ),
        Row("intake refused", refused, "answers", 0, detail="at 1, 8 and 32 connections"),
        Row(
            "intake p99 / p50, 8 connections",
            mine.wait.p99 / mine.wait.p50,
            "x",
            4 if connection.vendor == "sqlite" else None,
            detail=f"p50 {mine.wait.p50:.0f} ms, p99 {mine.wait.p99:.0f} ms",
        ),
    ]
    for width, (load, _) in loads.items():
        rows.append(
            Row(f"intake, {width} connections", load.per_second, "a second", detail=f"p99 {load.wait.p99:.0f} ms")
        )
    return [*rows, *_beside_agents(person), *_drain()]


def _drain() -> list[Row]:
    """What has waited while the desk was away, all at once; what is refused comes again, as AssetPay sends it again."""
    waiting: SimpleQueue[Post] = SimpleQueue()
    for post in islice(callbacks(), WAITING):
        waiting.put(post)
    connection.close()
    with serve("assetpay_admin.wsgi") as server:
        ends_at = time.monotonic() + DRAINING_AT_MOST_SECONDS
        waits: list[float] = []
        refused = [0]
        started = time.monotonic()
        _together(8, _drain_one, server.port, ends_at, waiting, waits, refused)
        took = time.monotonic() - started
    if not waiting.empty():
        raise RuntimeError(f"{waiting.qsize()} callbacks still wait after {took:.0f} s.")
    detail = f"{WAITING / took:.0f} a second over 8 connections, p99 {figure(waits).p99:.0f} ms"
    return [
        Row(f"{WAITING:,} waiting callbacks drained", took, "s", 120, detail=detail),
        Row("refused while draining", refused[0], "answers", 0, detail="and sent again"),
    ]


def _drain_one(port: int, ends_at: float, waiting: "SimpleQueue[Post]", waits: list[float], refused: list[int]) -> None:
    caller = HTTPConnection("127.0.0.1", port, timeout=30)
    while time.monotonic() < ends_at:
        try:
            post = waiting.get_nowait()
        except Empty:
            break
        status, wait = _send_one(caller, post)
        waits.append(wait)
        if status != 200:
            refused[0] += 1
            waiting.put(post)
    caller.close()


def _beside_agents(person: User) -> list[Row]:
    """A busy merchant's pace while agents turn pages of the lists."""
    sessions = [browser(person).cookies[settings.SESSION_COOKIE_NAME].value for _ in range(PAGING_AGENTS)]
    connection.close()
    pages: list[float] = []
    with serve("assetpay_admin.wsgi") as server:
        # A process that only now begins compiles and prepares what the others have ready.
        drive(server.port, 8, WARMING_SECONDS)
        for session in sessions:
            _turn_pages(server.port, session, time.monotonic() + WARMING_SECONDS, [])
        ends_at = time.monotonic() + PACED_SECONDS
        agents = [
            threading.Thread(target=_turn_pages, args=(server.port, session, ends_at, pages)) for session in sessions
        ]
        for agent in agents:
            agent.start()
        load = drive(server.port, 8, PACED_SECONDS, per_second=PACE)
        for agent in agents:
            agent.join()
    detail = f"{load.per_second:.0f} a second, p50 {load.wait.p50:.0f} ms; pages p50 {figure(pages).p50:.0f} ms"
    return [
        Row(f"intake at {PACE} a second beside {PAGING_AGENTS} agents, p99", load.wait.p99, "ms", 250, detail=detail),
        Row("intake refused beside agents", load.refused, "answers", 0),
    ]


def _turn_pages(port: int, session: str, ends_at: float, took: list[float]) -> None:
    """One agent: a page each half second, on to the next one."""
    address = "/items/?tab=all"
    while time.monotonic() < ends_at:
        caller = HTTPConnection("127.0.0.1", port, timeout=30)
        started = time.perf_counter()
        caller.request(
            "GET", address, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}", "Host": "localhost"}
        )
        body = caller.getresponse().read().decode()
        took.append((time.perf_counter() - started) * 1_000)
        caller.close()
        following = re.search(r'rel="next" href="([^"]+)"', body)
        address = "/items/" + unescape(following[1]) if following else "/items/?tab=all"
        time.sleep(0.5)


def _race(ours: int, floor: int, width: int) -> tuple[Load, Load]:
    found: dict[int, list[Load]] = {ours: [], floor: []}
    for _ in range(ROUNDS):
        for port in (ours, floor):
            found[port].append(drive(port, width, SECONDS))
    best = [max(loads, key=lambda load: load.per_second) for loads in found.values()]
    return best[0], best[1]


@dataclass(frozen=True)
class Server:
    """A web server that runs: where, and the process that the others are children of."""

    port: int
    pid: int


def procfile() -> str:
    """The line of the Procfile that serves the desk."""
    web = next(line for line in Path("Procfile").read_text().splitlines() if line.startswith("web:"))
    return web.removeprefix("web: ")


@contextmanager
def serve(application: str, *, like: str = "", programs: Path = Path(sys.executable).parent) -> Iterator[Server]:
    """gunicorn as in the Procfile, or as the command line `like`, on a free port, until the block ends.

    `programs` is the folder of the Python that has it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = (like or procfile()).replace("assetpay_admin.wsgi", application).replace("$PORT", str(port))
    executable = shutil.which(command.split()[0], path=str(programs)) or command.split()[0]
    arguments = [executable, *(part.strip("'") for part in command.split()[1:])]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
    server = subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603 # our own Procfile
    try:
        _wait_for(port)
        yield Server(port, server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _wait_for(port: int) -> None:
    """Until something is answered: the address is there before the application is."""
    deadline = time.monotonic() + START_AT_MOST_SECONDS
    while time.monotonic() < deadline:
        caller = HTTPConnection("127.0.0.1", port, timeout=START_AT_MOST_SECONDS)
        with suppress(OSError, HTTPException):
            caller.request("GET", "/health/live", headers={"Host": "localhost"})
            caller.getresponse().read()
            return
        time.sleep(0.1)
    raise RuntimeError("The server did not start.")


@dataclass(frozen=True)
class Post:
    """One call: where, what, and with which headers."""

    path: str
    body: bytes
    headers: dict[str, str]


def callbacks() -> Iterator[Post]:
    """News, as AssetPay's copies come."""
    for body, signature in news():
        headers = {"X-AssetPay-Signature": signature, "X-Callback-Copy": "1", "Host": "localhost"}
        yield Post("/callbacks/assetpay/", body, headers)


def drive(
    port: int,
    width: int,
    seconds: float,
    *,
    per_second: float = 0,
    posts: Callable[[], Iterator[Post]] = callbacks,
) -> Load:
    """Send over `width` kept connections for `seconds`; at a pace where one is given, else flat out."""
    waits: list[float] = []
    refused = [0]
    ends_at = time.monotonic() + seconds
    started = time.monotonic()
    _together(width, _send, port, ends_at, waits, refused, per_second / width, posts)
    took = time.monotonic() - started
    return Load(len(waits) / took, figure(waits), refused[0])


def _together(width: int, act: Callable[..., None], *given: object) -> None:
    threads = [threading.Thread(target=act, args=given) for _ in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send_one(caller: HTTPConnection, post: Post) -> tuple[int, float]:
    """The status answered, 0 where nothing was, and the milliseconds waited for it."""
    started, status = time.perf_counter(), 0
    try:
        caller.request("POST", post.path, post.body, post.headers)
        response = caller.getresponse()
        response.read()
        status = response.status
    except (OSError, HTTPException):
        caller.close()
    return status, (time.perf_counter() - started) * 1_000


def _send(
    port: int,
    ends_at: float,
    waits: list[float],
    refused: list[int],
    per_second: float,
    posts: Callable[[], Iterator[Post]],
) -> None:
    caller = HTTPConnection("127.0.0.1", port, timeout=30)
    calls = posts()
    next_at = time.monotonic()
    while time.monotonic() < ends_at:
        status, wait = _send_one(caller, next(calls))
        waits.append(wait)
        refused[0] += status != 200
        if per_second:
            next_at += 1 / per_second
            time.sleep(max(0.0, next_at - time.monotonic()))
    caller.close()


def news() -> Iterator[tuple[bytes, str]]:
    """Withdrawals of three items that go through four statuses, each a signed body."""
    secret = settings.ASSETPAY_API_SECRETS[0].encode()
    while True:
        trade_id = uuid.uuid4().hex[:24]
        opened_at = datetime.now(UTC) - timedelta(hours=1)
        for number, status in enumerate(STATUSES):
            trade = _trade(trade_id, status, opened_at, opened_at + timedelta(minutes=number))
            body = simplejson.dumps({"trade": trade}, use_decimal=True).encode()
            yield body, sign(body, secret, uuid.uuid4().hex, _stamp(datetime.now(UTC)))


def _trade(trade_id: str, status: str, opened_at: datetime, updated_at: datetime) -> dict[str, object]:
    items = [
        {
            "id": f"{trade_id}{number}",
            "appid": 730,
            "tradable": True,
            "status": status,
            "marketHashName": "AK-47 | Redline (Field-Tested)",
            "offer": {"price": 12.5},
        }
        for number in range(ITEMS)
    ]
    return {
        "id": trade_id,
        "type": "withdraw",
        "source": "client",
        "status": status if status != "initiated" else "pending",
        "game": "730",
        "merchantId": "merchant-of-the-benchmarks",
        "clientUserId": "user-1",
        "clientTradeUrl": "https://steamcommunity.com/tradeoffer/new/?partner=39734273&token=AbCdEfGh",
        "clientSteamID": "76561198000000001",
        "items": items,
        "totalPrice": 37.5,
        "createdAt": _stamp(opened_at),
        "updatedAt": _stamp(updated_at),
    }


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
