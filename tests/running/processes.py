"""The desk's own processes as they are shipped: web, worker, clock, and the proxy in front."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import IO

import pytest

from sandbox.testing import RunningSandbox

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120
SAID_AT_MOST = 2_000
WORKER = ["manage.py", "db_worker", "--no-reload", "--interval", "0.2", "--queue-name", "*"]
CLOCK = ["manage.py", "clock"]


def migrate(*arguments: str, **changed: str) -> None:
    """As an operator does, with the settings of the tests."""
    command = [sys.executable, "manage.py", "migrate", "--noinput", "-v0", *arguments]
    subprocess.run(command, cwd=PROJECT, env=os.environ | changed, check=True)


def free_port() -> int:
    """A port on loopback that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as `is_so()` is true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        Event().wait(0.05)


def answers(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def merchant_of(sandbox: RunningSandbox) -> dict[str, str]:
    """The settings by which a process of the desk works with this sandbox."""
    return {
        "ASSETPAY_BASE_URL": sandbox.base_url,
        "ASSETPAY_MERCHANT_ID": sandbox.merchant_id,
        "ASSETPAY_API_KEY": sandbox.api_key,
        "ASSETPAY_API_SECRETS": ",".join(sandbox.secrets),
    }


@contextmanager
def running(*arguments: str, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of the desk with the production settings module; stopped by SIGTERM at the end."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "assetpay_admin.settings"} | changed
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=said,
            # Gunicorn's workers end with it even where it is killed.
            start_new_session=True,
        )
        try:
            yield process
        except TimeoutError as error:
            # Most often one that never started.
            size = said.seek(0, os.SEEK_END)
            said.seek(max(0, size - SAID_AT_MOST))
            error.add_note(f"{arguments[:3]} said: {said.read().decode(errors='replace')}")
            raise
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to its whole session where that was not enough or it was stopped."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
    kill(process)


def kill(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process and all that it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    if number == signal.SIGKILL:
        process.wait(PATIENCE_SECONDS)


def web_arguments() -> list[str]:
    """How the image starts a web process, by its Dockerfile; without where it listens."""
    found = re.findall(r"^CMD (\[.*\])$", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    assert words[0] == "gunicorn"
    at = words.index("--bind")
    return ["-m", *words[:at], *words[at + 2 :]]


@contextmanager
def web(port: int, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
    """A web process of the image on `port`, listening."""
    arguments = [*web_arguments(), "--bind", f"127.0.0.1:{port}", "--reuse-port"]
    with running(*arguments, **changed) as process:
        wait_until(lambda: answers(port))
        yield process


def haproxy() -> str:
    """The proxy's program. Its absence skips a test, or fails it where REQUIRE_PROXY=1 (`.ci/run` sets it)."""
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("REQUIRE_PROXY") == "1":
            pytest.fail("REQUIRE_PROXY=1, but no haproxy: install the package haproxy.")
        pytest.skip("no haproxy here: install the package haproxy")
    return found


@contextmanager
def proxy(web_port: int, *, log: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[int]:
    """The shipped proxy in front of what listens on `web_port`, with its log in `log`; yields the port to call."""
    port = free_port()
    environment = os.environ | {
        "PROXY_BIND": f"127.0.0.1:{port}",
        "WEB_ADDRESS": f"127.0.0.1:{web_port}",
        "DESK_HOST": "127.0.0.1",
    }
    process = subprocess.Popen(
        [haproxy(), "-db", "-f", "deploy/haproxy.cfg"],
        cwd=PROJECT,
        env=environment,
        stdout=log,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(port))
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


@contextmanager
def stranger(answer: bytes, *, health: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> Iterator[int]:
    """Something on the desk's port that is well by its health check, and answers everything else with `answer`."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = int(listening.getsockname()[1])
    program = (
        "import socket, sys\n"
        "from threading import Thread\n"
        "listening = socket.socket(fileno=int(sys.argv[1]))\n"
        "health, answer = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])\n"
        "def serve(caller):\n"
        "    with caller:\n"
        "        asked = caller.recv(65536)\n"
        "        caller.sendall(health if b'/health/' in asked else answer)\n"
        "while True:\n"
        "    Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()\n"
    )
    with ExitStack() as stack:
        stack.enter_context(listening)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(listening.fileno()), health.hex(), answer.hex()],
            pass_fds=[listening.fileno()],
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait, PATIENCE_SECONDS)
        stack.callback(process.kill)
        yield port
