import pytest

from sandbox.client import SandboxControl
from tests.sandbox.acting import Caller, Json, Merchant, key


def cancelled(control: SandboxControl, caller: Caller, script: str, **spec: object) -> Json:
    trade = control.make_trade(age_seconds=2000, supplier=script, supplier_delay_seconds=10, announce=False, **spec)
    assert caller.cancel(trade).status_code == 200
    return trade


def test_accept_reverts_the_item_after_its_delay_and_tells(
    control: SandboxControl, caller: Caller, merchant: Merchant
) -> None:
    trade = cancelled(control, caller, "accept")

    control.advance(9)
    before = caller.read_trade(trade)
    control.advance(1)
    control.flush()

    assert before["status"] == "pending"
    assert [(each["status"], each["revertedBy"]) for each in merchant.trades] == [("reverted", "supplier")]


def test_accept_canceled_ends_in_the_other_word(control: SandboxControl, caller: Caller) -> None:
    trade = cancelled(control, caller, "accept_canceled")

    control.advance(10)

    assert caller.read_trade(trade)["items"][0]["status"] == "canceled"


def test_refuse_is_an_answer_at_once(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=2000, supplier="refuse")

    assert key(caller.cancel(trade)) == "TRADE_NOT_CANCELLABLE"


def test_late_takes_its_time(control: SandboxControl, caller: Caller) -> None:
    control.switch(late_seconds=600)
    trade = control.make_trade(age_seconds=2000, supplier="late")
    caller.cancel(trade)

    control.advance(599)
    before = caller.read_trade(trade)["status"]
    control.advance(1)

    assert (before, caller.read_trade(trade)["status"]) == ("pending", "reverted")


def test_silent_never_does_anything(control: SandboxControl, caller: Caller) -> None:
    trade = cancelled(control, caller, "silent")

    control.advance(30 * 24 * 3600)

    assert caller.read_trade(trade)["status"] == "pending"


def test_delivers_anyway_walks_on_to_completed(control: SandboxControl, caller: Caller, merchant: Merchant) -> None:
    trade = cancelled(control, caller, "delivers_anyway")

    control.advance(30)
    control.flush()

    assert [each["status"] for each in merchant.trades] == ["active", "hold", "completed"]
    last = caller.read_trade(trade)
    assert last["items"][0]["assetId"].isdigit()
    assert last["offerID"].isdigit()
    assert last["activeAt"] < last["holdEndDate"]


def test_each_item_may_have_a_script_of_its_own(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=2000, supplier_delay_seconds=1, items=[{"supplier": "delivers_anyway"}, {}])
    caller.cancel_all(trade)

    control.advance(3)

    read = caller.read_trade(trade)
    assert [item["status"] for item in read["items"]] == ["completed", "reverted"]
    assert read["status"] == "completed"


@pytest.mark.parametrize(("switch", "shown"), [("supplier", "supplier"), ("user", "user"), ("absent", None)])
def test_reverted_by_is_a_switch(control: SandboxControl, caller: Caller, switch: str, shown: str | None) -> None:
    control.switch(reverted_by=switch)
    trade = cancelled(control, caller, "accept")

    control.advance(10)

    assert caller.read_trade(trade).get("revertedBy") == shown


def test_an_item_that_ended_meanwhile_stays_as_it_is(control: SandboxControl, caller: Caller) -> None:
    trade = cancelled(control, caller, "accept")
    control.change_item(trade["id"], trade["items"][0]["id"], status="completed")

    control.advance(10)

    assert caller.read_trade(trade)["status"] == "completed"


@pytest.mark.parametrize("word", ["reverted", "canceled"])
def test_auto_cancel_strikes_unsent_items_at_its_moment(control: SandboxControl, caller: Caller, word: str) -> None:
    control.switch(auto_cancel_status=word)
    trade = control.make_trade(auto_cancel_seconds=60, items=[{}, {"status": "active"}])

    control.advance(59)
    before = caller.read_trade(trade)
    control.advance(1)

    assert [item["status"] for item in before["items"]] == ["pending", "active"]
    assert [item["status"] for item in caller.read_trade(trade)["items"]] == [word, "active"]


def test_auto_cancel_can_be_switched_off(control: SandboxControl, caller: Caller) -> None:
    control.switch(auto_cancel_acts=False)
    trade = control.make_trade(auto_cancel_seconds=60)

    control.advance(3600)

    assert caller.read_trade(trade)["status"] == "pending"


def test_rust_has_no_auto_cancel(control: SandboxControl) -> None:
    assert "autoCancelAt" not in control.make_trade(game="252490", auto_cancel_seconds=60)
