"""F13, F14 and F17 against the server that is shipped: sizes, bodies in chunks, bodies that never end."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from django.conf import settings as configured

from tests.desk import news, signed
from tests.faults.door import APPROVAL, DOOR, call, moment, send, tell
from tests.wire import item_document
from withdrawals.models import Delivery, RejectedCall, Verdict

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parents[2]
MIB = 1_024 * 1_024
PATIENCE_SECONDS = 60


def padded(body: bytes, size: int) -> bytes:
    """The same JSON with blanks behind it, `size` bytes long."""
    return body + b" " * (size - len(body))


@pytest.mark.django_db
def test_f13_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    limit = configured.CALLBACK_MAX_BYTES
    assert limit == MIB

    assert send(padded(news(), limit)) == 200
    assert send(padded(APPROVAL, limit)) == 503
    assert send(padded(news(), limit + 1)) == 413
    assert call(b" " * 5 * MIB, None) == 413

    assert Delivery.objects.count() == 2
    assert not RejectedCall.objects.exists()


@pytest.mark.django_db
def test_f13_an_approval_of_a_thousand_items_is_well_within_the_limit() -> None:
    items = [item_document(f"66f0c0ffee{number:014x}", status="initiated") for number in range(1_000)]
    body = news(status="initiated", items=items)

    assert len(body) < configured.CALLBACK_MAX_BYTES / 2
    assert send(body) == 503
    assert Delivery.objects.get().verdict == Verdict.APPROVAL


@dataclass
class Server:
    """The product under gunicorn, as the Procfile starts it but with one worker."""

    port: int
    worker: int

    def post(self, chunks: Iterator[bytes], signature: str, *, length: int | None = None) -> int | None:
        """The status of one POST, sent piece by piece until the answer is there; None where it hung up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as wire:
            size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
            head = [f"POST {DOOR} HTTP/1.1", "Host: localhost", "Connection: close", size]
            head += ["Content-Type: application/json", "X-Callback-Copy: 1", f"X-AssetPay-Signature: {signature}"]
            wire.sendall("\r\n".join([*head, "", ""]).encode())
            try:
                for chunk in chunks:
                    if select.select([wire], [], [], 0)[0]:
                        break
                    wire.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk) if length is None else chunk)
                else:
                    wire.sendall(b"0\r\n\r\n" if length is None else b"")
            except (BrokenPipeError, ConnectionResetError):
                pass
            return self._status(wire)

    @staticmethod
    def _status(wire: socket.socket) -> int | None:
        try:
            line = wire.recv(4_096)
        except ConnectionResetError:
            return None
        found = re.match(rb"HTTP/1\.1 (\d{3})", line)
        return int(found[1]) if found else None

    def memory(self) -> int:
        """Bytes of the worker that are in memory."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(cast(re.Match[str], re.search(r"VmRSS:\s+(\d+) kB", status))[1]) * 1_024


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "assetpay_admin.settings", "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "gunicorn", "assetpay_admin.wsgi", "--bind", "127.0.0.1:0"]
    command += ["--worker-class", "gthread", "--workers", "1", "--threads", "4", "--no-control-socket"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield _announced(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)


def _announced(process: subprocess.Popen[str]) -> Server:
    port = worker = 0
    for line in process.stderr or ():
        port = int(found[1]) if (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)) else port
        worker = int(found[1]) if (found := re.search(r"Booting worker with pid: (\d+)", line)) else worker
        if port and worker:
            return Server(port, worker)
    raise RuntimeError("gunicorn did not start")


def in_pieces(body: bytes, size: int = 100) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("megabytes", [64, pytest.param(1_024, marks=pytest.mark.soak)])
def test_f13_f14_the_real_server_takes_chunks_and_is_not_filled_by_what_never_ends(
    server: Server, megabytes: int
) -> None:
    good, asked = news("t-1"), APPROVAL

    # In chunks and without a length, which Django by itself would read as nothing.
    assert server.post(in_pieces(good), signed(good, now=moment())) == 200
    assert bytes(Delivery.objects.get().body) == good
    assert server.post(in_pieces(asked), signed(asked, now=moment())) == 503
    assert server.post(in_pieces(good), signed(asked, now=moment())) == 401
    large = padded(good, MIB)
    assert server.post(in_pieces(large, 65_536), signed(large, now=moment())) == 200

    before = server.memory()
    for length in (None, megabytes * MIB):
        stream = (b"x" * MIB for _ in range(megabytes))
        assert server.post(stream, "t=1,id=1,s=1", length=length) in {413, None}
    grown = server.memory() - before

    tell(f"MiB streamed twice, the worker grew by {grown / MIB:.1f} MiB")
    assert grown < 5 * MIB, grown
    again = news("t-2")
    assert server.post(iter([again]), signed(again, now=moment()), length=len(again)) == 200
    assert RejectedCall.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_f15_callers_that_never_finish_leave_room_for_others_until_the_threads_are_all_held(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    for wire in slow:
        wire.sendall(f"POST {DOOR} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{{".encode())
    body = news()

    answer = server.post(iter([body]), signed(body, now=moment()), length=len(body))

    assert answer == 200
    for wire in slow:
        # The news did not wait for them: each is still listened to.
        wire.setblocking(False)
        with pytest.raises(BlockingIOError):
            wire.recv(1)
        wire.close()
