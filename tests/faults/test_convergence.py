"""F47 and P6: whatever became of the callbacks, reading back brings the mirror to what AssetPay holds."""

import os
import random
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox, running_sandbox
from tests.faults.door import runs
from tests.wire import NOON
from withdrawals.actions.audit import Origin
from withdrawals.actions.trades import import_trades, reconcile
from withdrawals.models import AuditEntry, Delivery, Item, Refund, Source, Trade, Verdict
from withdrawals.models.audit import verify_chain

AFTER = {
    "pending": ["active", "canceled", "failed", "reverted"],
    "active": ["hold", "declined", "reverted"],
    "hold": ["completed", "reverted"],
}
MINUTES_TO_HEAL = 20
NOBODY = "http://127.0.0.1:9/"


def point_at(sandbox: RunningSandbox, settings: Settings) -> None:
    """Let the desk read from this sandbox."""
    settings.ASSETPAY_BASE_URL = sandbox.base_url
    settings.ASSETPAY_MERCHANT_ID = sandbox.merchant_id
    settings.ASSETPAY_API_KEY = sandbox.api_key
    settings.ASSETPAY_API_SECRETS = list(sandbox.secrets)


def held_by_assetpay(control: SandboxControl) -> dict[str, tuple[str, dict[str, str]]]:
    """Each withdrawal's status and its items'."""
    return {
        trade["id"]: (trade["status"], {item["id"]: item["status"] for item in trade["items"]})
        for trade in control.state()["trades"]
    }


def mirrored() -> dict[str, tuple[str, dict[str, str]]]:
    """The same of the mirror."""
    return {
        trade.assetpay_id: (trade.status, {item.assetpay_id: item.status for item in trade.items.all()})
        for trade in Trade.objects.prefetch_related("items")
    }


def minutes_to_converge(control: SandboxControl, *, trades: int, minutes: int) -> list[int]:
    """While every callback is lost and trades go on changing: after how many minutes each change stood in the mirror.

    Time is simulated: each minute some trades move, then the clock rings for the reading back.
    """
    chance = random.Random(47)
    status = {
        control.make_trade(age_seconds=3_600, auto_cancel_seconds=None, announce=False)["id"]: "pending"
        for _ in range(trades)
    }
    import_trades(list(status), origin=Origin(Source.COMMAND, name="test"), now=NOON)
    waiting: dict[str, int] = {}
    took: list[int] = []
    for minute in range(1, minutes + MINUTES_TO_HEAL):
        movable = [ref for ref in status if status[ref] in AFTER]
        if minute <= minutes and movable:
            for ref in chance.sample(movable, max(1, len(movable) // 10)):
                status[ref] = chance.choice(AFTER[status[ref]])
                control.change_trade(ref, status=status[ref])
                waiting.setdefault(ref, minute)
        control.advance(60)
        reconcile(now=NOON + timedelta(minutes=minute))
        known = dict(Item.objects.values_list("trade__assetpay_id", "status"))
        for ref in [ref for ref in waiting if known[ref] == status[ref]]:
            took.append(minute + 1 - waiting.pop(ref))
    assert not waiting
    return took


@pytest.mark.django_db
@pytest.mark.parametrize("with_key", [True, False], ids=["by the api-key", "as each customer"])
@pytest.mark.parametrize(("trades", "minutes"), [(20, 5), pytest.param(200, 30, marks=pytest.mark.soak)])
def test_f47_with_every_callback_lost_the_mirror_follows_within_minutes(
    trades: int, minutes: int, with_key: bool, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = {"drop_probability": 1.0, "client_trade_lookup": True}
    with running_sandbox(callback_url=NOBODY, **lost) as sandbox:
        point_at(sandbox, settings)
        # Without a key every trade is a call of its own, so the limit of reads is what counts.
        keys = sandbox.api_key if with_key else ""
        settings.ASSETPAY_API_KEY = sandbox.api_key
        took = minutes_to_converge_with(sandbox.control, settings, keys, trades=trades, minutes=minutes)
        held = held_by_assetpay(sandbox.control)
        sent = [delivery["state"] for delivery in sandbox.control.deliveries()]

    assert set(sent) == {"dropped"}
    assert mirrored() == held
    assert not Delivery.objects.exists()
    assert median(took) <= 5
    assert max(took) <= 15
    with capsys.disabled():
        if os.environ.get("SOAK_RUNS") is not None:
            print(f"\n{trades} trades: {len(took)} changes, median {median(took)} min, max {max(took)} min")  # noqa: T201


def minutes_to_converge_with(
    control: SandboxControl, settings: Settings, key: str, *, trades: int, minutes: int
) -> list[int]:
    """As above, reading by this key; the trades are brought in by the merchant's own."""
    real = settings.ASSETPAY_API_KEY
    assert real
    settings.ASSETPAY_API_KEY = key or real
    return minutes_to_converge(control, trades=trades, minutes=minutes)
