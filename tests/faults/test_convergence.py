"""F47 and P6: whatever became of the callbacks, reading back brings the mirror to what AssetPay holds."""

import random
from datetime import timedelta
from statistics import median

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox, running_sandbox
from tests.faults.door import moment, seeded, tell
from tests.wire import NOON
from withdrawals.actions.audit import Origin
from withdrawals.actions.trades import import_trades, reconcile
from withdrawals.models import AuditEntry, Delivery, Item, Refund, Source, Trade, Verdict
from withdrawals.models.audit_chain import verify_chain

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


def minutes_to_converge(control: SandboxControl, refs: list[str], *, minutes: int) -> list[int]:
    """While every callback is lost and trades go on changing: after how many minutes each change stood in the mirror.

    Time is simulated: each minute some trades move, then the clock rings for the reading back.
    """
    chance, start = seeded(47), moment()
    status = dict.fromkeys(refs, "pending")
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
        reconcile(now=start + timedelta(minutes=minute))
        known = dict(Item.objects.values_list("trade__assetpay_id", "status"))
        took += [minute + 1 - waiting.pop(ref) for ref in list(waiting) if known[ref] == status[ref]]
        if minute > minutes and not waiting:
            break
    assert not waiting
    return took


@pytest.mark.django_db
@pytest.mark.parametrize("with_key", [True, False], ids=["by the api-key", "as each customer"])
@pytest.mark.parametrize(("trades", "minutes"), [(20, 3), pytest.param(200, 30, marks=pytest.mark.soak)])
def test_f47_with_every_callback_lost_the_mirror_follows_within_minutes(
    trades: int, minutes: int, with_key: bool, settings: Settings
) -> None:
    with running_sandbox(callback_url=NOBODY, drop_probability=1.0, client_trade_lookup=True) as sandbox:
        point_at(sandbox, settings)
        spec = {"age_seconds": 3_600, "auto_cancel_seconds": None, "announce": False}
        refs = [sandbox.control.make_trade(**spec)["id"] for _ in range(trades)]
        import_trades(refs, origin=Origin(Source.COMMAND, name="test"), now=NOON)
        # Without a key every trade is a call of its own, so the limit of reads is what counts.
        settings.ASSETPAY_API_KEY = sandbox.api_key if with_key else ""
        took = minutes_to_converge(sandbox.control, refs, minutes=minutes)
        held = held_by_assetpay(sandbox.control)
        states = {delivery["state"] for delivery in sandbox.control.deliveries()}

    assert states == {"dropped"}
    assert mirrored() == held
    assert not Delivery.objects.exists()
    assert median(took) <= 5
    assert max(took) <= 15
    tell(f"{len(took)} changes, every callback lost: median {median(took)} min, at most {max(took)}")


def stir(control: SandboxControl, chance: random.Random, open_items: dict[tuple[str, str], str]) -> None:
    """What happens at AssetPay in one minute, and what becomes of the callbacks that tell of it."""
    if chance.random() < 0.7:
        made = control.make_trade(age_seconds=3_600, auto_cancel_seconds=None, items=[{}] * chance.randint(1, 3))
        open_items |= {(made["id"], item["id"]): "pending" for item in made["items"]}
    else:
        asked = control.make_trade(status="initiated", auto_cancel_seconds=None, announce=False)
        control.ask_approval(asked["id"])
    movable = [key for key, status in open_items.items() if status in AFTER]
    for trade_id, item_id in chance.sample(movable, min(3, len(movable))):
        status = open_items[trade_id, item_id] = chance.choice(AFTER[open_items[trade_id, item_id]])
        control.change_item(trade_id, item_id, status=status)
    if open_items:
        trade_id = chance.choice(list(open_items))[0]
        control.announce(trade_id, forge=True)
        control.announce(trade_id, stale_seconds=chance.randint(400, 90_000))
        control.announce(trade_id, duplicate=2, together=True)
    known = [each["deliveryId"] for each in control.deliveries() if each["kind"] == "news" and not each["forged"]]
    if known:
        control.resend(chance.choice(known))
    if chance.random() < 0.2:
        control.send(text="not JSON at all", kind="other")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("minutes", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_p6_after_a_storm_of_lost_repeated_reordered_and_forged_callbacks_the_mirror_equals_assetpay(
    minutes: int, live_server: LiveServer, settings: Settings
) -> None:
    chance = seeded(6)
    storm = {"drop_probability": 0.3, "duplicate_probability": 0.3, "order": "shuffled", "supplier_delay_seconds": 0}
    with running_sandbox(
        callback_url=f"{live_server.url}/callbacks/assetpay/", reorder_window_seconds=60, **storm
    ) as sandbox:
        point_at(sandbox, settings)
        control, open_items = sandbox.control, {}
        for minute in range(minutes):
            stir(control, chance, open_items)
            control.advance(60)
            assert control.flush()
            # Two of three ringings of the clock are lost too.
            if chance.random() < 0.3:
                reconcile(now=NOON + timedelta(minutes=minute))
        control.advance(3_600)
        assert control.flush()
        reconcile(now=NOON + timedelta(minutes=minutes + 60))
        held, deliveries = held_by_assetpay(control), control.deliveries()

    known = mirrored()
    assert known == {ref: held[ref] for ref in known}
    answers = {(each["kind"], each["forged"], attempt["status"]) for each in deliveries for attempt in each["attempts"]}
    assert answers == {
        ("news", False, 200),
        ("news", True, 401),
        ("approval", False, 503),
        *({("other", False, 503)} & answers),
    }
    # The only trades that the mirror lacks are those of which no word ever came through.
    unheard = held.keys() - known.keys()
    assert not {each["tradeId"] for each in deliveries if each["attempts"] and not each["forged"]} & unheard
    ended = Item.objects.filter(status__in=["canceled", "failed", "declined", "reverted"])
    assert Refund.objects.count() == ended.count()
    assert not Delivery.objects.filter(verdict=Verdict.FAILED).exists()
    appeared = AuditEntry.objects.filter(action="item.appeared").count()
    assert appeared == Item.objects.count()
    assert verify_chain().problem == ""
    lost = sum(each["state"] == "dropped" for each in deliveries)
    calls = sum(len(each["attempts"]) for each in deliveries)
    tell(f"{calls:,} calls, {lost:,} callbacks lost, {len(known)} trades all as at AssetPay")
