import time
from typing import Any

import pytest

from sandbox.client import SandboxControl
from sandbox.testing import RunningSandbox
from tests.sandbox.acting import Caller, Json, key


@pytest.fixture
def trade(control: SandboxControl) -> Json:
    return control.make_trade(age_seconds=2000)


def read_own(caller: Caller, authorization: str | None) -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return caller.http.get("/client/trades", headers=headers)


def test_a_token_is_welcome_with_bearer_and_bare(caller: Caller, trade: Json) -> None:
    token = caller.token(trade)

    assert read_own(caller, f"Bearer {token}").status_code == 200
    assert read_own(caller, token).status_code == 200


@pytest.mark.parametrize(("form", "refused"), [("bearer", "{}"), ("bare", "Bearer {}")])
def test_one_form_of_the_header_can_be_ruled_out(
    control: SandboxControl, caller: Caller, trade: Json, form: str, refused: str
) -> None:
    control.switch(authorization=form)

    assert key(read_own(caller, refused.format(caller.token(trade)))) == "MISSING_BEARER"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dXNlcjpwYXNz"])
def test_no_token_is_told_apart_from_a_bad_one(caller: Caller, trade: Json, header: str | None) -> None:
    response = read_own(caller, header)

    assert (response.status_code, key(response), response.json()["error"]["code"]) == (401, "MISSING_BEARER", 1108)


def test_a_token_signed_with_any_secret_of_the_merchant_is_good(
    sandbox: RunningSandbox, caller: Caller, trade: Json
) -> None:
    statuses = [read_own(caller, caller.token(trade, secret=each)).status_code for each in sandbox.secrets]

    assert statuses == [200, 200]


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "a-secret-the-merchant-has-never-had-01"},
        {"user_id": "somebody-else"},
        {"claims": {"merchantId": "somebody-else"}},
        {"claims": {"client": {"steamID": "76561198034202275"}}},
        {"claims": {"client": {"steamID": "12", "tradeUrl": "https://example.org"}}},
        {"claims": {"client": None}},
        {"claims": {"exp": "tomorrow"}},
    ],
)
def test_a_token_wrong_in_any_part_is_invalid(caller: Caller, trade: Json, changes: Json) -> None:
    response = read_own(caller, caller.token(trade, **changes))

    assert (response.status_code, key(response), response.json()["error"]["code"]) == (401, "INVALID_TOKEN", 1102)


@pytest.mark.parametrize("name", ["TOKEN_EXPIRED", "TOKEN_INVALID_OR_EXPIRED", "INVALID_TOKEN"])
def test_the_key_for_an_expired_token_is_a_switch(
    control: SandboxControl, caller: Caller, trade: Json, name: str
) -> None:
    control.switch(expired_token_key=name)

    response = read_own(caller, caller.token(trade, claims={"exp": int(time.time()) - 1}))

    assert (response.status_code, key(response)) == (401, name)


def test_the_api_key_is_asked_for_and_checked(control: SandboxControl, caller: Caller) -> None:
    def read(headers: dict[str, str]) -> tuple[int, str, int]:
        response = caller.http.get("/secure/trades", headers=headers)
        return response.status_code, key(response), response.json()["error"]["code"]

    assert read({}) == (401, "MISSING_API_KEY", 1900)
    assert read({"api-key": "ap_wrong"}) == (401, "INVALID_API_KEY", 1901)
    control.switch(api_key_lacks_scope=True)
    assert read(caller.as_merchant) == (403, "INSUFFICIENT_SCOPE", 1903)


def test_a_token_issued_by_the_api_signs_in(caller: Caller, trade: Json) -> None:
    body = {"clientSteamId": trade["clientSteamID"], "clientTradeUrl": trade["clientTradeUrl"]}

    response = caller.http.post("/auth/authenticate-client", json=body, headers=caller.as_merchant)

    token = response.json()["data"]["token"]
    assert read_own(caller, f"Bearer {token}").json()["data"]["items"][0]["id"] == trade["id"]


def test_authentication_comes_before_everything_else(caller: Caller, trade: Json) -> None:
    response = caller.cancel({**trade, "id": "no-such-trade"}, headers={"api-key": "ap_wrong"})

    assert response.status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"items": NaN}', b"[" * 3000, b'{"items":[{}]}'])
@pytest.mark.parametrize("path", ["/client/trading/withdraw", "/secure/buy", "/auth/authenticate-client"])
def test_any_body_is_answered_with_an_envelope(caller: Caller, trade: Json, path: str, body: bytes) -> None:
    headers = {**caller.as_customer(trade), **caller.as_merchant}

    response = caller.http.post(path, content=body, headers=headers)

    assert (response.status_code, key(response)) == (422, "VALIDATION_FAILED")
