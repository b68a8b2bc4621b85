import pytest

from sandbox.client import SandboxControl
from sandbox.verdicts import read_verdict
from tests.sandbox.acting import Caller, Json, Merchant


def initiated(control: SandboxControl) -> Json:
    return control.make_trade(status="initiated", announce=False)


def test_the_dashboards_answer_to_a_copy_decides_nothing(
    control: SandboxControl, caller: Caller, merchant: Merchant
) -> None:
    merchant.answers = [400]
    trade = initiated(control)
    control.ask_approval(trade["id"])
    control.flush()
    asked = caller.read_trade(trade)["status"]
    control.advance(1)
    control.flush()

    assert asked == "initiated"
    assert [each["status"] for each in merchant.trades] == ["initiated", "pending"]
    assert merchant.received[0].headers["x-callback-copy"] == "1"
    assert [each["state"] for each in control.deliveries()] == ["ignored", "delivered"]


@pytest.mark.parametrize(
    ("verdict", "status", "error"),
    [
        ("approve", "pending", None),
        ("reject", "failed", "MERCHANT_REJECTED"),
        ("timeout", "failed", "APPROVAL_TIMEOUT"),
        ("wait", "initiated", None),
    ],
)
def test_the_merchants_own_verdict_is_a_switch(
    control: SandboxControl, caller: Caller, verdict: str, status: str, error: str | None
) -> None:
    control.switch(merchant_verdict=verdict)
    trade = initiated(control)
    control.ask_approval(trade["id"])
    control.advance(5)

    read = caller.read_trade(trade)
    assert (read["status"], read.get("error")) == (status, error)
    assert read["items"][0]["status"] == status


def test_without_the_mark_a_2xx_approves(control: SandboxControl, caller: Caller, merchant: Merchant) -> None:
    trade = initiated(control)
    control.ask_approval(trade["id"], copy_mark=False)
    control.flush()

    assert caller.read_trade(trade)["status"] == "pending"
    assert "x-callback-copy" not in merchant.received[0].headers


@pytest.mark.parametrize(("status", "body"), [(402, b""), (200, b'{"action":"reject","reason":"no"}')])
def test_without_the_mark_a_4xx_or_a_reject_body_rejects(
    control: SandboxControl, caller: Caller, merchant: Merchant, status: int, body: bytes
) -> None:
    merchant.answers, merchant.answer_body = [status], body
    trade = initiated(control)
    control.ask_approval(trade["id"], copy_mark=False)
    control.flush()

    read = caller.read_trade(trade)
    assert (read["status"], read["error"]) == ("failed", "MERCHANT_REJECTED")


def test_without_the_mark_three_failed_attempts_are_a_timeout(
    control: SandboxControl, caller: Caller, merchant: Merchant
) -> None:
    control.switch(rejected_status="canceled")
    merchant.answers = [503, 429, 500]
    trade = initiated(control)
    control.ask_approval(trade["id"], copy_mark=False)
    for _ in range(4):
        control.flush()
        control.advance(1)
    control.flush()

    asked = [each for each in merchant.received if each.trade["status"] == "initiated"]
    assert len(asked) == 3
    assert len({each.signature["id"] for each in asked}) == 3
    assert len({each.body for each in asked}) == 1
    read = caller.read_trade(trade)
    assert (read["status"], read["error"]) == ("canceled", "APPROVAL_TIMEOUT")


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, "", "approve"),
        (204, "", "approve"),
        (200, "<html>", "approve"),
        (200, '{"action":"approve"}', "approve"),
        (200, '{"action":"reject"}', "reject"),
        (401, "", "reject"),
        (408, "", None),
        (429, "", None),
        (500, "", None),
        (302, "", None),
        (None, "", None),
    ],
)
def test_how_an_answer_is_read(status: int | None, body: str, verdict: str | None) -> None:
    assert read_verdict(status, body) == verdict
