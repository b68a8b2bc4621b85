"""Who is calling: api-keys and client tokens."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from sandbox.config import Config
from sandbox.errors import Refused
from sandbox.switches import Switches

STEAM_ID = re.compile(r"76561\d{12}", re.ASCII)
TRADE_URL = re.compile(r"https://steamcommunity\.com/tradeoffer/new/\?partner=[0-9]{1,10}&token=[A-Za-z0-9_-]{8}")
TTL = timedelta(hours=24)


@dataclass(frozen=True)
class ClientUser:
    """The end user a client token speaks for."""

    steam_id: str
    trade_url: str
    client_id: str | None


def check_api_key(headers: Mapping[str, str], config: Config, switches: Switches) -> None:
    """Let the merchant in; raises Refused."""
    given = headers.get("api-key")
    if not given:
        raise Refused("MISSING_API_KEY", "The api-key header is missing.")
    if not hmac.compare_digest(given.encode(), config.api_key.encode()):
        raise Refused("INVALID_API_KEY", "This api-key is not known.")
    if switches.api_key_lacks_scope:
        raise Refused(switches.scope_key, "This api-key has no CORE_ACCESS.")


def client_user(headers: Mapping[str, str], config: Config, switches: Switches) -> ClientUser:
    """The user an Authorization header speaks for; raises Refused.

    The secret belongs to the merchant named in the token's header; the merchantId claim must name the same.
    """
    claims = _verified_claims(_bare_token(headers, switches), config, switches)
    client = claims.get("client")
    if claims.get("merchantId") != config.merchant_id or not isinstance(client, dict):
        raise Refused("INVALID_TOKEN", "The token is not valid.")
    steam_id, trade_url = client.get("steamID"), client.get("tradeUrl")
    client_id = client.get("clientId")
    if (
        not isinstance(steam_id, str)
        or not STEAM_ID.fullmatch(steam_id)
        or not isinstance(trade_url, str)
        or not TRADE_URL.fullmatch(trade_url)
        or not (client_id is None or (isinstance(client_id, str) and len(client_id) <= 128))
    ):
        raise Refused("INVALID_TOKEN", "The token does not describe a client.")
    return ClientUser(steam_id, trade_url, client_id)


def issue_client_token(config: Config, user: ClientUser, now: datetime) -> str:
    """A client token as AssetPay issues it, good for a day."""
    client = {"steamID": user.steam_id, "tradeUrl": user.trade_url}
    if user.client_id is not None:
        client["clientId"] = user.client_id
    claims = {"merchantId": config.merchant_id, "client": client, "iat": now, "exp": now + TTL}
    headers = {"typ": None, "userId": config.merchant_id}
    return jwt.encode(claims, config.api_secrets[0], algorithm="HS256", headers=headers)


def _bare_token(headers: Mapping[str, str], switches: Switches) -> str:
    scheme, _, rest = headers.get("authorization", "").strip().partition(" ")
    bearer = scheme.lower() == "bearer"
    token = rest.strip() if bearer else ("" if rest else scheme)
    unwanted = "bare" if bearer else "bearer"
    if not token or switches.authorization == unwanted:
        raise Refused("MISSING_BEARER", "The Authorization header is missing or malformed.")
    return token


def _verified_claims(token: str, config: Config, switches: Switches) -> dict[str, Any]:
    try:
        named = jwt.get_unverified_header(token).get("userId")
    except jwt.InvalidTokenError:
        named = None
    if named != config.merchant_id:
        raise Refused("INVALID_TOKEN", "The token is not valid.")
    for secret in config.api_secrets:
        try:
            # A token without exp is everlasting, and one from a clock slightly ahead is welcome.
            claims: dict[str, Any] = jwt.decode(
                token, secret, algorithms=["HS256"], options={"verify_iat": False, "verify_exp": False}
            )
        except jwt.InvalidTokenError:
            continue
        _check_expiry(claims, switches)
        return claims
    raise Refused("INVALID_TOKEN", "The token is not valid.")


def _check_expiry(claims: dict[str, Any], switches: Switches) -> None:
    expires = claims.get("exp")
    if expires is None:
        return
    if not isinstance(expires, int | float):
        raise Refused("INVALID_TOKEN", "The token is not valid.")
    if expires <= datetime.now(UTC).timestamp():
        raise Refused(switches.expired_token_key, "The token has expired.")
