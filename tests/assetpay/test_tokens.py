"""Client tokens, checked by hand: a library that made a mistake would agree with itself."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from withdrawals.assetpay.tokens import mint_client_token

SECRET = "a secret of thirty-two characters"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TRADE_URL = "https://steamcommunity.com/tradeoffer/new/?partner=39734273&token=AbCdEfGh"


def minted(**changes):
    fields = {
        "secret": SECRET,
        "merchant_id": "merchant-1",
        "steam_id": "76561198000000001",
        "trade_url": TRADE_URL,
        "client_id": "customer-9",
        "now": NOON,
    }
    return mint_client_token(**(fields | changes))


def opened(part: str) -> dict[str, object]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_header_names_the_merchant_and_no_type():
    header = opened(minted().split(".")[0])

    assert header == {"alg": "HS256", "userId": "merchant-1"}


def test_the_claims_are_the_documented_ones_and_no_more():
    claims = opened(minted().split(".")[1])

    assert claims == {
        "merchantId": "merchant-1",
        "client": {"steamID": "76561198000000001", "tradeUrl": TRADE_URL, "clientId": "customer-9"},
        "iat": 1777636800,
        "exp": 1777637100,
    }


def test_an_unknown_client_id_is_left_out():
    claims = opened(minted(client_id=None).split(".")[1])

    assert claims["client"] == {"steamID": "76561198000000001", "tradeUrl": TRADE_URL}


def test_the_signature_is_an_hmac_with_the_secret_as_text():
    signed, _, signature = minted().rpartition(".")

    expected = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()

    assert signature == base64.urlsafe_b64encode(expected).rstrip(b"=").decode()


def test_a_token_made_elsewhere_is_the_same():
    # Signed with OpenSSL: printf '%s' "$HEADER.$PAYLOAD" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64
    assert minted().rpartition(".")[2] == "8jjmIV9EKHn1PF_U-G6cKU_-388boYGfbIuBMwIZDaA"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("secret", ""),
        ("secret", "fifteen bytes.."),
        ("merchant_id", ""),
        ("merchant_id", "x" * 129),
        ("merchant_id", "a\nb"),
        ("steam_id", ""),
        ("steam_id", "7656119800000000"),
        ("steam_id", "765611980000000012"),
        ("steam_id", "12345678901234567"),
        ("steam_id", "7656119800000000１"),  # noqa: RUF001 - a wide digit is the point
        ("steam_id", "76561198000000001\n"),
        ("trade_url", ""),
        ("trade_url", TRADE_URL + "&x=1"),
        ("trade_url", TRADE_URL + "\n"),
        ("trade_url", TRADE_URL.replace("https", "http")),
        ("trade_url", TRADE_URL.replace("steamcommunity.com", "steamcommunity.com.evil.example")),
        ("trade_url", TRADE_URL.replace("39734273", "12345678901")),
        ("trade_url", TRADE_URL.replace("AbCdEfGh", "short")),
        ("client_id", ""),
        ("client_id", "x" * 129),
        ("client_id", "a\x00b"),
        ("ttl_seconds", 0),
        ("ttl_seconds", 86_401),
        ("now", datetime(2026, 5, 1, 12)),  # noqa: DTZ001 - a naive time is the point
    ],
)
def test_a_field_outside_the_rules_is_refused_by_name_only(field, value):
    with pytest.raises(ValueError, match=field) as caught:
        minted(**{field: value})

    assert value in ("", 0) or str(value) not in str(caught.value)


@pytest.mark.parametrize("ttl_seconds", [1, 86_400])
def test_a_token_may_live_from_a_second_to_a_day(ttl_seconds):
    claims = opened(minted(ttl_seconds=ttl_seconds).split(".")[1])

    assert claims["exp"] - claims["iat"] == ttl_seconds
