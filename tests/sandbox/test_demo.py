import random
import re
import time
from collections import Counter

from sandbox.client import SandboxControl
from sandbox.demo_cast import opening_scene
from sandbox.testing import running_sandbox
from sandbox.tokens import STEAM_ID, TRADE_URL
from tests.sandbox.acting import Caller, Merchant

WINDOW = 120


def wait_for_more_trades(control: SandboxControl, than: int) -> list[dict[str, object]]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        trades: list[dict[str, object]] = control.state()["trades"]
        if len(trades) > than:
            return trades
        time.sleep(0.05)
    raise AssertionError("nobody bought anything")


def test_the_opening_scene_holds_every_kind_of_withdrawal() -> None:
    scene = opening_scene(WINDOW)

    statuses = Counter(spec.status for spec in scene)
    ripe = [spec for spec in scene if spec.status == "pending" and spec.age_seconds > WINDOW]
    soon = [spec for spec in scene if 20 <= WINDOW - spec.age_seconds <= 90]
    assert 36 <= len(scene) <= 50
    assert set(statuses) >= {"pending", "active", "hold", "completed", "declined", "failed", "reverted"}
    assert len(ripe) >= 8
    assert len(soon) >= 5
    assert sum(spec.game == "252490" for spec in scene) >= 3
    assert sum(spec.source == "self" for spec in scene) == 1
    assert sum(spec.reverted_by == "user" for spec in scene) == 1
    assert {item.internal_pool for spec in scene for item in spec.items} == {True, False}
    assert any(len(spec.items) > 1 for spec in scene)
    assert len({spec.steam_id for spec in scene}) >= 5


def test_a_sandbox_leaves_the_chance_of_its_process_alone(shop: Merchant) -> None:
    """Hypothesis fails a test whose draws somebody else moves on, and a sandbox of an earlier one lives on."""
    random.seed(7)
    before = random.getstate()
    with running_sandbox(demo=True, callback_url=shop.url, cancel_window_seconds=WINDOW) as sandbox:
        opening = len(sandbox.control.state()["trades"])
        sandbox.control.switch(callback_min_interval_seconds=0, order="shuffled", drop_probability=0.5)
        sandbox.control.advance(11)
        wait_for_more_trades(sandbox.control, opening)
        assert sandbox.control.flush()

    assert random.getstate() == before


def test_the_demo_announces_everything_and_goes_on_living(shop: Merchant) -> None:
    shop.forget()
    with running_sandbox(demo=True, callback_url=shop.url, cancel_window_seconds=WINDOW) as sandbox:
        control = sandbox.control
        control.switch(callback_min_interval_seconds=0)
        opening = control.state()["trades"]
        assert control.flush()
        announced = {each["id"] for each in shop.trades}
        assert announced >= {trade["id"] for trade in opening}
        for trade in opening:
            assert STEAM_ID.fullmatch(trade["clientSteamID"])
            assert TRADE_URL.fullmatch(trade["clientTradeUrl"])
            assert all(re.search(r"\w", item["name"]) for item in trade["items"])

        control.advance(11)
        trades = wait_for_more_trades(control, len(opening))
        control.advance(2)
        control.flush()

        newest = trades[-1]["id"]
        seen = [each["status"] for each in shop.trades if each["id"] == newest]
        assert seen == ["initiated", "pending"]


def test_demo_withdrawals_are_delivered_in_time_unless_cancelled(shop: Merchant) -> None:
    with running_sandbox(demo=True, callback_url=shop.url, cancel_window_seconds=WINDOW) as sandbox:
        control, caller = sandbox.control, Caller(sandbox)
        cancelled = next(
            trade
            for trade in control.state()["trades"]
            if trade["status"] == "pending"
            and trade["sandbox"]["supplier"] == "accept"
            and trade["source"] == "client"
            and caller.cancel(trade).status_code == 200
        )
        control.advance(10)
        undone = caller.read_trade(cancelled)["items"][0]["status"]
        control.advance(3600)

        still_open = {trade["status"] for trade in control.state()["trades"]} & {"active", "hold"}
        assert undone == "reverted"
        assert still_open == set()


def test_a_demo_restarted_keeps_its_world(tmp_path, shop: Merchant) -> None:  # type: ignore[no-untyped-def]
    shop.forget()
    state = tmp_path / "demo.json"
    with running_sandbox(demo=True, state_file=state, callback_url=shop.url) as sandbox:
        before = {trade["id"] for trade in sandbox.control.state()["trades"]}
    with running_sandbox(demo=True, state_file=state, callback_url=shop.url) as sandbox:
        after = {trade["id"] for trade in sandbox.control.state()["trades"]}

    assert before <= after
    assert len(after) <= len(before) + 1
