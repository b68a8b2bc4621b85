"""The endpoints: what is asked, with which credentials, and what is made of the answers."""

import copy
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests.wire import trade_document
from withdrawals.assetpay.cancels import CancelAnswer, ItemOutcome, TradeCancelAnswer
from withdrawals.assetpay.client import AssetPayClient
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, TokenRejected, ToldToWait
from withdrawals.assetpay.reads import Health

TRADE = "0f6cbe3a-6d2e-4b7e-9f0a-1c1d4a5b6c7d"
ITEM = "019a2b3c-4d5e-8f70-8123-456789abcdef"
OTHER = "11111111-2222-4333-8444-555555555555"
CANCELLED = {"tradeId": TRADE, "itemId": ITEM, "status": "cancelled"}
TRADE_CANCELLED = {
    "tradeId": TRADE,
    "requested": 1,
    "cancelled": 1,
    "failed": 1,
    "items": [
        {"itemId": ITEM, "externalId": "line-1", "status": "cancelled"},
        {"itemId": OTHER, "status": "failed", "reason": "TRADE_CANCEL_TOO_SOON"},
    ],
}

type Answer = httpx.Response | Exception
type Script = Callable[[httpx.Request], Answer]


def yes(data: object) -> httpx.Response:
    return httpx.Response(200, json={"requestId": "req-1", "success": True, "data": data})


def no(key: str, status: int = 400, code: int | None = None, **headers: str) -> httpx.Response:
    error = {"key": key, "code": code, "message": "no"}
    return httpx.Response(
        status,
        json={"requestId": "req-1", "success": False, "error": error},
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


@dataclass
class Far:
    """The far side: answers by script and remembers what it was asked."""

    script: Script
    requests: list[httpx.Request] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode() for request in self.requests]


@pytest.fixture
def far() -> Far:
    return Far(lambda request: no("NOT_FOUND", 404))


@pytest.fixture
def client(far: Far) -> Iterator[AssetPayClient]:
    with AssetPayClient(
        base_url="https://assetpay.test", api_key="ap_1", transport=httpx.MockTransport(far.answer)
    ) as client:
        yield client


def in_turn(*answers: Answer) -> Script:
    waiting = list(answers)
    return lambda request: waiting.pop(0)


CANCELS = {
    "item as client": (
        lambda client, **more: client.cancel_item_as_client(trade_id=TRADE, item_id=ITEM, token="a.b.c", **more),
        f"/client/trading/withdraw/{TRADE}/items/{ITEM}/cancel",
        CANCELLED,
    ),
    "item as merchant": (
        lambda client, **more: client.cancel_item_as_merchant(trade_id=TRADE, item_id=ITEM, **more),
        f"/secure/buy/{TRADE}/items/{ITEM}/cancel",
        CANCELLED,
    ),
    "trade as client": (
        lambda client, **more: client.cancel_trade_as_client(trade_id=TRADE, token="a.b.c", **more),
        f"/client/trading/withdraw/{TRADE}/cancel",
        TRADE_CANCELLED,
    ),
    "trade as merchant": (
        lambda client, **more: client.cancel_trade_as_merchant(trade_id=TRADE, **more),
        f"/secure/buy/{TRADE}/cancel",
        TRADE_CANCELLED,
    ),
}


@pytest.mark.parametrize("name", CANCELS)
def test_a_cancel_is_one_post_without_a_body(far, client, name):
    cancel, path, data = CANCELS[name]
    far.script = in_turn(yes(data))

    cancel(client)

    (request,) = far.requests
    assert (request.method, far.paths, request.content) == ("POST", [path], b"")
    assert uuid.UUID(request.headers["x-request-id"]).version == 4


@pytest.mark.parametrize("name", CANCELS)
def test_each_route_shows_its_own_credentials_and_no_others(far, client, name):
    cancel, _, data = CANCELS[name]
    far.script = in_turn(yes(data))

    cancel(client)

    headers = far.requests[0].headers
    shown = {key: headers[key] for key in ("api-key", "authorization") if key in headers}
    assert shown == ({"authorization": "Bearer a.b.c"} if "client" in name else {"api-key": "ap_1"})


@pytest.mark.parametrize("name", CANCELS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ReadTimeout("x"), OutcomeUnknown),
        (httpx.ConnectError("x"), NotSent),
        (no("TOKEN_EXPIRED", 401), TokenRejected),
        (no("FLEET_DEGRADED", 503, retry_after="1"), ToldToWait),
        (no("RATE_LIMITED", 429), ToldToWait),
        (no("SERVER_ERROR", 500), OutcomeUnknown),
        (no("TRADE_NOT_CANCELLABLE", 400), Refused),
    ],
    ids=lambda value: "",
)
def test_a_cancel_is_never_repeated_by_itself(far, client, name, answer, error):
    cancel, _, data = CANCELS[name]
    far.script = in_turn(answer, yes(data))

    with pytest.raises(error):
        cancel(client)

    assert len(far.requests) == 1


@pytest.mark.parametrize("name", CANCELS)
def test_the_callers_request_id_is_sent(far, client, name):
    cancel, _, data = CANCELS[name]
    far.script = in_turn(yes(data))
    request_id = str(uuid.uuid4())

    cancel(client, request_id=request_id)

    assert far.requests[0].headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "mine", "00000000-0000-1000-8000-000000000000"])
def test_a_request_id_of_another_kind_is_refused_before_sending(far, client, request_id):
    with pytest.raises(ValueError):
        client.cancel_trade_as_merchant(trade_id=TRADE, request_id=request_id)

    assert far.requests == []


def test_an_accepted_item_is_named(far, client):
    far.script = in_turn(yes(CANCELLED | {"externalId": "line-1"}))

    answer = client.cancel_item_as_merchant(trade_id=TRADE, item_id=ITEM)

    assert answer == CancelAnswer(TRADE, ITEM, "line-1", "req-1")


def test_uuids_may_come_back_in_another_case(far, client):
    far.script = in_turn(yes(CANCELLED | {"tradeId": TRADE.upper(), "itemId": ITEM.upper()}))

    assert client.cancel_item_as_merchant(trade_id=TRADE, item_id=ITEM).item_id == ITEM


def test_free_text_ids_may_not(far, client):
    far.script = in_turn(yes({"tradeId": "Order", "itemId": "line", "status": "cancelled"}))

    with pytest.raises(OutcomeUnknown):
        client.cancel_item_as_merchant(trade_id="order", item_id="line")


def test_a_mixed_trade_cancel_tells_item_by_item(far, client):
    far.script = in_turn(yes(TRADE_CANCELLED))

    answer = client.cancel_trade_as_client(trade_id=TRADE, token="a.b.c")

    assert answer == TradeCancelAnswer(
        trade_id=TRADE,
        requested=1,
        cancelled=1,
        failed=1,
        items=(
            ItemOutcome(ITEM, "line-1", "cancelled", None),
            ItemOutcome(OTHER, None, "failed", "TRADE_CANCEL_TOO_SOON"),
        ),
        request_id="req-1",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"tradeId": OTHER},
        {"tradeId": None},
        {"requested": None},
        {"requested": True},
        {"cancelled": -1},
        {"failed": "1"},
        {"items": None},
        {"items": {}},
        {"items": [1]},
        {"items": [{"status": "cancelled"}]},
        {"items": [{"itemId": ITEM, "status": "canceled"}]},
        {"items": [{"itemId": ITEM, "status": "pending"}]},
        {"items": [{"itemId": ITEM, "status": "cancelled"}] * 2},
        {"items": [{"itemId": str(number), "status": "failed"} for number in range(1001)]},
    ],
)
def test_a_trade_cancel_that_is_not_as_documented_is_unknown(far, client, change):
    far.script = in_turn(yes(TRADE_CANCELLED | change))

    with pytest.raises(OutcomeUnknown) as caught:
        client.cancel_trade_as_merchant(trade_id=TRADE)

    assert not caught.value.lost_answer


def test_an_empty_scheme_sends_the_bare_token():
    far = Far(in_turn(yes(CANCELLED)))

    with AssetPayClient(
        base_url="https://assetpay.test",
        api_key="",
        authorization_scheme="",
        transport=httpx.MockTransport(far.answer),
    ) as client:
        client.cancel_item_as_client(trade_id=TRADE, item_id=ITEM, token="a.b.c")

    assert far.requests[0].headers["authorization"] == "a.b.c"


@pytest.mark.parametrize("key", ["a b", "a\r\nx: y", "é"])
def test_a_key_that_no_header_carries_is_refused_at_once(key):
    with pytest.raises(ValueError, match="api_key") as caught:
        AssetPayClient(base_url="https://assetpay.test", api_key=key)

    assert key not in str(caught.value)


def test_one_ref_is_answered_with_a_trade(far, client):
    far.script = in_turn(yes(trade_document("t-1")))

    trades = client.fetch_trades(["t-1"])

    assert [trade.id for trade in trades] == ["t-1"]
    assert far.paths == ["/secure/trades/t-1"]
    assert far.requests[0].headers["api-key"] == "ap_1"


def test_several_refs_are_answered_with_an_array_in_which_some_may_be_missing(far, client):
    far.script = in_turn(yes([trade_document("t-3"), trade_document("t-9", externalId="order/7")]))

    trades = client.fetch_trades(["t-1", "order/7", "t-3"])

    assert [trade.id for trade in trades] == ["t-3", "t-9"]
    assert far.paths == ["/secure/trades/t-1,order%2F7,t-3"]


def test_a_ref_given_twice_is_asked_once(far, client):
    far.script = in_turn(yes(trade_document("t-1")))

    client.fetch_trades(["t-1", "t-1"])

    assert far.paths == ["/secure/trades/t-1"]


@pytest.mark.parametrize("answer", [no("TRADE_NOT_FOUND", 404, 21), no("GONE_AWAY", 404, 21)], ids=["key", "code"])
def test_a_lone_miss_is_no_error(far, client, answer):
    far.script = in_turn(answer)

    assert client.fetch_trades(["t-1"]) == ()


def test_another_refusal_of_a_read_is_an_error(far, client):
    far.script = in_turn(no("INVALID_API_KEY", 401, 1901))

    with pytest.raises(Refused, match="INVALID_API_KEY"):
        client.fetch_trades(["t-1"])


def test_no_refs_need_no_call(far, client):
    assert client.fetch_trades([]) == ()
    assert far.requests == []


@pytest.mark.parametrize(
    "refs", [[""], ["a,b"], ["x" * 129], ["t-1", ""], ["."], [".."], [str(number) for number in range(101)]]
)
def test_refs_that_cannot_be_asked_for_are_refused_before_sending(far, client, refs):
    with pytest.raises(ValueError):
        client.fetch_trades(refs)

    assert far.requests == []


@pytest.mark.parametrize(
    ("refs", "data"),
    [
        (["t-1"], [trade_document("t-1")]),
        (["t-1"], trade_document("t-2")),
        (["t-1"], {"id": "t-1"}),
        (["t-1"], None),
        (["t-1", "t-2"], trade_document("t-1")),
        (["t-1", "t-2"], [trade_document(name) for name in ("t-1", "t-2", "t-3")]),
    ],
)
def test_an_answer_to_another_question_is_not_believed(far, client, refs, data):
    far.script = in_turn(yes(data))

    with pytest.raises(OutcomeUnknown):
        client.fetch_trades(refs)


def test_one_odd_trade_does_not_hide_the_others(far, client, caplog):
    odd = trade_document("t-2", totalPrice="a lot")
    far.script = in_turn(yes([trade_document("t-1"), odd, trade_document("unasked")]))

    trades = client.fetch_trades(["t-1", "t-2", "t-3"])

    assert [trade.id for trade in trades] == ["t-1"]
    assert len(caplog.records) == 2


def known_trades(size: int) -> Script:
    """AssetPay knowing every trade asked for, each with a document of about that many bytes."""

    def script(request: httpx.Request) -> Answer:
        refs = request.url.path.rpartition("/")[2].split(",")
        found = [trade_document(ref, filler=["x" * 1000] * (size // 1000)) for ref in refs]
        return yes(found[0] if len(refs) == 1 else found)

    return script


def test_a_batch_too_large_for_one_answer_is_asked_for_in_halves(far, client):
    refs = [f"t-{number}" for number in range(100)]
    far.script = known_trades(40_000)

    trades = client.fetch_trades(refs)

    assert [trade.id for trade in trades] == refs
    assert 5 < len(far.requests) < 20


def test_a_single_trade_too_large_for_an_answer_is_an_error(far, client):
    far.script = known_trades(2_000_000)

    with pytest.raises(OutcomeUnknown, match="too large"):
        client.fetch_trades(["t-1", "t-2"])


def test_an_address_too_long_for_a_server_is_asked_for_in_halves(far, client):
    refs = [f"{number:03}" + "é" * 100 for number in range(100)]
    far.script = known_trades(0)

    trades = client.fetch_trades(refs)

    assert [trade.id for trade in trades] == refs
    assert max(len(path) for path in far.paths) <= 6000


REPEATED = {
    "timeout": httpx.ReadTimeout("x"),
    "reset": httpx.ReadError("x"),
    "unsent": httpx.ConnectError("x"),
    "busy": no("FLEET_DEGRADED", 503),
    "busy for a second": no("FLEET_DEGRADED", 503, retry_after="1"),
}
NOT_REPEATED = {
    "busy for long": no("FLEET_DEGRADED", 503, retry_after="30"),
    "limited": no("RATE_LIMITED", 429, retry_after="1"),
    "maintenance": no("SYSTEM_MAINTENANCE", 503),
    "broken": no("SERVER_ERROR", 500),
    "page": httpx.Response(502, content=b"<html>"),
    "refused": no("FORBIDDEN", 403),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_read_is_repeated_where_that_may_help(far, client, name):
    far.script = in_turn(REPEATED[name], REPEATED[name], yes(trade_document("t-1")))

    trades = client.fetch_trades(["t-1"])

    assert len(trades) == 1
    assert len({request.headers["x-request-id"] for request in far.requests}) == 1


@pytest.mark.parametrize("name", REPEATED)
def test_a_read_is_given_up_after_three_attempts(far, client, name):
    far.script = lambda request: REPEATED[name]

    with pytest.raises((NotSent, OutcomeUnknown, ToldToWait)):
        client.fetch_trades(["t-1"])

    assert len(far.requests) == 3


@pytest.mark.parametrize("name", NOT_REPEATED)
def test_a_read_is_not_repeated_against_the_word_of_assetpay(far, client, name):
    far.script = in_turn(NOT_REPEATED[name], yes(trade_document("t-1")))

    with pytest.raises((Refused, OutcomeUnknown, ToldToWait)):
        client.fetch_trades(["t-1"])

    assert len(far.requests) == 1


def numbered_tokens() -> Callable[[], str]:
    numbers = iter(range(1, 100))
    return lambda: f"token-{next(numbers)}"


def tokens_shown(far: Far) -> list[str]:
    return [request.headers["authorization"] for request in far.requests]


@pytest.mark.parametrize(
    "rejection", [("INVALID_TOKEN", 1102), ("TOKEN_INVALID_OR_EXPIRED", 1110), ("TOKEN_EXPIRED", 1111)]
)
def test_a_rejected_token_is_renewed_once(far, client, rejection):
    key, code = rejection
    far.script = in_turn(no(key, 401, code), yes(trade_document("t-1")))

    trade = client.fetch_trade_as_client(trade_id="t-1", token_maker=numbered_tokens())

    assert trade is not None
    assert tokens_shown(far) == ["Bearer token-1", "Bearer token-2"]


def test_a_token_rejected_again_is_an_error(far, client):
    far.script = lambda request: no("TOKEN_EXPIRED", 401, 1111)

    with pytest.raises(TokenRejected):
        client.fetch_trade_as_client(trade_id="t-1", token_maker=numbered_tokens())

    assert len(far.requests) == 2


@pytest.mark.parametrize("key", ["TRADE_NOT_FOUND", "NOT_FOUND"])
def test_a_trade_that_the_customer_does_not_have_is_none(far, client, key):
    far.script = in_turn(no(key, 404))

    assert client.fetch_trade_as_client(trade_id="t-1", token_maker=numbered_tokens()) is None
    assert far.paths == ["/client/trades/t-1"]


def test_a_trade_of_somebody_else_is_an_error(far, client):
    far.script = in_turn(no("FORBIDDEN", 403, 1300))

    with pytest.raises(Refused):
        client.fetch_trade_as_client(trade_id="t-1", token_maker=numbered_tokens())


def page(*names: str, cursor: object = None) -> httpx.Response:
    return yes({"items": [trade_document(name) for name in names], "nextCursor": cursor})


def test_a_list_is_read_page_by_page(far, client):
    far.script = in_turn(page("a", "b", cursor="next page"), page("c"))

    trades = list(client.list_client_trades(token_maker=numbered_tokens(), game="730"))

    assert [trade.id for trade in trades] == ["a", "b", "c"]
    assert [dict(request.url.params) for request in far.requests] == [
        {"game": "730", "type": "withdraw", "limit": "100"},
        {"game": "730", "type": "withdraw", "limit": "100", "cursor": "next page"},
    ]


@pytest.mark.parametrize("cursors", [("x", "x"), ("x", "y", "x"), ("x", "")], ids=["same", "circle", "empty"])
def test_a_cursor_that_repeats_or_is_empty_ends_the_list(far, client, cursors):
    far.script = in_turn(*(page(f"t-{number}", cursor=cursor) for number, cursor in enumerate(cursors)))

    trades = list(client.list_client_trades(token_maker=numbered_tokens(), game="730"))

    assert len(trades) == len(cursors)


@pytest.mark.parametrize("data", [None, [], {}, {"items": {}}, {"items": [], "nextCursor": 7}])
def test_a_page_that_is_none_is_unknown(far, client, data):
    far.script = in_turn(yes(data))

    with pytest.raises(OutcomeUnknown):
        list(client.list_client_trades(token_maker=numbered_tokens(), game="730"))


def test_a_page_too_large_is_asked_for_in_smaller_ones(far, client):
    def script(request: httpx.Request) -> Answer:
        limit = int(request.url.params["limit"])
        return yes(
            {"items": [trade_document(f"t-{n}", filler=["x" * 10_000] * 4) for n in range(limit)], "nextCursor": None}
        )

    far.script = script

    trades = list(client.list_client_trades(token_maker=numbered_tokens(), game="730"))

    assert len(trades) == 25
    assert [request.url.params["limit"] for request in far.requests] == ["100", "50", "25"]


def test_both_games_are_listed(far, client):
    far.script = lambda request: page(f"t-{request.url.params['game']}")

    trades = list(client.list_client_trades_of_all_games(token_maker=numbered_tokens()))

    assert [trade.id for trade in trades] == ["t-730", "t-252490"]


@pytest.mark.parametrize(
    ("data", "health"),
    [
        ({"status": "ok", "timestamp": "x", "uptime": 5, "maintenance": {"mode": "off"}}, Health("ok", "off")),
        ({"status": "ok", "maintenance": {"mode": True}}, Health("ok", "True")),
        ({"status": "ok", "maintenance": {"mode": None}}, Health("ok", None)),
        ({"status": "ok", "maintenance": "on"}, Health("ok", None)),
        ({"status": "degraded"}, Health("degraded", None)),
    ],
)
def test_health_is_asked_without_credentials(far, client, data, health):
    far.script = in_turn(yes(data))

    assert client.health() == health
    assert far.paths == ["/health"]
    assert not {"api-key", "authorization"} & set(far.requests[0].headers)


@pytest.mark.parametrize("data", [None, [], {}, {"status": 1}, "ok"])
def test_a_health_report_that_is_none_is_unknown(far, client, data):
    far.script = in_turn(yes(data))

    with pytest.raises(OutcomeUnknown):
        client.health()


def test_errors_survive_being_copied(far, client):
    far.script = in_turn(no("RATE_LIMITED", 429, 1005, retry_after="7"))

    with pytest.raises(ToldToWait) as caught:
        client.cancel_trade_as_merchant(trade_id=TRADE)

    assert vars(copy.copy(caught.value)) == vars(caught.value)
