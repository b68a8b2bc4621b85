"""Several machines: processes that share nothing but one PostgreSQL, one worker of them stopped and back."""

import signal
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask, item_of, news, person
from tests.faults.door import runs as sized
from tests.running.processes import CLOCK, WORKER, free_port, kill, merchant_of, running, wait_until, web
from tests.running.test_proxy import deliver
from tests.wire import item_document
from withdrawals.models import Attempt, AuditEntry, Cancellation, CancellationState, Delivery, Heartbeat, SendPermit
from withdrawals.models.audit_chain import verify_chain

LIMIT = 10
WINDOW = timedelta(seconds=60)


def asked_at(sandbox: RunningSandbox) -> list[datetime]:
    """When AssetPay was asked to cancel, by its own record."""
    calls = [call for call in sandbox.control.requests() if call["route"].startswith("cancel")]
    return sorted(datetime.fromisoformat(call["time"]) for call in calls)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite is for one machine")
@pytest.mark.parametrize("count", sized(fast=14, long=60))
def test_machines_share_one_limit_one_queue_and_one_chain(database_url: str, count: int) -> None:
    secrets = tuple(django_settings.ASSETPAY_API_SECRETS)
    with ExitStack() as stack:
        sandbox = stack.enter_context(running_sandbox(cancels_per_minute=LIMIT, api_secrets=secrets))
        settings = {
            "DATABASE_URL": database_url,
            **merchant_of(sandbox),
            "ASSETPAY_CANCELS_PER_MINUTE": str(LIMIT),
            "ASSETPAY_TIMEOUT_SECONDS": "2",
        }
        ports = [free_port(), free_port()]
        for port in ports:
            stack.enter_context(web(port, **settings))
        workers = [stack.enter_context(running(*WORKER, **settings)) for _ in range(3)]
        for _ in range(2):
            stack.enter_context(running(*CLOCK, **settings))
        wait_until(lambda: Heartbeat.objects.count() == 2)

        # Callbacks of one trade by either door: one mirror, one chain.
        bodies = []
        for _ in range(count):
            made = sandbox.control.make_trade(age_seconds=3_600, announce=False, auto_cancel_seconds=None)
            bodies.append((made["id"], made["items"][0]["id"]))
        agent, origin_now = person(), timezone.now()
        for trade, item in bodies:
            body = news(trade, items=[item_document(item, status="pending")])
            assert {deliver(port, body) for port in ports} <= {200, 503}
        wait_until(lambda: Delivery.objects.exclude(trade=None).values("trade").distinct().count() == count)
        for trade, item in bodies:
            ask(item_of(trade, item), actor=agent, now=origin_now)

        wait_until(lambda: Attempt.objects.exists())
        kill(workers[0], signal.SIGSTOP)
        try:
            wait_until(lambda: SendPermit.objects.count() >= min(LIMIT, count), seconds=60)
        finally:
            kill(workers[0], signal.SIGCONT)
        unsent = Cancellation.objects.filter(state__in=[CancellationState.REQUESTED, CancellationState.SENDING])
        wait_until(lambda: not unsent.exists(), seconds=90 + 60 * (count // LIMIT))

        asked = asked_at(sandbox)
        assert len(asked) >= count
        assert Attempt.objects.count() == SendPermit.objects.count() >= len(asked)
        crowded = [first for first, last in zip(asked, asked[LIMIT:], strict=False) if last - first < WINDOW]
        assert crowded == [], "more than the limit within a minute, by AssetPay's own clock"
        again = Attempt.objects.exclude(number=1).select_related("cancellation")
        assert all(attempt.cancellation.was_resent or attempt.cancellation.not_sent_count for attempt in again)
        assert not verify_chain().problem
        assert AuditEntry.objects.filter(action="trade.appeared").count() == count
