"""Client tokens: the right to speak to AssetPay for one of the merchant's customers, minted without a call."""

import re
from datetime import datetime

import jwt

MAX_TTL_SECONDS = 86_400
MIN_SECRET_LENGTH = 16

_STEAM_ID = re.compile(r"76561[0-9]{12}")
_TRADE_URL = re.compile(r"https://steamcommunity\.com/tradeoffer/new/\?partner=[0-9]{1,10}&token=[A-Za-z0-9_-]{8}")
_PLAIN_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,128}")


def mint_client_token(
    *,
    secret: str,
    merchant_id: str,
    steam_id: str,
    trade_url: str,
    client_id: str | None,
    now: datetime,
    ttl_seconds: int = 300,
) -> str:
    """Return a JWT that AssetPay takes on its /client routes, valid from `now` for `ttl_seconds` (at most a day).

    Raises ValueError naming the field that AssetPay's rules refuse, never its content. `secret` is the API secret as
    text. Source: the token format of AssetPay's SDK: header `alg` and `userId` only, without the usual `typ`.
    """
    _check("secret", len(secret.encode()) >= MIN_SECRET_LENGTH)
    _check("merchant_id", _PLAIN_ID.fullmatch(merchant_id) is not None)
    _check("steam_id", _STEAM_ID.fullmatch(steam_id) is not None)
    _check("trade_url", _TRADE_URL.fullmatch(trade_url) is not None)
    _check("client_id", client_id is None or _PLAIN_ID.fullmatch(client_id) is not None)
    _check("ttl_seconds", 1 <= ttl_seconds <= MAX_TTL_SECONDS)
    _check("now", now.tzinfo is not None)
    # No clientData, ever: AssetPay overwrites what it knows of a customer with whatever a token carries, and a desk
    # that cancels an item has no business in that record. For the same reason the id is the one from the trade.
    client = {"steamID": steam_id, "tradeUrl": trade_url}
    if client_id is not None:
        client["clientId"] = client_id
    issued_at = int(now.timestamp())
    claims = {"merchantId": merchant_id, "client": client, "iat": issued_at, "exp": issued_at + ttl_seconds}
    return jwt.encode(claims, secret, algorithm="HS256", headers={"typ": None, "userId": merchant_id})


def _check(field: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{field} is not what AssetPay accepts in a client token")
