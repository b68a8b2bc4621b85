"""What AssetPay's error keys mean for whether something was done.

Keys are read first, code numbers only under an unfamiliar key, HTTP statuses only when both are unfamiliar: AssetPay's
own lists of statuses are incomplete, and its numbers changed their meaning once. Source: AssetPay's error reference and
the key list of its SDK.
"""

from enum import StrEnum

TRADE_NOT_FOUND = "TRADE_NOT_FOUND"
NOT_FOUND = "NOT_FOUND"


class Verdict(StrEnum):
    """What an error envelope says about the request it answers."""

    REFUSED = "refused"
    TOKEN_REJECTED = "token_rejected"  # noqa: S105 - a verdict, not a token
    WAIT = "wait"
    UNKNOWN = "unknown"


# AssetPay's SDK repeats these by itself, shortly after: they promise that nothing happened.
BUSY_KEYS = frozenset({"FLEET_DEGRADED", "WITHDRAW_IN_PROGRESS", "DEPOSIT_IN_PROGRESS", "ONCHAIN_CLIENT_WITHDRAW_BUSY"})
# A gate in front of the work was closed. SERVICE_UNAVAILABLE is the older name of a paused service, beside the newer
# ..._PAUSED; an unenveloped 503 is none of these, since any proxy can send one after the work was done.
_CLOSED_KEYS = frozenset(
    {
        "RATE_LIMITED",
        "TOO_MANY_ACTIVE_TRADES",
        "SYSTEM_MAINTENANCE",
        "SERVICE_UNAVAILABLE",
        "WITHDRAWALS_PAUSED",
        "DEPOSITS_PAUSED",
        "NO_BOTS_AVAILABLE",
    }
)
_TOKEN_KEYS = frozenset({"INVALID_TOKEN", "TOKEN_EXPIRED", "TOKEN_INVALID_OR_EXPIRED"})
# Something broke on the way, and nobody says how far the request had come.
_BROKEN_KEYS = frozenset({"SERVER_ERROR", "DATABASE_ERROR", "TRADE_OFFER_FAILED"})
# A no that our routes can give. Keys of other routes are left to the HTTP status, should one ever stray here.
_NO_KEYS = frozenset(
    {
        "TRADE_CANCEL_TOO_SOON",
        "TRADE_NOT_CANCELLABLE",
        "TRADE_CANCEL_UNSUPPORTED",
        "FORBIDDEN",
        "ITEM_NOT_FOUND",
        TRADE_NOT_FOUND,
        NOT_FOUND,
        "VALIDATION_FAILED",
        "UNPROCESSABLE",
        "CONFLICT",
        "UNAUTHORIZED",
        "INVALID_CREDENTIALS",
        "MISSING_BEARER",
        "ACCOUNT_DISABLED",
        "MISSING_API_KEY",
        "INVALID_API_KEY",
        "API_KEY_REVOKED",
        "API_KEY_SCOPE_DENIED",
        "INSUFFICIENT_SCOPE",
        "API_KEY_IP_DENIED",
        "MERCHANT_API_KEY_REQUIRED",
        "NO_API_SECRET_CONFIGURED",
        "CLIENT_USER_NOT_FOUND",
        "USER_NOT_FOUND",
    }
)

_BY_KEY = {
    **dict.fromkeys(BUSY_KEYS | _CLOSED_KEYS, Verdict.WAIT),
    **dict.fromkeys(_TOKEN_KEYS, Verdict.TOKEN_REJECTED),
    **dict.fromkeys(_BROKEN_KEYS, Verdict.UNKNOWN),
    **dict.fromkeys(_NO_KEYS, Verdict.REFUSED),
}
_BY_CODE = {
    **dict.fromkeys((1005, 1007, 1009, 1010, 1011), Verdict.WAIT),
    **dict.fromkeys((1102, 1110, 1111), Verdict.TOKEN_REJECTED),
    **dict.fromkeys((1006,), Verdict.UNKNOWN),
    **dict.fromkeys((21, 27, 28, 1001, 1003, 1004, 1008, 1100, 1101, 1108, 1300, 1301, 2201), Verdict.REFUSED),
    **dict.fromkeys((1900, 1901, 1902, 1903), Verdict.REFUSED),
}

# Every key that we expect from the routes we use; any other is worth counting.
EXPECTED_KEYS = frozenset(_BY_KEY)


def judge(key: str, code: int | None, http_status: int) -> Verdict:
    """Return what an error envelope means; an unfamiliar key and code is a no only under a status of 400 to 499."""
    known = _BY_KEY.get(key) or (_BY_CODE.get(code) if code is not None else None)
    if known is not None:
        return known
    if http_status == 429:
        return Verdict.WAIT
    # 408 blames the time it took, so the work may have begun.
    return Verdict.REFUSED if 400 <= http_status < 500 and http_status != 408 else Verdict.UNKNOWN
