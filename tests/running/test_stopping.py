"""SIGTERM lets what is under way end: the worker's call to AssetPay, and the web's request."""

import signal
import socket
from threading import Event

import pytest

from sandbox.testing import running_sandbox
from tests.desk import ask, item_of, news, person, signed
from tests.faults.door import DOOR, moment
from tests.running.processes import PATIENCE_SECONDS, WORKER, free_port, merchant_of, running, wait_until, web
from tests.wire import item_document
from withdrawals.actions.deliveries import Call, receive_delivery
from withdrawals.actions.sending import drain_cancellations
from withdrawals.models import Attempt, Cancellation, Delivery

pytestmark = pytest.mark.any_database


def test_a_worker_ends_the_call_that_it_is_in(database_url: str) -> None:
    with running_sandbox() as sandbox:
        made = sandbox.control.make_trade(age_seconds=3_600, announce=False, auto_cancel_seconds=None)
        item_id = made["items"][0]["id"]
        body = news(made["id"], items=[item_document(item_id, status="pending")])
        receive_delivery(Call(signed(body, now=moment()), body, "127.0.0.1", True), now=moment())
        ask(item_of(made["id"], item_id), actor=person(), now=moment())
        drain_cancellations.enqueue()
        sandbox.control.fault("slow", route="cancel_item", seconds=4)
        settings = {
            "DATABASE_URL": database_url,
            **merchant_of(sandbox),
            "ASSETPAY_TIMEOUT_SECONDS": "30",
        }
        with running(*WORKER, **settings) as worker:
            wait_until(lambda: [call for call in sandbox.control.requests() if call["route"] == "cancel_item"])
            assert Attempt.objects.get().answered_at is None, "it is in the middle of its call"
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(PATIENCE_SECONDS) == 0

    assert Attempt.objects.get().answered_at is not None
    assert Cancellation.objects.get().state not in ("sending", "uncertain")


def test_a_web_process_ends_the_request_that_it_is_in(database_url: str) -> None:
    port, body = free_port(), news()
    head = (
        f"POST {DOOR} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"X-AssetPay-Signature: {signed(body, now=moment())}\r\nX-Callback-Copy: 1\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with web(port, DATABASE_URL=database_url) as process:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as caller:
            caller.sendall(head.encode())
            # Said by the thread that has the request: the other process may have answered anybody else.
            assert caller.recv(100).startswith(b"HTTP/1.1 100 ")
            caller.sendall(body[:10])
            process.send_signal(signal.SIGTERM)
            Event().wait(1)
            caller.sendall(body[10:])
            assert caller.recv(100).startswith(b"HTTP/1.1 200 ")
        assert process.wait(PATIENCE_SECONDS) == 0

    assert Delivery.objects.get().verdict == "applied"
