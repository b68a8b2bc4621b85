import pytest

from sandbox.client import SandboxControl
from tests.sandbox.acting import Caller, Json, key, segment

OLD = 1801


def test_an_old_enough_item_is_taken_for_cancelling(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD, items=[{"external_id": "order-1/line-1"}])

    response = caller.cancel(trade)

    assert response.status_code == 200
    assert response.json()["success"] is True
    assert response.json()["data"] == {
        "tradeId": trade["id"],
        "itemId": trade["items"][0]["id"],
        "externalId": "order-1/line-1",
        "status": "cancelled",
    }


def test_the_answer_alone_changes_nothing_about_the_item(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD)

    caller.cancel(trade)

    assert caller.read_trade(trade)["items"][0]["status"] == "pending"


def test_an_item_too_young_is_refused_until_its_window_opens(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=1700)

    early = caller.cancel(trade)
    control.advance(100)
    in_time = caller.cancel(trade)

    assert (early.status_code, key(early), early.json()["error"]["code"]) == (400, "TRADE_CANCEL_TOO_SOON", 27)
    assert in_time.status_code == 200


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "declined", "reverted"])
def test_an_ended_item_is_not_cancellable(control: SandboxControl, caller: Caller, status: str) -> None:
    trade = control.make_trade(age_seconds=OLD, status=status)

    response = caller.cancel(trade)

    assert (key(response), response.json()["error"]["code"]) == ("TRADE_NOT_CANCELLABLE", 28)


def test_declined_can_be_switched_to_still_cancellable(control: SandboxControl, caller: Caller) -> None:
    control.switch(declined_is_final=False, cancellable_statuses=["pending", "declined"])
    declined = control.make_trade(age_seconds=OLD, status="declined")
    offered = control.make_trade(age_seconds=OLD, status="active")

    assert caller.cancel(declined).status_code == 200
    assert key(caller.cancel(offered)) == "TRADE_NOT_CANCELLABLE"


def test_rust_has_no_cancelling(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD, game="252490")

    assert key(caller.cancel(trade)) == "TRADE_CANCEL_UNSUPPORTED"


def test_rust_can_be_switched_to_the_older_key(control: SandboxControl, caller: Caller) -> None:
    control.switch(rust_refusal="TRADE_NOT_CANCELLABLE", cancel_refusal_status=409)
    trade = control.make_trade(age_seconds=OLD, game="252490")

    response = caller.cancel(trade)

    assert (response.status_code, key(response)) == (409, "TRADE_NOT_CANCELLABLE")


def test_items_of_the_internal_pool_have_no_cancelling(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD, items=[{"internal_pool": True}])

    assert key(caller.cancel(trade)) == "TRADE_CANCEL_UNSUPPORTED"


def test_a_deposit_is_not_cancellable(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD, type="deposit")

    assert key(caller.cancel(trade)) == "TRADE_NOT_CANCELLABLE"


def test_a_repeat_in_flight_is_answered_again_but_has_one_effect(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD)

    answers = [caller.cancel(trade).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert [call["effect"] for call in control.requests()] == [True, False]
    assert len(control.state()["agenda"]) == 1


def test_a_repeat_in_flight_can_be_switched_to_a_refusal(control: SandboxControl, caller: Caller) -> None:
    control.switch(repeat_cancel="refuse")
    trade = control.make_trade(age_seconds=OLD)
    caller.cancel(trade)

    assert key(caller.cancel(trade)) == "TRADE_NOT_CANCELLABLE"


def test_somebody_elses_trade_is_forbidden(control: SandboxControl, caller: Caller) -> None:
    theirs = control.make_trade(age_seconds=OLD, steam_id="76561198000000001")
    mine = control.make_trade(age_seconds=OLD, steam_id="76561198000000002")

    response = caller.cancel(theirs, headers=caller.as_customer(mine))

    assert (response.status_code, key(response), response.json()["error"]["code"]) == (403, "FORBIDDEN", 1300)


def test_ownership_goes_by_steam_account_whatever_the_trade_url(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD)
    renewed = {**trade, "clientTradeUrl": trade["clientTradeUrl"][:-8] + "newtoken"}

    assert caller.cancel(trade, headers=caller.as_customer(renewed)).status_code == 200


def test_unknown_trades_and_items_are_told_apart(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD)

    no_trade = caller.cancel({**trade, "id": "no-such-trade"})
    no_item = caller.cancel({**trade, "items": [{"id": "no-such-item"}]})

    assert (no_trade.status_code, key(no_trade), no_trade.json()["error"]["code"]) == (404, "TRADE_NOT_FOUND", 21)
    assert (no_item.status_code, key(no_item), no_item.json()["error"]["code"]) == (404, "ITEM_NOT_FOUND", 2201)


@pytest.mark.parametrize("unknown", ["ITEM_NOT_FOUND", "NOT_FOUND", "FORBIDDEN"])
def test_the_key_for_an_unknown_trade_is_a_switch(control: SandboxControl, caller: Caller, unknown: str) -> None:
    control.switch(unknown_trade_key=unknown)
    trade = control.make_trade(age_seconds=OLD)

    assert key(caller.cancel({**trade, "id": "no-such-trade"})) == unknown


@pytest.mark.parametrize("ref", ["../../v1/wallets", "50% off?", "ärger & co", "a b/c#d"])
def test_ids_may_be_free_text(control: SandboxControl, caller: Caller, ref: str) -> None:
    trade = control.make_trade(age_seconds=OLD, external_id=f"T {ref}", items=[{"external_id": ref}])

    path = f"/client/trading/withdraw/{segment(f'T {ref}')}/items/{segment(ref)}/cancel"
    response = caller.http.post(path, headers=caller.as_customer(trade))

    assert response.json()["data"]["tradeId"] == trade["id"]


def test_an_overlong_item_reference_fails_validation(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=OLD)

    response = caller.cancel({**trade, "items": [{"id": "x" * 129}]})

    assert (response.status_code, key(response)) == (422, "VALIDATION_FAILED")
    assert response.json()["error"]["fields"] == {"item": "bad value"}


def test_the_secure_route_cancels_the_merchants_own_purchases_only(control: SandboxControl, caller: Caller) -> None:
    own = control.make_trade(age_seconds=OLD, source="self")
    client = control.make_trade(age_seconds=OLD)

    def cancel(trade: Json) -> int:
        path = f"/secure/buy/{trade['id']}/items/{trade['items'][0]['id']}/cancel"
        return caller.http.post(path, headers=caller.as_merchant).status_code

    assert cancel(own) == 200
    assert cancel(client) == 404


def test_the_merchants_own_purchase_is_not_the_customers(control: SandboxControl, caller: Caller) -> None:
    own = control.make_trade(age_seconds=OLD, source="self")

    assert key(caller.cancel(own)) == "FORBIDDEN"
