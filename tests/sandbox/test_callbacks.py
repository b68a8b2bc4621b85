from datetime import UTC, datetime, timedelta

import pytest

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox
from tests.sandbox.acting import Merchant


def age(moment: str) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(moment)


def test_a_callback_is_signed_over_its_id_time_and_bytes(
    sandbox: RunningSandbox, control: SandboxControl, merchant: Merchant
) -> None:
    trade = control.make_trade(items=[{"name": "StatTrak™ P2000 | Fire Elemental (Field-Tested)"}])
    control.flush()

    [received] = merchant.received
    assert received.is_signed_by(sandbox.secret)
    assert list(received.signature) == ["t", "id", "s"]
    assert abs(age(received.signature["t"])) < timedelta(seconds=5)
    assert received.signature["t"].endswith("Z")
    assert received.headers["content-type"] == "application/json"
    assert received.json == {"trade": received.trade}
    assert received.trade["id"] == trade["id"]


def test_during_a_rotation_the_previous_secret_signs_too(
    sandbox: RunningSandbox, control: SandboxControl, merchant: Merchant
) -> None:
    control.switch(sign_with_previous=True)
    control.make_trade()
    control.flush()

    [received] = merchant.received
    assert received.is_signed_by(sandbox.secrets[0])
    assert received.is_signed_by(sandbox.secrets[1], "s1")


def test_the_mark_of_a_copy_can_be_left_out(control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade()
    control.flush()
    control.announce(trade["id"], copy_mark=False)
    control.flush()
    control.switch(copy_mark=False)
    control.announce(trade["id"])
    control.flush()

    assert [each.headers.get("x-callback-copy") for each in merchant.received] == ["1", None, None]


def test_a_refused_notice_comes_again_under_its_id_with_a_fresh_time(
    control: SandboxControl, merchant: Merchant, sandbox: RunningSandbox
) -> None:
    control.switch(retry_schedule_seconds=[10, 20], signature_clock="world")
    merchant.answers = [503, 500]
    control.make_trade()
    control.flush()
    control.advance(10)
    control.flush()
    control.advance(20)
    control.flush()

    times = [each.signature["t"] for each in merchant.received]
    assert len(times) == 3
    assert times == sorted(set(times))
    assert len({each.signature["id"] for each in merchant.received}) == 1
    assert len({each.body for each in merchant.received}) == 1
    assert all(each.is_signed_by(sandbox.secret) for each in merchant.received)
    [delivery] = control.deliveries()
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 500, 200]


def test_retries_can_be_switched_to_repeat_the_first_time(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(retry_schedule_seconds=[10], stale_retries=True, signature_clock="world")
    merchant.answers = [503]
    control.make_trade()
    control.flush()
    control.advance(10)
    control.flush()

    assert len({each.signature["t"] for each in merchant.received}) == 1


def test_after_the_last_retry_a_notice_is_given_up(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(retry_schedule_seconds=[10])
    merchant.answers = [503] * 9
    control.make_trade()
    control.flush()
    control.advance(10)
    control.flush()
    control.advance(3600)
    control.flush()

    assert len(merchant.received) == 2
    assert control.deliveries()[0]["state"] == "given_up"


def test_giving_up_can_be_switched_off(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(retry_schedule_seconds=[10], retry_give_up=False)
    merchant.answers = [503] * 4
    control.make_trade()
    for _ in range(5):
        control.flush()
        control.advance(10)

    assert len(merchant.received) == 5


def test_nobody_at_the_door_counts_as_a_failed_attempt(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(callback_url="http://127.0.0.1:9/", retry_schedule_seconds=[10])
    control.make_trade()
    control.flush()
    control.switch(callback_url=merchant.url)
    control.advance(10)
    control.flush()

    [delivery] = control.deliveries()
    assert [attempt["status"] for attempt in delivery["attempts"]] == [None, 200]
    assert delivery["attempts"][0]["error"].startswith("ConnectError")


def test_duplicates_on_demand_share_their_id(control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade(announce=False)
    control.announce(trade["id"], duplicate=2, together=True)
    control.flush()

    assert len(merchant.received) == 3
    assert len({each.signature["id"] for each in merchant.received}) == 1


def test_duplicates_and_losses_by_chance(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(duplicate_probability=1)
    control.make_trade()
    control.flush()
    control.switch(duplicate_probability=0, drop_probability=1)
    control.make_trade()
    control.flush()

    assert len(merchant.received) == 2
    assert [each["state"] for each in control.deliveries()] == ["delivered", "delivered", "dropped"]


def test_the_order_can_be_reversed(control: SandboxControl, merchant: Merchant) -> None:
    control.switch(order="reversed", reorder_window_seconds=600)
    trade = control.make_trade()
    for status in ("active", "hold", "completed"):
        control.change_trade(trade["id"], status=status)
    control.advance(600)
    control.flush()

    assert [each["status"] for each in merchant.trades] == ["completed", "hold", "active", "pending"]


def test_notices_of_one_trade_otherwise_come_in_order(control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade()
    for status in ("active", "hold", "completed"):
        control.change_trade(trade["id"], status=status)
    control.flush()

    assert [each["status"] for each in merchant.trades] == ["pending", "active", "hold", "completed"]


def test_a_forged_signature_is_on_demand(sandbox: RunningSandbox, control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade(announce=False)
    control.announce(trade["id"], forge=True)
    control.flush()

    assert not any(merchant.received[0].is_signed_by(secret) for secret in sandbox.secrets)


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_dated_notice_is_on_demand(
    sandbox: RunningSandbox, control: SandboxControl, merchant: Merchant, seconds: int
) -> None:
    trade = control.make_trade(announce=False)
    control.announce(trade["id"], stale_seconds=seconds, delivery_id="chosen-id")
    control.flush()

    [received] = merchant.received
    assert abs(age(received.signature["t"]) - timedelta(seconds=seconds)) < timedelta(seconds=5)
    assert received.signature["id"] == "chosen-id"
    assert received.is_signed_by(sandbox.secret)


def test_an_items_change_alone_can_be_kept_silent(control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade(items=[{}, {}], announce=False)
    control.switch(announce_item_changes=False)
    control.change_item(trade["id"], trade["items"][0]["id"], status="reverted")
    control.flush()
    silent = len(merchant.received)
    control.change_item(trade["id"], trade["items"][1]["id"], status="reverted")
    control.flush()

    assert (silent, len(merchant.received)) == (0, 1)


def test_any_body_can_be_posted_and_posted_again(
    sandbox: RunningSandbox, control: SandboxControl, merchant: Merchant
) -> None:
    sent = control.send(body={"deposit": {"id": "d-1", "amount": 1.5}})
    control.flush()
    control.send(text="not json at all", kind="other")
    control.flush()
    control.resend(sent)
    control.flush()

    first, text, again = merchant.received
    assert first.json == {"deposit": {"id": "d-1", "amount": 1.5}}
    assert text.body == b"not json at all"
    assert (again.signature["id"], again.body) == (sent, first.body)
    assert all(each.is_signed_by(sandbox.secret) for each in merchant.received)


def test_the_url_test_is_unsigned(control: SandboxControl, merchant: Merchant) -> None:
    control.ping()
    control.flush()

    [received] = merchant.received
    assert received.json["test"] is True
    assert set(received.json) == {"test", "timestamp", "message"}
    assert not {"x-assetpay-signature", "x-callback-copy"} & set(received.headers)
