import time

import httpx
import pytest

from sandbox.client import ControlRefused, SandboxControl
from tests.sandbox.acting import Caller, Json, key


@pytest.fixture
def trade(control: SandboxControl) -> Json:
    return control.make_trade(age_seconds=2000, announce=False)


def effects(control: SandboxControl) -> list[bool]:
    return [call["effect"] for call in control.requests()]


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_strikes_before_or_after_the_effect(
    control: SandboxControl, caller: Caller, trade: Json, kind: str, effect: bool
) -> None:
    control.fault(kind, route="cancel_item")

    with pytest.raises(httpx.ReadError, match="reset"):
        caller.cancel(trade)

    assert effects(control) == [effect]
    assert control.requests()[0]["status"] is None
    assert caller.cancel(trade).status_code == 200


@pytest.mark.parametrize("effect", [False, True])
def test_a_hang_outlasts_the_callers_patience(
    control: SandboxControl, caller: Caller, trade: Json, effect: bool
) -> None:
    control.fault("hang", route="cancel_item", seconds=0.4, effect=effect)
    caller.http.timeout = httpx.Timeout(0.15)

    with pytest.raises(httpx.ReadTimeout):
        caller.cancel(trade)

    assert effects(control) == [effect]


def test_slow_work_is_done_after_the_caller_has_given_up(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("slow", route="cancel_item", seconds=0.3)
    caller.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        caller.cancel(trade)
    before = effects(control)

    deadline = time.monotonic() + 3
    while effects(control) == before and time.monotonic() < deadline:
        time.sleep(0.02)

    assert (before, effects(control)) == ([False], [True])


def test_a_server_error_is_an_envelope_and_may_hide_an_effect(
    control: SandboxControl, caller: Caller, trade: Json
) -> None:
    control.fault("status", route="cancel_item", times=2)
    control.fault("status", route="cancel_item", status=503, key="FLEET_DEGRADED", retry_after=30, effect=True)

    answers = [caller.cancel(trade) for _ in range(3)]

    assert [(each.status_code, key(each)) for each in answers] == [
        (500, "SERVER_ERROR"),
        (500, "SERVER_ERROR"),
        (503, "FLEET_DEGRADED"),
    ]
    assert answers[2].headers["retry-after"] == "30"
    assert effects(control) == [False, False, True]


def test_a_proxy_may_answer_html_with_any_status(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("html")
    control.fault("html", status=200, effect=True)

    bad_gateway, fine = caller.cancel(trade), caller.cancel(trade)

    assert (bad_gateway.status_code, fine.status_code) == (502, 200)
    assert fine.headers["content-type"].startswith("text/html")
    assert effects(control) == [False, True]


def test_an_answer_may_be_empty_truncated_or_oversized(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("empty")
    assert (caller.cancel(trade).status_code, caller.http.get("/health").status_code) == (200, 200)

    control.fault("truncated")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.cancel(trade)

    control.fault("oversized", size=3_000_000)
    assert len(caller.cancel(trade).content) > 3_000_000


def test_an_answer_may_drip_slowly(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("slow_drip", route="read_trades", seconds=0.3)

    began = time.monotonic()
    response = caller.read(trade["id"])

    assert response.json()["data"]["id"] == trade["id"]
    assert time.monotonic() - began >= 0.25


def test_an_answer_may_speak_of_other_ids(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("wrong_ids", route="cancel_item")

    data = caller.cancel(trade).json()["data"]

    assert data["status"] == "cancelled"
    assert data["tradeId"] != trade["id"]
    assert data["itemId"] != trade["items"][0]["id"]


@pytest.mark.parametrize(("form", "header"), [(None, None), (7, "7"), ("absurd", "315360000"), ("date", "GMT")])
def test_a_429_carries_retry_after_in_any_form(
    control: SandboxControl, caller: Caller, trade: Json, form: object, header: str | None
) -> None:
    control.fault("rate_limited", retry_after=form)

    response = caller.cancel(trade)

    assert (response.status_code, key(response)) == (429, "RATE_LIMITED")
    assert (response.headers.get("retry-after") or "").endswith(header or "")
    assert ("retry-after" in response.headers) == (header is not None)


@pytest.mark.parametrize(("kind", "status", "code"), [("maintenance", 503, 1007), ("token_expired", 401, 1111)])
def test_named_refusals_come_on_demand(
    control: SandboxControl, caller: Caller, trade: Json, kind: str, status: int, code: int
) -> None:
    control.fault(kind)

    response = caller.cancel(trade)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_any_key_code_and_status_can_be_made_up(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("error", key="NEVER_HEARD_OF", code=4711, status=418)

    response = caller.cancel(trade)

    assert (response.status_code, key(response), response.json()["error"]["code"]) == (418, "NEVER_HEARD_OF", 4711)


def test_a_fault_strikes_its_own_route_and_path_only(control: SandboxControl, caller: Caller, trade: Json) -> None:
    other = control.make_trade(age_seconds=2000, announce=False)
    control.fault("status", route="cancel_item", path_contains=other["id"])

    assert caller.read(other["id"]).status_code == 200
    assert caller.cancel(trade).status_code == 200
    assert caller.cancel(other).status_code == 500
    assert caller.cancel(other).status_code == 200


def test_faults_can_be_called_off(control: SandboxControl, caller: Caller, trade: Json) -> None:
    control.fault("status", times=100)
    control.clear_faults()

    assert caller.cancel(trade).status_code == 200


def test_an_unknown_kind_of_fault_is_refused(control: SandboxControl) -> None:
    with pytest.raises(ControlRefused, match="kind"):
        control.fault("earthquake")
