"""What leaves for Sentry, against a service on loopback that keeps what it is sent."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.test_settings import GOOD, PROJECT

pytestmark = pytest.mark.any_database

CANARIES = [
    "secret-in-a-cookie",
    "secret-in-a-header",
    "secret-in-the-body",
    "secret-in-a-query",
    "secret-in-the-words",
]
FAIL = """
import django; django.setup()
import logging
from django.test import Client
from django.urls import path
import structlog
from assetpay_admin import urls
from django.contrib.auth.decorators import login_not_required
from django.views.decorators.csrf import csrf_exempt
@csrf_exempt
@login_not_required
def fail(request):
    local = "secret-in-the-body"
    structlog.contextvars.bind_contextvars(delivery=4711)
    logging.getLogger("withdrawals").error("a line about %s", "secret-in-the-words")
    raise ValueError("secret-in-the-words")
urls.urlpatterns.insert(0, path("fails/", fail))
client = Client(raise_request_exception=False, headers={"Authorization": "secret-in-a-header", "Host": "localhost"})
client.cookies["session"] = "secret-in-a-cookie"
client.post("/fails/?q=secret-in-a-query", {"x": "secret-in-the-body"})
approval = b'{"trade": {"type": "withdraw", "status": "initiated"}}'
client.post("/callbacks/assetpay/", approval, content_type="application/json")
import sentry_sdk; sentry_sdk.flush(10)
"""


@pytest.fixture
def reported() -> Iterator[tuple[str, list[bytes]]]:
    """The DSN of a service, and what it was sent."""
    kept: list[bytes] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip  # noqa: PLC0415 # only where it is used

                body = gzip.decompress(body)
            kept.append(body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://key@127.0.0.1:{server.server_port}/1", kept
    server.shutdown()
    server.server_close()


def test_a_failure_is_reported_without_what_was_in_it(reported: tuple[str, list[bytes]], database_url: str) -> None:
    dsn, kept = reported
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}} | GOOD
    environment |= {"DEBUG": "true", "HTTPS_ONLY": "false", "ALLOWED_HOSTS": "localhost", "SENTRY_DSN": dsn}
    environment |= {"DATABASE_URL": database_url}

    done = subprocess.run(
        [sys.executable, "-c", FAIL], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    sent = b"\n".join(kept).decode()
    events = [json.loads(line) for line in sent.splitlines() if line.startswith("{") and '"event_id"' in line]
    events = [event for event in events if "level" in event]
    failures = [event["exception"]["values"][-1] for event in events if "exception" in event]
    assert [failure["type"] for failure in failures] == ["ValueError"]
    assert failures[0]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert any(event["tags"].get("delivery") == "4711" and event["tags"]["request_id"] for event in events)
    assert any(event.get("logentry", {}).get("message") == "a line about %s" for event in events)
    assert [canary for canary in CANARIES if canary in sent.replace("\\\\", "")] == []
    assert len(events) == 2, "a 503 to an approval is no failure"


LOG = """
import django; django.setup()
import logging
import structlog
secret = "secret-in-a-variable"
try:
    {}["what-was-missing"]
except KeyError:
    logging.getLogger("django.request").error("from a library", exc_info=True)
    logging.getLogger("withdrawals.actions").exception("from us")
    structlog.get_logger("withdrawals.views").exception("structured")
"""


def test_a_line_of_the_production_log_carries_its_traceback_and_no_variable() -> None:
    environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}} | GOOD

    done = subprocess.run(
        [sys.executable, "-c", LOG], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["from a library", "from us", "structured"]
    for line in lines:
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("KeyError: 'what-was-missing'")
        assert 'File "<string>", line 7, in <module>' in line["exception"]
        assert "exc_info" not in line
    assert "secret-in-a-variable" not in done.stderr
