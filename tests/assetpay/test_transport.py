"""How a call can fail on the wire, and that no failure is mistaken for a milder one."""

import json
import logging
import socket
import struct
import threading
import time

import httpx
import pytest

from tests.assetpay.loopback import Loopback, http_answer, replying
from withdrawals.assetpay.cancels import CancelAnswer
from withdrawals.assetpay.client import AssetPayClient
from withdrawals.assetpay.errors import AnswerTooLarge, AssetPayError, NotSent, OutcomeUnknown
from withdrawals.assetpay.transport import path_segment

TRADE = "0f6cbe3a-6d2e-4b7e-9f0a-1c1d4a5b6c7d"
ITEM = "019a2b3c-4d5e-8f70-8123-456789abcdef"
ENVELOPE = {
    "requestId": "req-1",
    "success": True,
    "data": {"tradeId": TRADE, "itemId": ITEM, "status": "cancelled"},
}
ACCEPTED = http_answer(json.dumps(ENVELOPE).encode())
REFUSED = http_answer(
    b'{"requestId":"r","success":false,"error":{"code":28,"key":"TRADE_NOT_CANCELLABLE","message":"no"}}',
    "400 Bad Request",
)


def client_for(url: str, **options: object) -> AssetPayClient:
    return AssetPayClient(base_url=url, api_key="ap_canary_key", **({"timeout_seconds": 5.0} | options))


def cancel(client: AssetPayClient) -> object:
    """What a cancel ends in: its answer, or the error."""
    try:
        return client.cancel_item_as_client(trade_id=TRADE, item_id=ITEM, token="canary.token")
    except AssetPayError as error:
        return error


def over_tls(server: Loopback) -> str:
    return server.url.replace("http:", "https:")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("x"),
        httpx.ConnectTimeout("x"),
        httpx.PoolTimeout("x"),
        httpx.UnsupportedProtocol("x"),
        httpx.InvalidURL("x"),
        httpx.LocalProtocolError("Illegal header value b'canary.token'"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_never_left_may_be_sent_again(failure):
    assert type(raised(failure)) is NotSent


@pytest.mark.parametrize(
    "failure",
    [
        httpx.WriteError("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
        httpx.CloseError("x"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_lost_answer_leaves_the_outcome_unknown(failure):
    error = raised(failure)

    assert type(error) is OutcomeUnknown
    assert error.lost_answer
    assert error.http_status is None


@pytest.mark.parametrize(
    "failure",
    [
        httpx.DecodingError("x"),
        httpx.TooManyRedirects("x"),
        httpx.ProxyError("x"),
        httpx.StreamClosed(),
        httpx.ProtocolError("x"),
        httpx.NetworkError("x"),
        httpx.TimeoutException("x"),
        OSError("x"),
        ValueError("x"),
        MemoryError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_failure_nobody_listed_is_unknown_and_not_resent(failure):
    error = raised(failure)

    assert type(error) is OutcomeUnknown
    assert not error.lost_answer


def raised(failure: Exception) -> AssetPayError:
    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    with client_for("https://assetpay.test", transport=httpx.MockTransport(fail)) as client:
        error = cancel(client)
    assert isinstance(error, AssetPayError)
    assert "canary" not in f"{error!s} {error!r}"
    assert error.__suppress_context__
    return error


def test_a_closed_port_is_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with client_for(url) as client:
        assert type(cancel(client)) is NotSent


def test_a_name_without_an_address_is_not_sent(monkeypatch):
    def unknown_name(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_name)

    with client_for("https://api.assetpay.test") as client:
        assert type(cancel(client)) is NotSent


def test_a_failed_tls_handshake_is_not_sent():
    with Loopback(lambda connection: connection.sendall(b"not TLS")) as server, client_for(over_tls(server)) as client:
        assert type(cancel(client)) is NotSent


def test_a_tls_handshake_that_never_ends_is_not_sent():
    def act(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass  # the greeting is read and never returned

    with Loopback(act) as server, client_for(over_tls(server), timeout_seconds=0.2) as client:
        assert type(cancel(client)) is NotSent


def test_a_reset_after_the_request_is_a_lost_answer():
    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        reset(connection)

    with Loopback(act) as server, client_for(server.url) as client:
        error = cancel(client)

    assert (type(error), error.lost_answer) == (OutcomeUnknown, True)


def test_silence_after_the_request_is_a_lost_answer():
    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.recv(1)

    with Loopback(act) as server, client_for(server.url, timeout_seconds=0.2) as client:
        error = cancel(client)

    assert (type(error), error.lost_answer) == (OutcomeUnknown, True)


def test_no_cut_of_the_request_is_mistaken_for_a_known_end():
    with replying(ACCEPTED) as server, client_for(server.url) as client:
        cancel(client)
        length = len(server.requests[0])

        ends = []
        for read in range(1, length + 1, 2):
            server.act = lambda connection, read=read: (connection.recv(read, socket.MSG_WAITALL), reset(connection))
            ends.append(cancel(client))

    assert len(ends) > 100
    assert {(type(end), end.lost_answer) for end in ends} == {(OutcomeUnknown, True)}


@pytest.mark.parametrize("answer", [ACCEPTED, REFUSED], ids=["accepted", "refused"])
def test_no_cut_of_the_answer_is_mistaken_for_a_known_end(answer):
    head = answer.index(b"\r\n\r\n") + 4

    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(answer[:sent])

    ends = {}
    with Loopback(act) as server, client_for(server.url) as client:
        for sent in range(len(answer)):
            ends[sent] = cancel(client)

    assert {type(end) for end in ends.values()} == {OutcomeUnknown}
    # With the head a status has come, so the answer is broken, not lost.
    assert all(end.lost_answer == (sent < head) for sent, end in ends.items())


def test_a_whole_answer_after_all_those_cuts_is_understood():
    with replying(ACCEPTED) as server, client_for(server.url) as client:
        assert cancel(client) == CancelAnswer(TRADE, ITEM, None, "req-1")


@pytest.mark.parametrize(
    ("opening", "lost"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", False),
    ],
    ids=["status line", "header", "body"],
)
def test_a_dripping_answer_ends_with_the_deadline(opening, lost):
    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(opening)
        for letter in ACCEPTED if not opening else b"x" * 200:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)  # the slow server is what this test is about

    with Loopback(act) as server, client_for(server.url, timeout_seconds=0.3) as client:
        began = time.monotonic()
        error = cancel(client)
        lasted = time.monotonic() - began

    assert (type(error), error.lost_answer) == (OutcomeUnknown, lost)
    assert 0.5 < lasted < 2


def test_a_dripping_handshake_ends_in_time_and_unsent():
    def act(connection: socket.socket) -> None:
        for letter in b"\x16\x03\x03\x40\x00" + b"\x02" * 200:
            connection.sendall(bytes([letter]))
            time.sleep(0.05)  # the slow server is what this test is about

    with Loopback(act) as server, client_for(over_tls(server), timeout_seconds=0.3) as client:
        began = time.monotonic()
        error = cancel(client)
        lasted = time.monotonic() - began

    assert type(error) is NotSent
    assert lasted < 2


def test_nothing_is_sent_once_the_deadline_has_passed(monkeypatch):
    look_up = socket.getaddrinfo

    def dawdle(*args: object, **options: object) -> object:
        time.sleep(0.4)  # a slow name server; no timeout of ours reaches it
        return look_up(*args, **options)

    with replying(ACCEPTED) as server, client_for(server.url, timeout_seconds=0.1) as client:
        monkeypatch.setattr(socket, "getaddrinfo", dawdle)
        error = cancel(client)

    assert type(error) is NotSent
    assert b"".join(server.requests) == b""


def test_without_a_deadline_nothing_is_sent(monkeypatch):
    def refuse(timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    with replying(ACCEPTED) as server, client_for(server.url) as client:
        monkeypatch.setattr(threading.Timer, "start", refuse)
        error = cancel(client)

    assert type(error) is NotSent
    assert server.requests == []


def test_calls_leave_no_threads_and_no_descriptors_behind(timers, open_descriptors):
    with replying(ACCEPTED) as server, client_for(server.url) as client:
        descriptors = open_descriptors()

        for _ in range(20):
            cancel(client)

        # A timer needs a moment to notice that it was called off, the far side one to hang up.
        until = time.monotonic() + 3
        while (timers() or open_descriptors() - descriptors) and time.monotonic() < until:
            time.sleep(0.01)  # between two looks
        assert timers() == []
        # None that was not there before: an earlier test may let go of one of its own meanwhile.
        assert open_descriptors() - descriptors == set()


def test_an_answer_without_end_is_cut_at_a_mebibyte():
    def act(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with Loopback(act) as server, client_for(server.url) as client:
        error = cancel(client)

    assert type(error) is AnswerTooLarge
    assert not error.lost_answer


def test_a_packed_answer_is_never_unpacked():
    bomb = http_answer(b"\x1f\x8b" + b"\x00" * 100, "200 OK", "Content-Encoding: gzip")

    with replying(bomb) as server, client_for(server.url) as client:
        error = cancel(client)

    assert type(error) is OutcomeUnknown
    assert b"Accept-Encoding: identity\r\n" in server.requests[0]


def test_redirects_are_not_followed():
    with replying(ACCEPTED) as elsewhere:
        there = http_answer(b"", "307 Temporary Redirect", f"Location: {elsewhere.url}/")
        with replying(there) as server, client_for(server.url) as client:
            error = cancel(client)

    assert (type(error), error.http_status, error.lost_answer) == (OutcomeUnknown, 307, False)
    assert elsewhere.requests == []


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    with replying(ACCEPTED) as proxy, replying(ACCEPTED) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        with client_for(server.url) as client:
            cancel(client)

    assert (len(server.requests), len(proxy.requests)) == (1, 0)


def test_each_call_has_a_connection_of_its_own_and_no_memory():
    answer = http_answer(json.dumps(ENVELOPE).encode(), "200 OK", "Set-Cookie: who=me; Path=/")

    with replying(answer) as server, client_for(server.url) as client:
        ends = [cancel(client), cancel(client)]

    assert [type(end) for end in ends] == [CancelAnswer, CancelAnswer]
    assert all(b"Connection: close\r\n" in request and b"ookie" not in request for request in server.requests)


def test_nothing_secret_reaches_the_log(caplog):
    caplog.set_level(logging.DEBUG)

    with replying(ACCEPTED) as server, client_for(server.url) as client:
        cancel(client)

    assert "canary" not in caplog.text
    assert TRADE not in caplog.text


@pytest.mark.parametrize(
    "base_url",
    ["", "assetpay.gg", "ftp://assetpay.test", "https://", "https://a:b@assetpay.test", "https://assetpay.test?x=1"],
)
def test_only_a_plain_address_is_taken_for_a_host(base_url):
    with pytest.raises(ValueError, match="base_url"):
        client_for(base_url)


HOSTILE_IDS = [
    *("../../v1/wallets", "..%2f..%2fv1", "%2e%2e", "...", ".hidden", "..a", "a..", "a/b", "a//b", "/a", "a/", "a\\b"),
    *("//evil.test/", "https://evil.test/", "a:b@c", "[::1]", "items/1/cancel", "1/cancel?x=", "?x=1", "#x", "a?b#c"),
    *("a;b", "a,b", "a b", "a%00b", "a\x00b", "a\nb", "a\r\nHost: evil.test", " ", "\t", "%", "%%", "%zz", "%25"),
    *("+", "&", "=", "'", '"', "<x>", "{x}", "|", "^", "`", "~", "*", "(", "!", "$", "@", "0", "null"),
    *("é", "🔫", "日本", "\u202e", "\u200b", "\ufeff", "x" * 128, "é" * 128),
]


def test_f70_no_id_of_sixty_leaves_its_place_in_the_path():
    with replying(REFUSED) as server, client_for(server.url) as client:
        for hostile in HOSTILE_IDS:
            with pytest.raises(AssetPayError):
                client.cancel_item_as_merchant(trade_id=hostile, item_id=hostile)

    lines = [request.partition(b"\r\n")[0].decode() for request in server.requests]
    encoded = ["".join(f"%{byte:02X}" for byte in hostile.encode()) for hostile in HOSTILE_IDS]
    assert len(lines) == len(HOSTILE_IDS) >= 60
    for line, full in zip(lines, encoded, strict=True):
        method, path, version = line.split(" ")
        _, secure, buy, trade, items, item, last = path.split("/")
        assert (method, secure, buy, items, last, version) == ("POST", "secure", "buy", "items", "cancel", "HTTP/1.1")
        assert trade == item
        assert fully_encoded(trade) == full


def test_f70_there_are_sixty_different_ids():
    assert len(set(HOSTILE_IDS)) == len(HOSTILE_IDS) >= 60


def fully_encoded(segment: str) -> str:
    """The segment with every byte percent-encoded, after checking that nothing reserved stands in it bare."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    parts, rest = [], segment
    while rest:
        if rest[0] == "%":
            parts.append(rest[:3])
            rest = rest[3:]
        else:
            assert rest[0] in plain
            parts.append(f"%{ord(rest[0]):02X}")
            rest = rest[1:]
    return "".join(parts)


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 129, "\ud800"])
def test_an_id_that_no_path_can_carry_is_refused_before_sending(text):
    with pytest.raises(ValueError):
        path_segment(text)
