"""The two walks, end to end: screens by HTTP, the worker by HTTP to AssetPay's stand-in, its callbacks by HTTP back."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from tests.stories.conftest import Stage
from withdrawals.models import (
    AuditEntry,
    Cancellation,
    Delivery,
    Item,
    Refund,
    Role,
    Trade,
    Verdict,
)
from withdrawals.models.audit_chain import verify_chain

PROJECT = Path(__file__).resolve().parents[2]


def state(item: Item) -> str:
    return Cancellation.objects.get(item=item).state


def test_an_item_is_cancelled_comes_back_undone_and_its_refund_is_confirmed(stage: Stage) -> None:
    # A supplier a minute away: its end must not come while we look at what AssetPay's yes alone means.
    sold = {"name": "AWP | Asiimov (Field-Tested)", "price": "42.50"}
    item = stage.withdrawal(items=[sold], supplier_delay_seconds=60)
    agent = stage.desk(Role.AGENT)
    assert "AWP | Asiimov" in agent.page("/items/?tab=can")

    answer = agent.submit(f"/items/{item.pk}/cancel/", reason="not delivered", note="chat 4711")

    assert answer.status_code == 200
    assert state(item) == "requested"
    assert stage.work() == 1
    assert state(item) == "accepted"
    item.refresh_from_db()
    assert item.status == "pending"
    assert not Refund.objects.exists()

    stage.control.advance(61)
    stage.settle()

    assert state(item) == "confirmed"
    refund = Refund.objects.get()
    assert (refund.state, refund.amount) == ("due", Decimal("42.50"))
    assert refund.evidence_delivery is not None
    assert "42.50" in agent.page("/refunds/")

    agent.submit(f"/refunds/{refund.pk}/confirm/", reference="PAY-4711")

    refund.refresh_from_db()
    assert (refund.state, refund.reference) == ("confirmed", "PAY-4711")
    told = list(AuditEntry.objects.filter(item=item).order_by("number").values_list("action", flat=True))
    assert told == [
        "item.appeared",
        "cancellation.requested",
        "cancellation.sending",
        "cancellation.accepted",
        "item.changed",
        "cancellation.confirmed",
        "refund.opened",
        "refund.confirmed",
    ]
    log = stage.desk(Role.AUDITOR).page(f"/audit/?q={item.trade.assetpay_id}")
    assert "PAY-4711" in log
    assert refund.confirmed_by is not None
    assert refund.confirmed_by.email in log
    assert verify_chain().problem == ""


def test_a_supplier_that_refuses_is_told_in_words(stage: Stage) -> None:
    item = stage.withdrawal(supplier="refuse")
    agent = stage.desk(Role.AGENT)
    agent.submit(f"/items/{item.pk}/cancel/", reason="not delivered")

    stage.work()

    assert state(item) == "refused"
    assert "will not cancel this item" in agent.page(f"/trades/{item.trade_id}/")
    assert not Refund.objects.exists()


def test_a_supplier_that_delivers_anyway_overtakes_the_cancellation(stage: Stage) -> None:
    item = stage.withdrawal(supplier="delivers_anyway")
    stage.desk(Role.AGENT).submit(f"/items/{item.pk}/cancel/", reason="not delivered")
    stage.work()

    stage.control.change_item(item.trade.assetpay_id, item.assetpay_id, status="completed", announce=True)
    stage.control.flush()

    assert state(item) == "overtaken"
    assert not Refund.objects.exists()


def test_a_lost_answer_is_unknown_until_a_callback_tells(stage: Stage) -> None:
    item = stage.withdrawal(supplier_delay_seconds=60)
    stage.desk(Role.AGENT).submit(f"/items/{item.pk}/cancel/", reason="not delivered")
    stage.control.fault("reset_after", route="cancel_item")

    stage.work()

    assert state(item) == "uncertain"
    assert not Refund.objects.exists()

    stage.control.advance(61)
    stage.control.flush()

    assert state(item) == "confirmed"
    assert Refund.objects.get().state == "due"


def test_assetpays_clock_decides_when_an_item_is_old_enough(stage: Stage, settings: Settings) -> None:
    settings.CANCEL_WINDOW_SECONDS = 60  # ours says yes where AssetPay still says no
    item = stage.withdrawal(age_seconds=600)
    agent = stage.desk(Role.AGENT)
    agent.submit(f"/items/{item.pk}/cancel/", reason="not delivered")

    stage.work()

    cancellation = Cancellation.objects.get()
    assert (cancellation.state, cancellation.too_soon_count) == ("requested", 1)
    assert cancellation.send_from > timezone.now() + timedelta(seconds=20)
    assert "too soon" in agent.page(f"/trades/{item.trade_id}/")


def test_news_that_never_came_is_found_by_asking(stage: Stage) -> None:
    item = stage.withdrawal()
    stage.control.change_item(item.trade.assetpay_id, item.assetpay_id, status="reverted", announce=False)
    agent = stage.desk(Role.AGENT)

    agent.http.post(
        f"/trades/{item.trade_id}/check/",
        data={"csrfmiddlewaretoken": agent.http.cookies.get("csrf", "")},
        headers={"Referer": str(agent.http.base_url)},
    )

    item.refresh_from_db()
    refund = Refund.objects.get()
    assert (item.status, refund.state) == ("reverted", "due")
    assert refund.evidence_read is not None


def test_f28_an_approval_that_reaches_the_desk_itself_is_never_answered_yes_or_no(stage: Stage) -> None:
    stage.control.switch(copy_mark=False)
    made = stage.control.make_trade(status="initiated", age_seconds=0, announce=False)

    stage.control.ask_approval(made["id"], copy_mark=False)
    stage.control.flush()

    answers = {attempt["status"] for delivery in stage.control.deliveries() for attempt in delivery["attempts"]}
    assert answers == {503}
    assert Trade.objects.get().assetpay_id == made["id"]
    assert "approval" in stage.desk(Role.AGENT).page("/").lower()


def test_forged_repeated_and_reordered_callbacks_leave_one_truth(stage: Stage) -> None:
    item = stage.withdrawal()
    trade_id = item.trade.assetpay_id
    stage.control.announce(trade_id, duplicate=3)
    stage.control.announce(trade_id, forge=True)
    stage.control.change_item(trade_id, item.assetpay_id, status="active", announce=True)
    stage.control.announce(trade_id, stale_seconds=4_000)
    stage.control.change_item(trade_id, item.assetpay_id, status="completed", announce=True)
    stage.control.flush()

    item.refresh_from_db()
    statuses = AuditEntry.objects.filter(item=item, action="item.changed").order_by("number")
    assert item.status == "completed"
    assert [entry.after["status"] for entry in statuses] == ["active", "completed"]
    assert not Delivery.objects.exclude(verdict=Verdict.APPLIED).exists()


def test_a_worker_killed_in_the_middle_loses_nothing(stage: Stage, database_url: str, settings: Settings) -> None:
    item = stage.withdrawal(supplier_delay_seconds=60)
    stage.desk(Role.AGENT).submit(f"/items/{item.pk}/cancel/", reason="not delivered")
    stage.control.fault("hang", route="cancel_item", seconds=20, effect=True)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
        "DATABASE_URL": database_url,
        "ASSETPAY_BASE_URL": settings.ASSETPAY_BASE_URL,
        "ASSETPAY_MERCHANT_ID": settings.ASSETPAY_MERCHANT_ID,
        "ASSETPAY_API_KEY": settings.ASSETPAY_API_KEY,
        "ASSETPAY_API_SECRETS": ",".join(settings.ASSETPAY_API_SECRETS),
        "ASSETPAY_TIMEOUT_SECONDS": "20",
    }
    command = [sys.executable, "manage.py", "db_worker", "--no-reload", "--no-startup-delay", "--interval", "0.1"]
    worker = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not any(
            call["method"] == "POST" and call["path"].endswith("/cancel") for call in stage.control.requests()
        ):
            assert time.monotonic() < deadline, "the worker never sent"
            time.sleep(0.05)  # another process is at work; there is nothing here to wait on
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    assert state(item) == "sending"
    Cancellation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))  # its lease runs out
    stage.work()
    assert state(item) == "uncertain"

    stage.control.advance(61)
    stage.control.flush()

    assert state(item) == "confirmed"
    assert len([call for call in stage.control.requests() if call["path"].endswith("/cancel")]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\x00" * 2_000, b"[" * 100_000])
def test_whatever_comes_to_the_door_it_is_never_a_500(stage: Stage, body: bytes) -> None:
    agent = stage.desk(Role.AGENT)

    answer = agent.http.post("/callbacks/assetpay/", content=body, headers={"X-AssetPay-Signature": "t=1,id=2,s=3"})

    assert answer.status_code in {401, 503}
