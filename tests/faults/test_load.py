"""F23, F46 and F49 against the server that is shipped: many at once, a restart in the middle, nobody there."""

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.desk import news, signed
from tests.faults.door import DOOR, moment, tell
from tests.faults.door import runs as sized
from withdrawals.models import Delivery, Item, Verdict

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
SENDERS = 4
PER_SECOND = 50


@dataclass
class Desk:
    """The product under gunicorn with two workers; `master` restarts them on SIGHUP."""

    url: str
    master: subprocess.Popen[str]


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    module = os.environ.get("DESK_SETTINGS", "assetpay_admin.settings")
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": module, "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "gunicorn", "assetpay_admin.wsgi", "--bind", "127.0.0.1:0", "--workers", "2"]
    command += ["--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "12", "--no-control-socket"]
    with Path(os.devnull).open("w") as nowhere:
        master = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=nowhere, stderr=subprocess.PIPE, text=True
        )
    assert master.stderr is not None
    listening = next(found for line in master.stderr if (found := re.search(r"Listening at: (http://\S+)", line)))
    reader = ThreadPoolExecutor(1)
    reader.submit(master.stderr.read)  # so that its pipe never fills
    try:
        # Its workers load the product at the first call; what they take for that is no callback's time.
        for _ in range(4 * SENDERS):
            httpx.get(f"{listening[1]}/health/live", timeout=PATIENCE_SECONDS, trust_env=False)
        yield Desk(listening[1], master)
    finally:
        master.send_signal(signal.SIGTERM)
        master.wait(PATIENCE_SECONDS)
        reader.shutdown()


@dataclass
class Sender:
    """Sends as AssetPay does: the same delivery again until it is answered 2xx."""

    url: str
    # One for all calls, since making one takes longer than a call; each call opens a connection of its own.
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )
    seconds: list[float] = field(default_factory=list)
    answers: Counter[int | str] = field(default_factory=Counter)

    def deliver(self, number: int, *, due_at: float | None = None) -> None:
        """Until answered 2xx. A call that is due at a time waits for it, and is measured from then on."""
        if due_at is not None:
            Event().wait(max(0.0, due_at - time.monotonic()))
        body = news(f"trade-{number:06d}")
        headers = {
            "X-AssetPay-Signature": signed(body, now=moment(), delivery_id=f"d-{number}"),
            "X-Callback-Copy": "1",
        }
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            started = due_at or time.monotonic()
            answer = self._post(body, headers)
            self.seconds.append(time.monotonic() - started)
            due_at = None
            self.answers[answer] += 1
            if answer == 200:
                return
            Event().wait(0.2)
        raise TimeoutError(number)

    def _post(self, body: bytes, headers: dict[str, str]) -> int | str:
        try:
            return self.http.post(self.url + DOOR, content=body, headers=headers).status_code
        except httpx.TransportError as error:
            return type(error).__name__

    def figures(self) -> str:
        """How long calls took, and how they were answered."""
        cuts = statistics.quantiles(self.seconds, n=100)
        return f"p50 {1_000 * cuts[49]:.0f} ms, p99 {1_000 * cuts[98]:.0f} ms, answers {dict(self.answers)}"


def all_applied_once(count: int) -> None:
    assert Delivery.objects.filter(verdict=Verdict.APPLIED).count() == Delivery.objects.count() == count
    assert Item.objects.count() == count


@pytest.mark.parametrize("count", sized(fast=80, long=10_000))
def test_f46_a_flood_of_callbacks_is_acknowledged_and_applied(desk: Desk, count: int) -> None:
    sender, started = Sender(desk.url), time.monotonic()

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(sender.deliver, range(count)))

    all_applied_once(count)
    took = time.monotonic() - started
    tell(f"{SENDERS} at a time as fast as they go: {count / took:.0f} a second, {sender.figures()}")


@pytest.mark.parametrize("count", sized(fast=50, long=10_000))
def test_f46_callbacks_at_fifty_a_second_are_acknowledged_and_applied(desk: Desk, count: int) -> None:
    sender, start = Sender(desk.url), time.monotonic() + 0.1

    # More hands than calls under way, so that a slow answer delays no other call.
    with ThreadPoolExecutor(4 * SENDERS) as pool:
        list(pool.map(lambda number: sender.deliver(number, due_at=start + number / PER_SECOND), range(count)))

    all_applied_once(count)
    tell(f"{PER_SECOND} a second: {sender.figures()}")


@pytest.mark.parametrize("count", sized(fast=60, long=1_200))
def test_f49_a_rolling_restart_under_callbacks_loses_none(desk: Desk, count: int) -> None:
    sender, restarts, answered_before = Sender(desk.url), 0, -1

    with ThreadPoolExecutor(SENDERS) as pool:
        under_way = []
        for number in range(count):
            under_way.append(pool.submit(sender.deliver, number))
            # Every second and a half, but not before those of the last restart have answered anybody.
            if number % 30 == 15 and sender.answers[200] > answered_before:
                desk.master.send_signal(signal.SIGHUP)
                restarts, answered_before = restarts + 1, sender.answers[200] + SENDERS
            Event().wait(0.05)  # twenty a second
        for each in under_way:
            each.result()

    all_applied_once(count)
    assert not {answer for answer in sender.answers if isinstance(answer, int)} - {200, 503}
    tell(f"{restarts} restarts, {sender.figures()}")


def test_f23_where_nobody_is_nobody_says_yes(desk: Desk) -> None:
    sender = Sender(desk.url)
    desk.master.send_signal(signal.SIGKILL)
    desk.master.wait(PATIENCE_SECONDS)

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := sender._post(b"{}", {})) not in {"ConnectError", "ConnectTimeout"}:
        # Its workers notice that their master is gone, and end; until then they answer as ever.
        assert answer != 200
        assert time.monotonic() < deadline
        Event().wait(0.1)
