import uuid
from decimal import Decimal

import pytest
import simplejson

from sandbox.client import SandboxControl
from tests.sandbox.acting import Caller, Json, key


def pages(caller: Caller, path: str, headers: dict[str, str], **query: str) -> list[Json]:
    found: list[Json] = []
    while True:
        data = caller.http.get(path, params=query, headers=headers).json()["data"]
        found.append(data)
        if data["nextCursor"] is None:
            return found
        query["cursor"] = data["nextCursor"]


def test_one_reference_gives_an_object_and_two_an_array(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(external_id="order 7/b")

    assert caller.read(trade["id"]).json()["data"]["id"] == trade["id"]
    assert caller.read("order 7/b").json()["data"]["id"] == trade["id"]
    both = caller.read("missing", "order 7/b").json()["data"]
    assert [each["id"] for each in both] == [trade["id"]]


def test_a_lone_miss_is_404_and_a_batch_of_misses_is_empty(caller: Caller, control: SandboxControl) -> None:
    lone = caller.read("missing")

    assert (lone.status_code, key(lone)) == (404, "TRADE_NOT_FOUND")
    assert caller.read("missing", "also-missing").json()["data"] == []


def test_a_hundred_references_are_read_and_more_refused(control: SandboxControl, caller: Caller) -> None:
    refs = [str(uuid.uuid4()) for _ in range(101)]

    assert caller.read(*refs[:100]).status_code == 200
    assert key(caller.read(*refs)) == "VALIDATION_FAILED"


def test_the_status_of_a_failed_validation_is_a_switch(control: SandboxControl, caller: Caller) -> None:
    control.switch(validation_status=400)

    assert caller.read("a", "").status_code == 400


def test_end_users_trades_can_be_hidden_from_the_api_key(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade()
    control.switch(secure_reads_client_trades=False)

    assert key(caller.read(trade["id"])) == "TRADE_NOT_FOUND"


def test_the_client_lookup_exists_only_when_switched_on(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade()
    path, headers = f"/client/trades/{trade['id']}", caller.as_customer(trade)

    before = caller.http.get(path, headers=headers)
    control.switch(client_trade_lookup=True)
    after = caller.http.get(path, headers=headers)

    assert (before.status_code, key(before)) == (404, "NOT_FOUND")
    assert after.json()["data"]["id"] == trade["id"]


def test_pages_hold_every_trade_once_newest_first(control: SandboxControl, caller: Caller) -> None:
    made = [control.make_trade(age_seconds=100 + number, announce=False) for number in range(5)]
    control.make_trade(steam_id="76561198000000009", announce=False)

    found = pages(caller, "/client/trades", caller.as_customer(made[0]), limit="2")

    ids = [trade["id"] for page in found for trade in page["items"]]
    assert ids == [trade["id"] for trade in made]
    assert [len(page["items"]) for page in found] == [2, 2, 1]


def test_a_trade_born_while_paging_moves_nobody_to_another_page(control: SandboxControl, caller: Caller) -> None:
    made = [control.make_trade(age_seconds=100 + number, announce=False) for number in range(4)]
    headers = caller.as_customer(made[0])
    first = caller.http.get("/client/trades", params={"limit": "2"}, headers=headers).json()["data"]

    control.make_trade(announce=False)
    rest = caller.http.get(
        "/client/trades", params={"limit": "2", "cursor": first["nextCursor"]}, headers=headers
    ).json()["data"]

    assert [trade["id"] for trade in rest["items"]] == [trade["id"] for trade in made[2:]]


def test_rust_needs_a_listing_of_its_own(control: SandboxControl, caller: Caller) -> None:
    skin = control.make_trade(announce=False)
    door = control.make_trade(game="252490", announce=False)
    headers = caller.as_customer(skin)

    [page] = pages(caller, "/client/trades", headers)
    [rust] = pages(caller, "/client/trades", headers, game="252490")

    assert [trade["id"] for trade in page["items"]] == [skin["id"]]
    assert [trade["id"] for trade in rust["items"]] == [door["id"]]


def test_the_secure_listing_holds_the_merchants_own_trades_only(control: SandboxControl, caller: Caller) -> None:
    control.make_trade(announce=False)
    own = control.make_trade(source="self", announce=False)
    control.make_trade(source="self", type="deposit", announce=False)

    [page] = pages(caller, "/secure/trades", caller.as_merchant, type="withdraw")

    assert [trade["id"] for trade in page["items"]] == [own["id"]]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "101"}, {"type": "x"}, {"cursor": "%%%"}])
def test_a_bad_query_names_its_field(control: SandboxControl, caller: Caller, query: dict[str, str]) -> None:
    response = caller.http.get("/secure/trades", params=query, headers=caller.as_merchant)

    assert list(response.json()["error"]["fields"]) == list(query)


def test_money_is_a_plain_json_number(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(items=[{"price": "0.1"}, {"price": "0.20"}, {"price": 100}])

    data = simplejson.loads(caller.read(trade["id"]).content, use_decimal=True)["data"]

    assert data["totalPrice"] == Decimal("100.3")
    assert '"totalPrice":100.3' in caller.read(trade["id"]).text
    assert '"price":100,' in caller.read(trade["id"]).text


def test_absent_fields_are_left_out_and_never_null(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade()

    assert "null" not in caller.read(trade["id"]).text
    assert "name" not in trade["items"][0]


def test_request_ids_are_ours_unless_switched(control: SandboxControl, caller: Caller) -> None:
    given = str(uuid.uuid4())

    def answered() -> str:
        response = caller.http.get("/health", headers={"x-request-id": given})
        found: str = response.json()["requestId"]
        assert response.headers["x-request-id"] == found
        return found

    assert uuid.UUID(answered()).version == 4
    assert answered() != given
    control.switch(adopt_request_id=True)
    assert answered() == given


def test_maintenance_stops_everything_but_health(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=2000)
    control.switch(maintenance=True)

    stopped, spared = caller.read(trade["id"]), caller.http.get("/health")

    assert (stopped.status_code, key(stopped)) == (503, "SYSTEM_MAINTENANCE")
    assert spared.json()["data"]["maintenance"]["mode"] == "on"
    assert caller.cancel(trade).status_code == 503
    control.switch(maintenance_blocks_cancels=False)
    assert caller.cancel(trade).status_code == 200


def test_an_unknown_address_is_answered_in_the_envelope(control: SandboxControl, caller: Caller) -> None:
    response = caller.http.get("/client/nowhere")

    assert (response.status_code, key(response)) == (404, "NOT_FOUND")
