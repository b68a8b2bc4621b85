"""AssetPay's vocabulary for trades and items, in AssetPay's spelling."""

from enum import StrEnum


class Status(StrEnum):
    """Where a trade or an item stands; the two share one list. `canceled` has one L here."""

    INITIATED = "initiated"
    PENDING = "pending"
    ACTIVE = "active"
    HOLD = "hold"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    DECLINED = "declined"
    REVERTED = "reverted"


WITHDRAW = "withdraw"
DEPOSIT = "deposit"
GAME_CS2 = "730"
GAME_RUST = "252490"

STATUSES = frozenset(str(status) for status in Status)
TYPES = frozenset({DEPOSIT, WITHDRAW})
SOURCES = frozenset({"client", "self"})
GAMES = frozenset({GAME_CS2, GAME_RUST})
DELIVERIES = frozenset({"standard", "instant"})
REVERTERS = frozenset({"supplier", "user"})

# What may stand in `error` inside a trade. These are not the API's error keys, even where the spelling matches.
ITEM_ERRORS = frozenset(
    {
        "LISTING_UNAVAILABLE",
        "NO_LISTING_AT_PRICE",
        "PRICE_CHANGED",
        "TRADE_URL_INVALID",
        "STEAM_ACCOUNT_RESTRICTED",
        "BUYER_TRADE_RESTRICTED",
        "OFFER_NOT_ACCEPTED",
        "MARKET_UNAVAILABLE",
        "PURCHASE_FAILED",
    }
)
TRADE_ERRORS = ITEM_ERRORS | {
    "USER_TRADE_RESTRICTED",
    "USER_INVENTORY_PRIVATE",
    "USER_ESCROW",
    "USER_NOT_FOUND",
    "SERVICE_UNAVAILABLE",
    "MERCHANT_REJECTED",
    "APPROVAL_TIMEOUT",
}

CRYPTO_WITHDRAW = "crypto_withdraw"
AWAITING_APPROVAL = "awaiting_approval"
CRYPTO_WITHDRAWAL_STATUSES = frozenset(
    {AWAITING_APPROVAL, "in_review", "approved", "sent", "completed", "failed", "rejected", "cancelled"}
)
CRYPTO_DEPOSIT_STATUSES = frozenset({"pending", "completed", "failed", "frozen", "refunded", "below_minimum"})
