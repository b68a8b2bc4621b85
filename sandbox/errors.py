"""AssetPay's error keys with their numbers and HTTP statuses, and the exception that carries one."""

from sandbox.switches import Switches

KNOWN: dict[str, tuple[int, int]] = {
    "EXTERNAL_ID_EXISTS": (409, 1),
    "PRICE_CHANGED": (409, 11),
    "MERCHANT_BALANCE_LOW": (400, 12),
    "INVALID_TRADEURL": (400, 14),
    "LISTING_NOT_FOUND": (404, 15),
    "TRADE_NOT_FOUND": (404, 21),
    "TRADE_CANCEL_TOO_SOON": (400, 27),
    "TRADE_NOT_CANCELLABLE": (400, 28),
    # The number is published nowhere; the key stands between 33 and 45 in the SDK's list.
    "TRADE_CANCEL_UNSUPPORTED": (400, 34),
    "VALIDATION_FAILED": (422, 1001),
    "NOT_FOUND": (404, 1003),
    "RATE_LIMITED": (429, 1005),
    "SERVER_ERROR": (500, 1006),
    "SYSTEM_MAINTENANCE": (503, 1007),
    "SERVICE_UNAVAILABLE": (503, 1009),
    "FLEET_DEGRADED": (503, 1011),
    "UNAUTHORIZED": (401, 1100),
    "INVALID_TOKEN": (401, 1102),
    "MISSING_BEARER": (401, 1108),
    "TOKEN_INVALID_OR_EXPIRED": (401, 1110),
    "TOKEN_EXPIRED": (401, 1111),
    "FORBIDDEN": (403, 1300),
    "ACCOUNT_DISABLED": (403, 1301),
    "MISSING_API_KEY": (401, 1900),
    "INVALID_API_KEY": (401, 1901),
    "API_KEY_REVOKED": (401, 1902),
    "INSUFFICIENT_SCOPE": (403, 1903),
    "API_KEY_SCOPE_DENIED": (403, 1903),
    "ITEM_NOT_FOUND": (404, 2201),
    # These two carry no published number.
    "WITHDRAWALS_PAUSED": (503, 1009),
    "MERCHANT_NO_CALLBACK_URL": (400, 1700),
}

CANCEL_REFUSALS = frozenset({"TRADE_CANCEL_TOO_SOON", "TRADE_NOT_CANCELLABLE", "TRADE_CANCEL_UNSUPPORTED"})


class Refused(Exception):
    """A call that is answered with an error envelope."""

    def __init__(
        self,
        key: str,
        message: str,
        *,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.fields = fields
        self.headers = headers or {}


def invalid(field: str, reason: str) -> Refused:
    """A VALIDATION_FAILED that names one field."""
    return Refused("VALIDATION_FAILED", f"{field}: {reason}", fields={field: reason})


def http_status(key: str, switches: Switches) -> int:
    """The HTTP status of a known key, where it is in doubt as the switches say."""
    if key in CANCEL_REFUSALS:
        return switches.cancel_refusal_status
    if key == "VALIDATION_FAILED":
        return switches.validation_status
    if key == "PRICE_CHANGED":
        return switches.price_changed_status
    return KNOWN[key][0]
