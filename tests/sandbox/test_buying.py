from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox
from tests.sandbox.acting import Caller, Json, Merchant, key

WHO = {
    "clientSteamID": "76561198034202275",
    "clientTradeUrl": "https://steamcommunity.com/tradeoffer/new/?partner=73936547&token=abcd1234",
}


@pytest.fixture
def listing(control: SandboxControl) -> Json:
    found: Json = next(each for each in control.state()["listings"] if each["game"] == "730")
    return found


def order(listing: Json, **more: Any) -> Json:
    return {"items": [{"itemId": listing["itemId"], "price": float(listing["price"])}], **more}


def withdraw(caller: Caller, body: Json) -> Any:
    return caller.http.post("/client/trading/withdraw", json=body, headers=caller.as_customer(WHO))


def test_a_withdrawal_starts_initiated_and_is_bought_once_approved(
    control: SandboxControl, caller: Caller, merchant: Merchant, listing: Json
) -> None:
    response = withdraw(caller, order(listing, externalId="w-1", autoCancel=60))
    control.flush()
    control.advance(1)
    control.flush()

    trade = response.json()["data"]
    assert (response.status_code, trade["status"], trade["items"][0]["id"]) == (
        200,
        "initiated",
        listing["itemId"],
    )
    assert [each["status"] for each in merchant.trades] == ["initiated", "pending"]
    # Names are looked up after the purchase has begun.
    assert ["name" in each["items"][0] for each in merchant.trades] == [False, True]


def test_auto_cancel_is_on_unless_720(caller: Caller, control: SandboxControl) -> None:
    first, second, *_ = (each for each in control.state()["listings"] if each["game"] == "730")

    assert "autoCancelAt" in withdraw(caller, order(first)).json()["data"]
    assert "autoCancelAt" not in withdraw(caller, order(second, autoCancel=720)).json()["data"]


def test_the_merchant_buys_for_itself(caller: Caller, listing: Json) -> None:
    body = order(listing, tradeUrl=WHO["clientTradeUrl"])

    response = caller.http.post("/secure/buy", json=body, headers=caller.as_merchant)

    assert response.json()["data"]["source"] == "self"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"items": []}, "VALIDATION_FAILED"),
        ({"surprise": 1}, "VALIDATION_FAILED"),
        ({"autoCancel": 29}, "VALIDATION_FAILED"),
        ({"items": [{"itemId": "no-such-listing", "price": 5}]}, "LISTING_NOT_FOUND"),
        ({"externalId": "taken"}, "EXTERNAL_ID_EXISTS"),
    ],
)
def test_an_impossible_order_is_refused(
    control: SandboxControl, caller: Caller, listing: Json, change: Json, expected: str
) -> None:
    control.make_trade(external_id="taken")

    assert key(withdraw(caller, {**order(listing), **change})) == expected


def test_a_higher_price_needs_leave(caller: Caller, listing: Json) -> None:
    low = float(listing["price"]) * 0.95
    body = {"items": [{"itemId": listing["itemId"], "price": low}]}

    assert key(withdraw(caller, body)) == "PRICE_CHANGED"
    assert withdraw(caller, {**body, "slippageBps": 1000}).status_code == 200


def test_pauses_and_missing_urls_stop_buying(control: SandboxControl, caller: Caller, listing: Json) -> None:
    control.switch(withdrawals_paused=True)
    paused = withdraw(caller, order(listing))
    control.switch(withdrawals_paused=False, callback_url="")
    homeless = withdraw(caller, order(listing))

    assert (paused.status_code, key(paused)) == (503, "WITHDRAWALS_PAUSED")
    assert key(homeless) == "MERCHANT_NO_CALLBACK_URL"


def test_the_wallet_gets_back_what_was_reverted(
    sandbox: RunningSandbox, control: SandboxControl, caller: Caller
) -> None:
    def wallet() -> tuple[float, float]:
        data = caller.http.get("/v1/wallets/me/balance", headers=caller.as_merchant).json()["data"]
        return data["balance"], data["pendingBalance"]

    before = wallet()
    trade = control.make_trade(items=[{"price": 40}], status="pending")
    locked = wallet()
    control.change_trade(trade["id"], status="reverted")

    assert locked == (before[0] - 40, before[1] + 40)
    assert wallet() == before
