"""F14, F15 and F23 with the proxy that is shipped, in front of the web process that is shipped."""

import hashlib
import http.client
import json
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from threading import Event

import pytest
from pytest_django import DjangoDbBlocker

from tests.conftest import address_of_database
from tests.desk import news, signed
from tests.faults.door import APPROVAL, DOOR, moment
from tests.faults.door import runs as sized
from tests.running.processes import free_port, kill, proxy, stranger, wait_until, web
from withdrawals.models import Delivery, RejectedCall, Verdict

pytestmark = pytest.mark.any_database

SLOW_HEAD = b"POST /callbacks/assetpay/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000\r\n\r\n{"


@dataclass
class Desk:
    """The desk behind its proxy: the two ports, and the web process."""

    port: int
    web_port: int
    web: "Popen[bytes]"


@contextmanager
def started() -> Iterator[Desk]:
    """The desk on the database of the tests."""
    web_port = free_port()
    behind_proxy = {"DATABASE_URL": address_of_database(), "TRUSTED_PROXY_COUNT": "1"}
    with web(web_port, **behind_proxy) as process, proxy(web_port) as port:
        wait_until(lambda: ask(port, "GET", "/health/ready") == 200)
        yield Desk(port, web_port, process)


@pytest.fixture(scope="module")
def standing_desk(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    """One for all tests that leave it as it was: starting takes longer than most of them."""
    with django_db_blocker.unblock(), started() as desk:
        yield desk


@pytest.fixture
def desk(standing_desk: Desk, transactional_db: None) -> Desk:
    """The standing desk, with an empty database."""
    return standing_desk


@pytest.fixture
def doomed_desk(transactional_db: None) -> Iterator[Desk]:
    """One that a test may kill."""
    with started() as desk:
        yield desk


def ask(port: int, method: str, path: str, body: object = None, *, patience: float = 30, **headers: str) -> int | str:
    """The status of one request, or the name of what went wrong with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        in_chunks = "Transfer-Encoding" in named
        connection.request(method, path, body=body, headers=named, encode_chunked=in_chunks)  # type: ignore[arg-type]
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def deliver(port: int, body: bytes, *, patience: float = 30, **headers: str) -> int | str:
    """A genuine callback."""
    sealed = {"X_AssetPay_Signature": signed(body, now=moment()), "X_Callback_Copy": "1"}
    return ask(port, "POST", DOOR, body, patience=patience, **sealed | headers)


def test_the_desks_own_verdicts_pass(desk: Desk) -> None:
    deliver_surely(desk.port, news())
    assert deliver(desk.port, APPROVAL) == 503
    assert ask(desk.port, "POST", DOOR, b"{}", X_AssetPay_Signature="t=1,v1=00") == 401
    assert ask(desk.port, "GET", DOOR) == 405
    assert ask(desk.port, "POST", DOOR, b" " * 1_048_577) == 413
    assert set(Delivery.objects.values_list("verdict", flat=True)) == {Verdict.APPLIED, Verdict.APPROVAL}


def test_the_largest_body_that_the_desk_takes_passes_the_proxy_whole(desk: Desk) -> None:
    body = json.dumps({"deposit": {"id": "d-1", "status": "completed", "note": ""}}).encode()
    body = body.replace(b'"note": ""', b'"note": "' + b"x" * 15_000 + b'"')
    body += b" " * (1_048_576 - len(body))

    tries = deliver_surely(desk.port, body)
    # By its bytes, which nobody else sends: what an earlier test sent a second time may arrive meanwhile. Twice, where
    # an answer to the first was lost.
    kept = [bytes(each.body) for each in Delivery.objects.filter(body_sha256=hashlib.sha256(body).hexdigest())]
    assert 1 <= len(kept) <= tries
    assert set(kept) == {body}
    assert len(body) == 1_048_576


def test_f14_a_body_in_chunks_is_verified_and_kept(desk: Desk) -> None:
    body = news("trade-in-chunks")

    seal = {"X_AssetPay_Signature": signed(body, now=moment()), "X_Callback_Copy": "1"}
    parts = iter([body[:10], body[10:700], body[700:]])
    answer = ask(desk.port, "POST", DOOR, parts, Transfer_Encoding="chunked", **seal)

    assert answer == 200
    # What an earlier test sent a second time may arrive meanwhile: ours is told by its bytes, which nobody else sends.
    assert bytes(Delivery.objects.get(body_sha256=hashlib.sha256(body).hexdigest()).body) == body


def deliver_surely(port: int, body: bytes) -> int:
    """As AssetPay does: again until it is answered 2xx, and nothing but a 503 between. How often it was sent."""
    told: list[int | str] = []

    def is_taken() -> bool:
        told.append(deliver(port, body))
        return 200 in told

    wait_until(is_taken)
    assert set(told) <= {200, 503}
    return len(told)


def test_the_proxy_alone_says_where_a_call_comes_from(desk: Desk) -> None:
    ask(desk.port, "POST", DOOR, b"{}", X_Forwarded_For="203.0.113.9, 198.51.100.7")

    # Slow senders of an earlier test may leave traces meanwhile: ours is told by its body.
    sent = hashlib.sha256(b"{}").hexdigest()
    assert RejectedCall.objects.get(body_sha256=sent).remote_address == "127.0.0.1"


def test_metrics_are_not_for_the_world(desk: Desk) -> None:
    assert {ask(desk.port, "GET", path) for path in ("/metrics", "/METRICS", "/%6detrics")} == {404}


@pytest.fixture
def slow_senders() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def besiege(port: int, count: int, stack: ExitStack) -> None:
    """Many who begin a body and do not go on."""
    for _ in range(count):
        caller = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        caller.sendall(SLOW_HEAD)
    Event().wait(0.5)


@pytest.mark.parametrize("count", sized(fast=20, long=500))
def test_f15_slow_senders_do_not_hold_up_a_genuine_callback(desk: Desk, slow_senders: ExitStack, count: int) -> None:
    besiege(desk.port, 200, slow_senders)
    seconds = []

    def call(number: int) -> int | str:
        started = time.monotonic()
        answer = deliver(desk.port, news(f"trade-{number:05d}"))
        seconds.append(time.monotonic() - started)
        return answer

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(call, range(count))) == {200}

    p99 = statistics.quantiles(seconds, n=100)[98]
    print(f"200 slow senders, {count} genuine callbacks: p99 {1_000 * p99:.0f} ms")  # noqa: T201


def test_f15_control_without_the_proxy_slow_senders_hold_every_thread(desk: Desk, slow_senders: ExitStack) -> None:
    besiege(desk.web_port, 200, slow_senders)

    assert deliver(desk.web_port, news(), patience=3) == "TimeoutError"


def test_f15_a_slow_sender_is_told_503_after_ten_seconds(desk: Desk, slow_senders: ExitStack) -> None:
    caller = slow_senders.enter_context(socket.create_connection(("127.0.0.1", desk.port), timeout=30))
    caller.sendall(SLOW_HEAD)

    assert caller.recv(100).startswith(b"HTTP/1.1 503 ")


STRANGERS = {
    "a page with 200": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
    "nothing with 204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "accepted": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 301 Moved\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "a web server's 400": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "a challenge": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nprove",
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "headers too large": b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP 0.9": b"<html>hello</html>",
    "half an answer": b"HTTP/1.1 20",
    "nothing": b"",
    "a mark that is not ours": b"HTTP/1.1 200 OK\r\nX-Desk-Decided: no\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", STRANGERS)
def test_f23_whatever_else_answers_in_our_place_is_503(answer: str) -> None:
    with stranger(STRANGERS[answer]) as web_port, proxy(web_port) as port:
        told = {ask(port, "POST", path, APPROVAL) for path in (DOOR, "/CALLBACKS/assetpay/", "//callbacks/assetpay/")}

    assert told == {503}


def test_f23_control_elsewhere_the_proxy_passes_such_a_page_on() -> None:
    with stranger(STRANGERS["a page with 200"]) as web_port, proxy(web_port) as port:
        assert ask(port, "GET", "/items/") == 200


def test_f23_nobody_listens() -> None:
    with proxy(free_port()) as port:
        assert ask(port, "POST", DOOR, APPROVAL) == 503


def test_f23_a_desk_that_is_killed_is_503(doomed_desk: Desk) -> None:
    desk = doomed_desk
    kill(desk.web)

    assert deliver(desk.port, APPROVAL) == 503
    assert deliver(desk.port, news()) == 503


def test_f23_a_desk_that_hangs_is_503_before_assetpay_gives_up(desk: Desk) -> None:
    kill(desk.web, signal.SIGSTOP)
    try:
        assert deliver(desk.port, APPROVAL, patience=10) == 503
    finally:
        kill(desk.web, signal.SIGCONT)
    # What it was asked while it hung it does now: kept, and nobody is left to hear its answer.
    wait_until(lambda: Delivery.objects.filter(verdict=Verdict.APPROVAL, took_ms__isnull=False).exists())


# The first three are no HTTP, and have no path that anybody could go by.
ODD_REQUESTS = {
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello \r\n\r\n", 400),
    "a length that is no number": (b"POST /callbacks/assetpay/ HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    "a megabyte of headers": (b"POST /callbacks/assetpay/ HTTP/1.1\r\nX: " + b"x" * 1_200_000 + b"\r\n\r\n", 400),
    "a header that gunicorn refuses": (b"POST /callbacks/assetpay/ HTTP/1.1\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 503),
    "a host that is not ours": (b"POST /callbacks/assetpay/ HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 503),
}


@pytest.mark.parametrize("odd", ODD_REQUESTS)
def test_f23_only_what_is_no_http_is_told_so_and_all_else_is_503(desk: Desk, odd: str) -> None:
    request, status = ODD_REQUESTS[odd]
    with socket.create_connection(("127.0.0.1", desk.port), timeout=30) as caller:
        with suppress(ConnectionError):  # answered before all was sent
            caller.sendall(request)
        assert caller.recv(100).startswith(b"HTTP/1.1 %d " % status)


def test_f72_the_proxys_log_holds_no_query_and_no_one_time_link(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as told,
        stranger(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as web_port,
        proxy(web_port, log=told) as port,
    ):
        wait_until(lambda: ask(port, "GET", "/items/?q=canary-of-a-query") == 200)
        ask(port, "GET", "/accounts/password/reset/key/5-canary-of-a-link/")
        ask(port, "GET", "/accounts/oidc/company/login/callback/?code=canary-of-a-code&state=x")
        wait_until(lambda: "callback/" in log.read_text())

    lines = log.read_text()
    assert "canary" not in lines
    assert 'GET "/items/" HTTP/1.1' in lines
    assert 'GET "/accounts/password/reset/key/..." HTTP/1.1' in lines
