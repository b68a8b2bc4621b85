"""The forwarder of docs/connect-assetpay.md, taken from the page and run: AssetPay's stand-in, a backend, the desk."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from sandbox.signing import signature_header
from tests.stories.conftest import Stage
from withdrawals.actions.trades import reconcile
from withdrawals.models import AlarmKind, Delivery, Item, RejectedCall, Role, Trade, Verdict

pytestmark = pytest.mark.any_database

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs" / "connect-assetpay.md").read_text()
PATIENCE_SECONDS = 20
MARK, SIGNATURE = "x-callback-copy", "x-assetpay-signature"
FORWARDERS = {"python": "forwarder.py", "js": "forwarder.mjs"}
# The page's seconds are for production.
SHORTER = {
    "python": {"(1, 5, 30, 120)": "(0.01, 0.02)", "timeout=5": "timeout=1.5"},
    "js": {"[1_000, 5_000, 30_000, 120_000]": "[10, 20]", "timeout(5_000)": "timeout(1_500)"},
}

Json = dict[str, Any]


def until[T](look: Callable[[], T | None], what: str) -> T:
    """What `look` sees, once it is something: other processes are at work, and there is nothing here to wait on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return seen


class Copy(NamedTuple):
    """One copy as it came by, header names in lower case, and what was answered: 0 where the line was cut."""

    trade_id: str
    trade_status: str
    headers: dict[str, str]
    body: bytes
    status: int


class Relay:
    """Stands where the desk's reverse proxy stands; keeps what comes by, may hold it up or answer by itself."""

    def __init__(self, desk_url: str) -> None:
        self.copies: list[Copy] = []
        self.is_open = threading.Event()
        self.is_open.set()
        # A status, or 0 to hang up; None lets the desk answer.
        self.instead: int | None = None
        self._desk = httpx.Client(base_url=desk_url, trust_env=False, timeout=30)
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = relay.pass_on(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
                if status:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Closing waits for those who are still with the desk.
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/callbacks/assetpay/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def pass_on(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The answer, by the desk or in its place."""
        self.is_open.wait(PATIENCE_SECONDS)
        status = self.instead
        if status is None:
            kept = {name: text for name, text in headers.items() if name in (MARK, SIGNATURE)}
            status = self._desk.post(path, content=body, headers=kept).status_code
        trade = json.loads(body)["trade"]
        self.copies.append(Copy(trade["id"], trade["status"], headers, body, status))
        return status

    def answers(self, trade_id: str, trade_status: str) -> list[int]:
        """What the copies that show this trade so were answered, oldest first."""
        return [copy.status for copy in self.copies if copy[:2] == (trade_id, trade_status)]

    def heard(self, trade_id: str) -> list[int]:
        """The answers to the news of a pending trade, once the desk has taken it in."""
        until(lambda: 200 in self.answers(trade_id, "pending"), "the news did not come again")
        return self.answers(trade_id, "pending")

    def close(self) -> None:
        """Let go of everybody."""
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()
        self._desk.close()


class Backend:
    """The merchant's backend, a process of its own with the page's code in it."""

    def __init__(self, language: str, folder: Path, desk_url: str) -> None:
        program = (
            [sys.executable, str(HERE / "backend.py")] if language == "python" else [node(), str(HERE / "backend.mjs")]
        )
        self.language = language
        self.command = [*program, str(folder)]
        self.forwarder = folder / FORWARDERS[language]
        self.forwarder.write_text(code(language))
        self.log = folder / "log"
        self.port = 0
        self._environment = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
        self._environment["DESK_CALLBACK_URL"] = desk_url
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run, on the port it had before if there was one."""
        command = [*self.command, str(self.port)]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        self.port = int(line)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def hurry(self) -> None:
        """Start again with the same code and shorter times."""
        self.kill()
        text = self.forwarder.read_text()
        for seconds, shorter in SHORTER[self.language].items():
            assert text.count(seconds) == 1
            text = text.replace(seconds, shorter)
        self.forwarder.write_text(text)
        self.start()

    def gave_up(self, status: int) -> int:
        """How often its log says that a copy did not arrive, for this answer."""
        return self.log.read_text().count(f"the desk has no copy, its last answer was {status}")


def code(language: str) -> str:
    """The page's one block in this language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def node() -> str:
    """Where Node is."""
    found = shutil.which("node")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Node is not here, and the page's JavaScript has to be run.")
    if found is None:
        pytest.skip("Node is not here; under CI=true this fails.")
    return found


@pytest.fixture
def relay(live_server: LiveServer) -> Iterator[Relay]:
    relay = Relay(live_server.url)
    yield relay
    relay.close()


@pytest.fixture(params=FORWARDERS)
def backend(request: pytest.FixtureRequest, stage: Stage, relay: Relay, tmp_path: Path) -> Iterator[Backend]:
    """The merchant's backend, running as AssetPay's callback address."""
    backend = Backend(request.param, tmp_path, relay.url)
    try:
        backend.start()
        stage.control.switch(callback_url=f"http://127.0.0.1:{backend.port}/assetpay", copy_mark=False)
        yield backend
    finally:
        backend.kill()


def ask_approval(stage: Stage) -> str:
    """A new withdrawal that AssetPay asks the merchant about; its id."""
    trade_id = str(stage.control.make_trade(status="initiated", announce=False)["id"])
    stage.control.ask_approval(trade_id)
    assert stage.control.flush()
    return trade_id


def mirrored(stage: Stage) -> Item:
    """The item of a new withdrawal that the desk knows by a copy."""
    made = stage.control.make_trade(status="pending", age_seconds=60, announce=True)
    assert stage.control.flush()
    return until(lambda: Item.objects.filter(trade__assetpay_id=made["id"]).first(), "no copy came")


def move(stage: Stage, item: Item, status: str) -> None:
    """The item gets on, and AssetPay says so."""
    stage.control.change_item(item.trade.assetpay_id, item.assetpay_id, status=status, announce=True)
    assert stage.control.flush()


def sent(stage: Stage, trade_id: str) -> list[Json]:
    """What AssetPay sent about the trade, oldest first."""
    told = [delivery for delivery in stage.control.deliveries() if delivery["tradeId"] == trade_id]
    return sorted(told, key=lambda delivery: str(delivery["attempts"][0]["at"]))


def at_assetpay(stage: Stage, trade_id: str) -> str:
    """The trade's status there."""
    return str(next(trade["status"] for trade in stage.control.state()["trades"] if trade["id"] == trade_id))


def test_the_backend_decides_alone_and_the_copies_arrive_untouched(
    stage: Stage, backend: Backend, relay: Relay
) -> None:
    relay.is_open.clear()  # the desk has no word for anybody

    trade_id = ask_approval(stage)

    told = sent(stage, trade_id)
    assert [(each["kind"], [attempt["status"] for attempt in each["attempts"]]) for each in told] == [
        ("approval", [200]),
        ("news", [200]),
    ]
    assert at_assetpay(stage, trade_id) == "pending"
    assert not Delivery.objects.exists()

    relay.is_open.set()

    until(lambda: len(relay.copies) == 2, "the copies did not come")
    assert relay.answers(trade_id, "initiated") == [503]
    assert relay.answers(trade_id, "pending") == [200]
    for each, verdict in zip(told, [Verdict.APPROVAL, Verdict.APPLIED], strict=True):
        kept = Delivery.objects.get(delivery_id=each["deliveryId"])
        body, signed_at = each["body"].encode(), datetime.fromisoformat(each["attempts"][0]["t"])
        signature = signature_header(body, kept.delivery_id, signed_at, stage.sandbox.secrets, with_previous=False)
        assert bytes(kept.body) == body
        assert kept.signature == signature
        assert (kept.verdict, kept.is_copy, kept.times_received) == (verdict, True, 1)
    assert Item.objects.get(trade__assetpay_id=trade_id).status == "pending"
    assert not RejectedCall.objects.exists()
    assert "approvals to this desk itself" not in stage.desk(Role.AGENT).page("/")


def test_news_comes_again_after_a_refusal_and_a_cut_line_but_an_approval_does_not(
    stage: Stage, backend: Backend, relay: Relay
) -> None:
    relay.instead = 503
    refused = ask_approval(stage)
    until(lambda: relay.answers(refused, "initiated") and relay.answers(refused, "pending"), "no copy was refused")
    relay.instead = 0
    cut = str(stage.control.make_trade(status="pending", announce=True)["id"])
    until(lambda: relay.answers(cut, "pending"), "no copy was cut off")

    relay.instead = None

    for trade_id, failure in {refused: 503, cut: 0}.items():
        assert relay.heard(trade_id)[0] == failure
        assert Delivery.objects.get(subject_id=trade_id).verdict == Verdict.APPLIED
    # It left before the news that has come again by now.
    assert relay.answers(refused, "initiated") == [503]
    assert len({(copy.body, copy.headers[SIGNATURE]) for copy in relay.copies}) == 3
    assert {copy.headers.get(MARK) for copy in relay.copies} == {"1"}
    assert {attempt["status"] for each in stage.control.deliveries() for attempt in each["attempts"]} == {200}


def test_a_backend_killed_in_the_middle_loses_nothing_for_good(stage: Stage, backend: Backend, relay: Relay) -> None:
    stage.control.switch(retry_schedule_seconds=[60], approval_pause_seconds=60)
    lost, late = mirrored(stage), mirrored(stage)
    relay.instead = 503
    move(stage, lost, "active")
    until(lambda: relay.answers(lost.trade.assetpay_id, "active"), "no copy was refused")

    backend.kill()

    move(stage, late, "active")
    asked = ask_approval(stage)
    backend.start()
    relay.instead = None
    stage.control.advance(61)
    assert stage.control.flush()

    for trade_id in (late.trade.assetpay_id, asked):
        assert [attempt["status"] for attempt in sent(stage, trade_id)[-2]["attempts"]][-1] == 200
    assert at_assetpay(stage, asked) == "pending"
    until(lambda: Item.objects.get(pk=late.pk).status == "active", "AssetPay's retry did not become a copy")
    until(lambda: Trade.objects.filter(assetpay_id=asked, status="pending").exists(), "the approved trade did not come")
    lost.refresh_from_db()
    assert lost.status == "pending"
    assert [attempt["status"] for attempt in sent(stage, lost.trade.assetpay_id)[-1]["attempts"]] == [200]

    assert reconcile(now=timezone.now()) == 1

    lost.refresh_from_db()
    assert lost.status == "active"
    assert lost.status_read is not None


def test_the_forwarder_gives_up_in_the_end_and_at_once_where_another_try_is_of_no_use(
    stage: Stage, backend: Backend, relay: Relay
) -> None:
    backend.hurry()
    relay.instead = 503
    refused = str(stage.control.make_trade(status="pending", announce=True)["id"])
    until(lambda: backend.gave_up(503) == 1, "it never gave up on a refusing desk")
    relay.instead = 401
    unwanted = str(stage.control.make_trade(status="pending", announce=True)["id"])
    until(lambda: backend.gave_up(401) == 1, "it never gave up on a desk that wants no copy")
    relay.is_open.clear()

    stage.control.make_trade(status="pending", announce=True)

    until(lambda: backend.gave_up(503) == 2, "it never gave up on a silent desk")
    assert relay.answers(refused, "pending") == [503, 503, 503]
    assert relay.answers(unwanted, "pending") == [401]
    assert {attempt["status"] for each in stage.control.deliveries() for attempt in each["attempts"]} == {200}


def test_the_page_tells_how_the_door_answers_a_first_try(stage: Stage, live_server: LiveServer) -> None:
    door = f"{live_server.url}/callbacks/assetpay/"

    known = httpx.post(door, content=b"{}", trust_env=False)
    unknown = httpx.post(door, content=b"{}", headers={"Host": "elsewhere.example"}, trust_env=False)

    assert "-d '{}'" in PAGE
    assert (known.status_code, unknown.status_code) == (401, 503)
    assert RejectedCall.objects.get().reason == "malformed"


def test_the_page_knows_every_alarm_by_its_headline() -> None:
    table = PAGE.partition("| alarm |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| ([A-Z][^|]*) \|", table, re.MULTILINE) == AlarmKind.labels
