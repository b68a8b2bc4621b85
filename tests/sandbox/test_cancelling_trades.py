import pytest

from sandbox.client import SandboxControl
from tests.sandbox.acting import Caller, key

OLD = 1801


def test_a_whole_trade_answers_item_by_item(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(
        age_seconds=OLD,
        items=[
            {"external_id": "line-1"},
            {"status": "completed"},
            {"internal_pool": True},
            {"supplier": "refuse"},
        ],
    )

    response = caller.cancel_all(trade)

    data = response.json()["data"]
    ids = [item["id"] for item in trade["items"]]
    assert response.status_code == 200
    assert (data["requested"], data["cancelled"], data["failed"]) == (2, 1, 3)
    assert data["items"] == [
        {"itemId": ids[0], "externalId": "line-1", "status": "cancelled"},
        {"itemId": ids[1], "status": "failed", "reason": "TRADE_NOT_CANCELLABLE"},
        {"itemId": ids[2], "status": "failed", "reason": "TRADE_CANCEL_UNSUPPORTED"},
        {"itemId": ids[3], "status": "failed", "reason": "TRADE_NOT_CANCELLABLE"},
    ]


def test_a_whole_trade_too_young_still_answers_200(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=5)

    data = caller.cancel_all(trade).json()["data"]

    assert (data["requested"], data["cancelled"], data["failed"]) == (0, 0, 1)
    assert data["items"][0]["reason"] == "TRADE_CANCEL_TOO_SOON"


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"game": "252490"}, "TRADE_CANCEL_UNSUPPORTED"),
        ({"status": "completed"}, "TRADE_NOT_CANCELLABLE"),
        ({"type": "deposit"}, "TRADE_NOT_CANCELLABLE"),
    ],
)
def test_a_trade_of_which_nothing_can_be_cancelled_is_refused(
    control: SandboxControl, caller: Caller, spec: dict[str, str], refusal: str
) -> None:
    trade = control.make_trade(age_seconds=OLD, **spec)

    assert key(caller.cancel_all(trade)) == refusal


def test_the_secure_route_cancels_whole_purchases(control: SandboxControl, caller: Caller) -> None:
    own = control.make_trade(age_seconds=OLD, source="self", items=[{}, {}])

    response = caller.http.post(f"/secure/buy/{own['id']}/cancel", headers=caller.as_merchant)

    assert response.json()["data"]["cancelled"] == 2
