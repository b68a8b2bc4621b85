import pytest

from sandbox.client import SandboxControl
from sandbox.statuses import Status, trade_status


@pytest.mark.parametrize(
    ("items", "trade"),
    [
        (["pending", "active", "reverted"], "active"),
        (["hold", "pending", "completed"], "hold"),
        (["completed", "reverted"], "completed"),
        (["failed", "failed"], "failed"),
        (["failed", "declined"], "reverted"),
    ],
)
def test_the_trade_shows_its_most_advanced_item(items: list[str], trade: str) -> None:
    assert trade_status(map(Status, items)) == trade


def test_the_least_advanced_item_can_be_shown_instead(control: SandboxControl) -> None:
    control.switch(mixed_open_status="least_advanced")
    trade = control.make_trade(items=[{}, {}])

    changed = control.change_item(trade["id"], trade["items"][0]["id"], status="hold")

    assert changed["status"] == "pending"


def test_updated_at_moves_strictly_forward(control: SandboxControl) -> None:
    trade = control.make_trade()

    seen = [trade["updatedAt"]]
    for status in ("active", "hold", "completed", "reverted") * 10:
        seen.append(control.change_trade(trade["id"], status=status, announce=False)["updatedAt"])

    assert seen == sorted(set(seen))


def test_a_completed_trade_may_still_be_reverted_by_the_user(control: SandboxControl) -> None:
    trade = control.make_trade(status="completed", items=[{}, {"status": "failed"}])

    changed = control.change_trade(trade["id"], status="reverted", reverted_by="user")

    assert (changed["status"], changed["revertedBy"]) == ("reverted", "user")
    assert [item["status"] for item in changed["items"]] == ["reverted", "failed"]
