"""What AssetPay's answers mean, key by key and for everything that is no envelope."""

import json

import httpx
import pytest

from withdrawals.assetpay.client import AssetPayClient
from withdrawals.assetpay.errors import AnswerTooLarge, OutcomeUnknown, Refused, TokenRejected, ToldToWait

TRADE = "0f6cbe3a-6d2e-4b7e-9f0a-1c1d4a5b6c7d"
ITEM = "019a2b3c-4d5e-8f70-8123-456789abcdef"
CANCELLED = {"tradeId": TRADE, "itemId": ITEM, "status": "cancelled"}
REFUSED, TOKEN, WAIT, UNKNOWN = Refused, TokenRejected, ToldToWait, OutcomeUnknown

# AssetPay's keys as far as they are known, with their numbers where known, and what each means after a cancel.
KEYS = [
    ("TRADE_CANCEL_TOO_SOON", 27, REFUSED),
    ("TRADE_NOT_CANCELLABLE", 28, REFUSED),
    ("TRADE_CANCEL_UNSUPPORTED", None, REFUSED),
    ("FORBIDDEN", 1300, REFUSED),
    ("ITEM_NOT_FOUND", 2201, REFUSED),
    ("TRADE_NOT_FOUND", 21, REFUSED),
    ("VALIDATION_FAILED", 1001, REFUSED),
    ("RATE_LIMITED", 1005, WAIT),
    ("UNAUTHORIZED", 1100, REFUSED),
    ("INVALID_CREDENTIALS", 1101, REFUSED),
    ("INVALID_TOKEN", 1102, TOKEN),
    ("MISSING_BEARER", 1108, REFUSED),
    ("TOKEN_INVALID_OR_EXPIRED", 1110, TOKEN),
    ("TOKEN_EXPIRED", 1111, TOKEN),
    ("ACCOUNT_DISABLED", 1301, REFUSED),
    ("MISSING_API_KEY", 1900, REFUSED),
    ("INVALID_API_KEY", 1901, REFUSED),
    ("API_KEY_REVOKED", 1902, REFUSED),
    ("API_KEY_SCOPE_DENIED", 1903, REFUSED),
    ("INSUFFICIENT_SCOPE", None, REFUSED),
    ("API_KEY_IP_DENIED", None, REFUSED),
    ("MERCHANT_API_KEY_REQUIRED", None, REFUSED),
    ("NO_API_SECRET_CONFIGURED", None, REFUSED),
    ("CLIENT_USER_NOT_FOUND", None, REFUSED),
    ("USER_NOT_FOUND", None, REFUSED),
    ("NOT_FOUND", 1003, REFUSED),
    ("CONFLICT", 1004, REFUSED),
    ("SERVER_ERROR", 1006, UNKNOWN),
    ("SYSTEM_MAINTENANCE", 1007, WAIT),
    ("UNPROCESSABLE", 1008, REFUSED),
    ("SERVICE_UNAVAILABLE", 1009, WAIT),
    ("NO_BOTS_AVAILABLE", 1010, WAIT),
    ("FLEET_DEGRADED", 1011, WAIT),
    ("DEPOSITS_PAUSED", None, WAIT),
    ("WITHDRAWALS_PAUSED", None, WAIT),
    ("TRADE_OFFER_FAILED", 5, UNKNOWN),
    ("TOO_MANY_ACTIVE_TRADES", 6, WAIT),
    ("DATABASE_ERROR", 18, UNKNOWN),
    ("DEPOSIT_IN_PROGRESS", None, WAIT),
    ("WITHDRAW_IN_PROGRESS", None, WAIT),
    ("ONCHAIN_CLIENT_WITHDRAW_BUSY", None, WAIT),
]
# Keys of other routes. Nobody expects one here; then the status decides.
STRAYS = """
    EXTERNAL_ID_EXISTS MISSING_ITEMS INVENTORY_FETCH_FAILED NO_OFFER_FOUND USER_NOT_TRADEABLE TOO_MANY_ITEMS
    ITEMS_UNAVAILABLE ITEMS_NOT_ACCEPTED PRICE_CHANGED MERCHANT_BALANCE_LOW INVALID_TRADEURL LISTING_NOT_FOUND
    LISTING_PRICE_INVALID INVALID_LISTING_ID INSUFFICIENT_ITEM_AMOUNT EXCEEDS_MAX_AMOUNT ESCROW_NOT_ALLOWED
    INVENTORY_PRIVATE STEAM_UNAVAILABLE QUICK_BUY_UNSUPPORTED_GAME STEAM_RATE_LIMITED INSUFFICIENT_STOCK
    MIXED_SUPPLIER_TRADE ITEM_OVERSTOCKED INSTANT_DEPOSITS_DISABLED CALLBACK_URL_TEST_FAILED MERCHANT_NO_CALLBACK_URL
    MERCHANT_CALLBACK_URL_DISABLED MERCHANT_NO_API_SECRET INSUFFICIENT_BALANCE INVALID_AMOUNT ONCHAIN_DISABLED
    ONCHAIN_CHAIN_PAUSED ONCHAIN_UNSUPPORTED_CHAIN ONCHAIN_UNSUPPORTED_TOKEN ONCHAIN_WITHDRAW_BELOW_MIN
    ONCHAIN_WITHDRAW_INVALID_ADDRESS ONCHAIN_INSUFFICIENT_HOT_BALANCE ONCHAIN_DEPEG ONCHAIN_MERCHANT_NOT_VERIFIED
    ONCHAIN_ADDRESS_CAPACITY ONCHAIN_CLIENT_WITHDRAW_DISABLED ONCHAIN_CLIENT_WITHDRAW_LIMIT
    VERIFICATION_ALREADY_VERIFIED VERIFICATION_IN_PROGRESS VERIFICATION_NOT_AVAILABLE A_KEY_OF_TOMORROW
""".split()  # noqa: SIM905 - fifty words read better without their quotes


def no(key: object, code: object = None, message: object = "no", **more: object) -> bytes:
    error = {"key": key, "code": code, "message": message}
    return json.dumps({"requestId": "req-1", "success": False, "error": error | more}).encode()


def yes(data: object) -> bytes:
    return json.dumps({"requestId": "req-1", "success": True, "data": data}).encode()


def outcome(body: bytes, status: int = 200, **headers: str) -> object:
    """What a cancel ends in when AssetPay answers so: its answer, or the error."""
    answers = httpx.MockTransport(
        lambda request: httpx.Response(
            status, content=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
    )
    with AssetPayClient(base_url="https://assetpay.test", api_key="ap_1", transport=answers) as client:
        try:
            return client.cancel_item_as_merchant(trade_id=TRADE, item_id=ITEM)
        except (Refused, ToldToWait, OutcomeUnknown) as error:
            return error


@pytest.mark.parametrize(("key", "code", "meaning"), KEYS, ids=[key for key, _, _ in KEYS])
def test_a_known_key_means_the_same_under_any_status(key, code, meaning):
    statuses = [200, 400, 401, 409, 429, 500, 503]

    errors = [outcome(no(key, code), status) for status in statuses]

    assert [type(error) for error in errors] == [meaning] * len(statuses)
    assert [error.http_status for error in errors] == statuses
    assert {error.request_id for error in errors} == {"req-1"}


@pytest.mark.parametrize(("key", "code", "meaning"), [row for row in KEYS if row[1] not in (None, 5, 6, 18)])
def test_under_a_new_name_the_number_still_tells(key, code, meaning):
    errors = [outcome(no("RENAMED", code), status) for status in (400, 429, 500)]

    assert [type(error) for error in errors] == [meaning] * 3


def test_a_known_key_outweighs_its_number():
    assert type(outcome(no("TRADE_NOT_CANCELLABLE", 1006), 500)) is Refused
    assert type(outcome(no("SERVER_ERROR", 28), 400)) is OutcomeUnknown


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((status, Refused) for status in (400, 409, 422, 424)),
        (429, ToldToWait),
        *((status, OutcomeUnknown) for status in (200, 302, 408, 500, 502, 503)),
    ],
)
def test_an_unfamiliar_key_leaves_it_to_the_status(status, meaning):
    meanings = {key: type(outcome(no(key), status)) for key in STRAYS}

    assert meanings == dict.fromkeys(STRAYS, meaning)


def test_a_refusal_carries_what_support_needs():
    error = outcome(no("TRADE_CANCEL_TOO_SOON", 27, "Wait a little."), 400)

    assert (error.key, error.code, error.message) == ("TRADE_CANCEL_TOO_SOON", 27, "Wait a little.")
    assert str(error) == "TRADE_CANCEL_TOO_SOON (27): Wait a little."


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (["one", "two"], "one; two"),
        (["one", 2, None], "one"),
        (None, ""),
        (7, ""),
        ({"a": 1}, ""),
        ("x" * 5000, "x" * 2000),
        ("a\x00b\ud800c", "a\ufffdb\ufffdc"),
    ],
)
def test_a_message_is_bounded_clean_text(message, text):
    assert outcome(no("FORBIDDEN", 1300, message), 403).message == text


@pytest.mark.parametrize("code", ["27", True, 2.5, None, [], -1, 2**31])
def test_an_odd_code_does_not_hide_the_key(code):
    error = outcome(no("TRADE_NOT_CANCELLABLE", code), 400)

    assert (error.key, error.code) == ("TRADE_NOT_CANCELLABLE", None)


CANNED = {
    "html 503": (b"<html>down</html>", 503),
    "html 200": (b"<html>welcome</html>", 200),
    "html 403": (b"<html>blocked</html>", 403),
    "html 404": (b"<html>nothing here</html>", 404),
    "empty 200": (b"", 200),
    "empty 204": (b"", 204),
    "empty 500": (b"", 500),
    "truncated": (yes(CANCELLED)[:-5], 200),
    "truncated refusal": (no("FORBIDDEN", 1300)[:-1], 403),
    "twice": (yes(CANCELLED) * 2, 200),
    "array": (b"[1]", 200),
    "string": (b'"cancelled"', 200),
    "null": (b"null", 200),
    "byte order mark": (b"\xef\xbb\xbf" + yes(CANCELLED), 200),
    "utf-16": (yes(CANCELLED).decode().encode("utf-16"), 200),
    "latin-1": (no("FORBIDDEN", 1300, "x").replace(b'"x"', b'"caf\xe9"'), 403),
    "not a number": (b'{"success": true, "data": NaN}', 200),
    "yes and no": (b'{"success": true, "success": false, "data": {}}', 200),
    "bare data": (json.dumps(CANCELLED).encode(), 200),
    "no data": (b'{"requestId": "r", "success": true}', 200),
    "null data": (yes(None), 200),
    "success as text": (b'{"success": "true", "data": {}}', 200),
    "no without error": (b'{"requestId": "r", "success": false}', 400),
    "no with a text": (b'{"success": false, "error": "FORBIDDEN"}', 403),
    "no without key": (b'{"success": false, "error": {"code": 28, "message": "no"}}', 400),
    "no with odd key": (no(28), 400),
    "no with empty key": (no(""), 400),
    "yes under 500": (yes(CANCELLED), 500),
    "yes under 404": (yes(CANCELLED), 404),
    "yes with an error": (yes(CANCELLED)[:-1] + b', "error": {"key": "SERVER_ERROR"}}', 200),
    "redirect": (b"", 302),
    "redirect with a yes": (yes(CANCELLED), 307),
    "redirect with a no": (no("FORBIDDEN", 1300), 308),
    "not modified": (b"", 304),
    "another trade": (yes(CANCELLED | {"tradeId": ITEM}), 200),
    "another item": (yes(CANCELLED | {"itemId": TRADE}), 200),
    "one L": (yes(CANCELLED | {"status": "canceled"}), 200),
    "failed": (yes(CANCELLED | {"status": "failed"}), 200),
    "no status": (yes({"tradeId": TRADE, "itemId": ITEM}), 200),
    "no ids": (yes({"status": "cancelled"}), 200),
    "odd ids": (yes(CANCELLED | {"itemId": 7}), 200),
    "list of one": (yes([CANCELLED]), 200),
    "status only": (b"", 418),
}


@pytest.mark.parametrize("name", CANNED)
def test_what_is_no_clear_answer_leaves_the_outcome_unknown(name):
    body, status = CANNED[name]

    error = outcome(body, status, location="https://elsewhere.test/")

    assert type(error) is OutcomeUnknown
    assert not error.lost_answer
    assert error.http_status == status


def test_an_answer_is_read_up_to_a_mebibyte():
    filler = CANCELLED | {"filler": ["x" * 16_000] * 65}

    largest = outcome(yes(filler))
    larger = outcome(yes(filler | {"more": "x" * 16_000}))
    far_too_large = outcome(b"x" * (2 * 1024 * 1024), 200)

    assert largest.item_id == ITEM
    assert (type(larger), type(far_too_large)) == (AnswerTooLarge, AnswerTooLarge)
    assert not larger.lost_answer


@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", b"[1]", yes(CANCELLED)])
def test_a_429_means_wait_even_without_an_envelope(body):
    error = outcome(body, 429, retry_after="30")

    assert type(error) is ToldToWait
    assert (error.seconds, error.stated, error.http_status) == (30, True, 429)


DATE = "Fri, 01 May 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "seconds", "stated"),
    [
        ("30", 30, True),
        (" 30 ", 30, True),
        ("1.5", 1.5, True),
        ("0", 1, True),
        ("600", 600, True),
        ("601", 600, True),
        ("9" * 400, 600, True),
        ("Fri, 01 May 2026 12:00:45 GMT", 45, True),
        ("Fri, 01 May 2026 11:00:00 GMT", 1, True),
        ("Fri, 01 May 2027 12:00:00 GMT", 600, True),
        ("Fri, 01 May 2026 14:00:45 +0200", 45, True),
        ("", 60, False),
        ("-5", 60, False),
        ("soon", 60, False),
        ("1e3", 60, False),
        ("NaN", 60, False),
        ("inf", 60, False),
        ("9" * 5000, 60, False),
        ("Fri, 01 May 99999 12:00:00 GMT", 60, False),
        ("Fri, 31 Feb 2026 12:00:00 GMT", 60, False),
        ("Fri, 01 May 2026 12:00:45 -0000", 60, False),
    ],
)
def test_the_wait_is_what_assetpay_says_within_reason(retry_after, seconds, stated):
    error = outcome(no("RATE_LIMITED", 1005), 429, retry_after=retry_after, date=DATE)

    assert (error.seconds, error.stated) == (seconds, stated)


def test_without_any_header_the_wait_is_a_minute():
    error = outcome(no("SYSTEM_MAINTENANCE", 1007), 503)

    assert (error.seconds, error.stated) == (60, False)


def test_a_date_to_come_back_at_needs_a_date_to_count_from():
    error = outcome(b"", 429, retry_after="Fri, 01 May 2026 12:00:45 GMT")

    assert (error.seconds, error.stated) == (60, False)


def test_without_an_envelope_the_request_id_comes_from_the_header():
    assert outcome(b"<html>", 502, x_request_id="from-the-proxy").request_id == "from-the-proxy"
