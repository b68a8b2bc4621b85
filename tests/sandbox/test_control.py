import pytest

from sandbox.client import ControlRefused, SandboxControl
from sandbox.config import Config
from sandbox.control import answer_control
from sandbox.sandbox import Sandbox
from tests.sandbox.acting import Caller, Merchant


def test_an_unknown_switch_is_named(control: SandboxControl) -> None:
    with pytest.raises(ControlRefused, match="'moonlight'"):
        control.switch(moonlight=True)


def test_a_switch_refuses_what_it_cannot_be(control: SandboxControl) -> None:
    with pytest.raises(ControlRefused, match="'drop_probability'"):
        control.switch(drop_probability=2)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"status": "lost"}, "status"),
        ({"steam_id": "12"}, "steam_id"),
        ({"items": []}, "items"),
        ({"items": [{"price": -1}]}, "price"),
        ({"items": [{"id": "a"}, {"id": "a"}]}, "same id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_impossible_trade_is_refused_with_a_reason(
    control: SandboxControl, spec: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ControlRefused, match=complaint):
        control.make_trade(**spec)


def test_a_taken_id_is_refused(control: SandboxControl) -> None:
    control.make_trade(external_id="order-1")

    with pytest.raises(ControlRefused, match="already"):
        control.make_trade(id="order-1")


def test_unknown_trades_items_and_addresses_are_404(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade()

    with pytest.raises(ControlRefused, match="no trade 'nobody'"):
        control.announce("nobody")
    with pytest.raises(ControlRefused, match="no item 'nothing'"):
        control.change_item(trade["id"], "nothing", status="hold")
    assert caller.http.get("/_control/moon").status_code == 404


def test_ids_with_slashes_reach_the_control_interface(control: SandboxControl) -> None:
    control.make_trade(external_id="a/b c", items=[{"external_id": "x/y?"}])

    changed = control.change_item("a/b c", "x/y?", status="failed", error="LISTING_UNAVAILABLE")

    assert (changed["items"][0]["status"], changed["items"][0]["error"]) == ("failed", "LISTING_UNAVAILABLE")


def test_prices_can_be_lowered(control: SandboxControl) -> None:
    trade = control.make_trade(items=[{"price": 20}, {"price": 10}])
    first = trade["items"][0]["id"]

    changed = control.change_trade(trade["id"], item_prices={first: "18.5"})

    assert str(changed["totalPrice"]) == "28.5"
    assert str(changed["items"][0]["offer"]["price"]) == "18.5"


def test_announcing_is_left_out_on_request(control: SandboxControl, merchant: Merchant) -> None:
    trade = control.make_trade(announce=False)
    control.change_item(trade["id"], trade["items"][0]["id"], status="active", announce=False)
    control.change_trade(trade["id"], status="hold", announce=False)
    control.flush()

    assert merchant.received == []


def test_every_call_is_remembered(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=10)
    answered = caller.cancel(trade).json()

    [call] = control.requests()
    assert call["path"].endswith("/cancel")
    assert call["requestId"] == answered["requestId"]
    assert call["authenticatedAs"] == f"client {trade['clientSteamID']}"
    assert (call["method"], call["status"], call["key"], call["effect"]) == (
        "POST",
        400,
        "TRADE_CANCEL_TOO_SOON",
        False,
    )


def test_the_state_shows_trades_agenda_switches_and_faults(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=2000)
    caller.cancel(trade)
    control.fault("status")

    state = control.state()

    assert state["trades"][0]["id"] == trade["id"]
    assert state["agenda"][0]["status"] == "reverted"
    assert state["switches"]["cancels_per_minute"] == 10
    assert state["faults"][0]["kind"] == "status"


def test_a_reset_forgets_everything(control: SandboxControl, caller: Caller) -> None:
    control.make_trade(age_seconds=2000)
    control.switch(maintenance=True)
    control.fault("status")
    control.advance(1000)
    control.reset()

    state = control.state()
    assert (state["trades"], state["agenda"], state["faults"]) == ([], [], [])
    assert state["switches"]["maintenance"] is False
    assert control.requests() == control.deliveries() == []


def test_bodies_that_are_no_json_objects_are_refused(caller: Caller) -> None:
    for body in (b"{", b"[]", b"7"):
        response = caller.http.post("/_control/trades", content=body)
        assert (response.status_code, "JSON" in response.json()["error"]) == (400, True)


def test_strangers_get_no_control() -> None:
    answer = answer_control(Sandbox(Config()), "GET", "/_control/state", b"", loopback=False)

    assert answer.status == 403


@pytest.mark.parametrize("name", ["nul \x00 inside", "half \ud83d surrogate", "right \u202e to left", "🔪" * 40])
def test_poisonous_names_survive_the_wire(
    control: SandboxControl, caller: Caller, merchant: Merchant, name: str
) -> None:
    trade = control.make_trade(items=[{"name": name}])
    control.flush()

    assert caller.read_trade(trade)["items"][0]["name"] == name
    assert merchant.trades[0]["items"][0]["name"] == name
