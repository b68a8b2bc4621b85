"""What AssetPay's answers to a cancel mean to an agent. Branches on AssetPay's `key`, whose wording is stable."""

# Keys of AssetPay's other routes, should one ever stray here: what they are about, for the engineer.
STRAYS = {
    "another withdrawal or purchase": (
        "EXTERNAL_ID_EXISTS MISSING_ITEMS TOO_MANY_ITEMS ITEMS_UNAVAILABLE ITEMS_NOT_ACCEPTED PRICE_CHANGED "
        "MERCHANT_BALANCE_LOW INVALID_TRADEURL LISTING_NOT_FOUND LISTING_PRICE_INVALID INVALID_LISTING_ID "
        "INSUFFICIENT_ITEM_AMOUNT EXCEEDS_MAX_AMOUNT QUICK_BUY_UNSUPPORTED_GAME INSUFFICIENT_STOCK "
        "MIXED_SUPPLIER_TRADE ESCROW_NOT_ALLOWED"
    ),
    "deposits": "NO_OFFER_FOUND ITEM_OVERSTOCKED INSTANT_DEPOSITS_DISABLED",
    "Steam": (
        "INVENTORY_FETCH_FAILED INVENTORY_PRIVATE USER_NOT_TRADEABLE STEAM_UNAVAILABLE STEAM_RATE_LIMITED "
        "TRADE_OFFER_FAILED"
    ),
    "the callback address": (
        "CALLBACK_URL_TEST_FAILED MERCHANT_NO_CALLBACK_URL MERCHANT_CALLBACK_URL_DISABLED MERCHANT_NO_API_SECRET"
    ),
    "crypto payments": (
        "INSUFFICIENT_BALANCE INVALID_AMOUNT ONCHAIN_DISABLED ONCHAIN_CHAIN_PAUSED ONCHAIN_UNSUPPORTED_CHAIN "
        "ONCHAIN_UNSUPPORTED_TOKEN ONCHAIN_WITHDRAW_BELOW_MIN ONCHAIN_WITHDRAW_INVALID_ADDRESS "
        "ONCHAIN_INSUFFICIENT_HOT_BALANCE ONCHAIN_DEPEG ONCHAIN_MERCHANT_NOT_VERIFIED ONCHAIN_ADDRESS_CAPACITY "
        "ONCHAIN_CLIENT_WITHDRAW_DISABLED ONCHAIN_CLIENT_WITHDRAW_LIMIT"
    ),
    "identity checks": "VERIFICATION_ALREADY_VERIFIED VERIFICATION_IN_PROGRESS VERIFICATION_NOT_AVAILABLE",
}
_STRAY = "AssetPay's answer is about {0}, not about a cancel. Check with AssetPay, and tell your engineer."
_BUSY = "AssetPay is busy with {0}. The desk waits and asks again by itself."
_UNCLEAR = "Something broke at AssetPay. It may have been done or not: do not promise anything, check with AssetPay."

SENTENCES = {
    **{key: _STRAY.format(about) for about, keys in STRAYS.items() for key in keys.split()},
    "DEPOSIT_IN_PROGRESS": _BUSY.format("a deposit of this customer"),
    "WITHDRAW_IN_PROGRESS": _BUSY.format("another request for this customer"),
    "ONCHAIN_CLIENT_WITHDRAW_BUSY": _BUSY.format("a payment of this customer"),
    "TOO_MANY_ACTIVE_TRADES": _BUSY.format("too many trades of this customer"),
    "SERVICE_UNAVAILABLE": "AssetPay's trading service is down. The desk waits and asks again by itself.",
    "DEPOSITS_PAUSED": "AssetPay has paused deposits. The desk waits and asks again by itself.",
    "NO_BOTS_AVAILABLE": "AssetPay has no Steam account at hand. The desk waits and asks again by itself.",
    "SERVER_ERROR": _UNCLEAR,
    "DATABASE_ERROR": _UNCLEAR,
    "CONFLICT": "AssetPay says that this clashes with something under way. Check with AssetPay; nothing was cancelled.",
    "UNPROCESSABLE": "AssetPay could not work with the request. Tell your engineer; nothing was cancelled.",
    "INVALID_CREDENTIALS": "AssetPay did not accept our credentials. Tell your engineer; nothing was cancelled.",
    "NO_API_SECRET_CONFIGURED": "AssetPay has no API secret of ours. Tell your engineer; nothing was cancelled.",
    "CLIENT_USER_NOT_FOUND": "AssetPay does not know this customer. Tell your engineer; nothing was cancelled.",
    "USER_NOT_FOUND": "AssetPay does not know this customer. Tell your engineer; nothing was cancelled.",
    "TRADE_CANCEL_TOO_SOON": "AssetPay says the item is not 30 minutes old yet. The desk asks again by itself.",
    "TRADE_NOT_CANCELLABLE": (
        "AssetPay will not cancel this item: it has ended, or the supplier refuses. Check with AssetPay to see which."
    ),
    "TRADE_CANCEL_UNSUPPORTED": (
        "This item comes from a source that takes no cancel (Rust, or AssetPay's own stock). Wait for the delivery."
    ),
    "FORBIDDEN": "AssetPay says this item belongs to another customer. Tell your engineer; nothing was cancelled.",
    "ITEM_NOT_FOUND": "AssetPay does not find this item in the trade. Check with AssetPay; nothing was cancelled.",
    "TRADE_NOT_FOUND": "AssetPay does not know this trade. Tell your engineer; nothing was cancelled.",
    "NOT_FOUND": "AssetPay does not find what was asked for. Tell your engineer; nothing was cancelled.",
    "RATE_LIMITED": "AssetPay's limit for cancels is used up. The desk waits and asks again by itself.",
    "SYSTEM_MAINTENANCE": "AssetPay is in maintenance. The desk waits and asks again by itself.",
    "FLEET_DEGRADED": "AssetPay cannot work right now. The desk waits and asks again by itself.",
    "WITHDRAWALS_PAUSED": "AssetPay has paused withdrawals. The desk waits and asks again by itself.",
    "VALIDATION_FAILED": "AssetPay did not understand the request. Tell your engineer; nothing was cancelled.",
    "UNAUTHORIZED": "AssetPay did not accept our credentials. Tell your engineer; nothing was cancelled.",
    "INVALID_TOKEN": "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled.",
    "TOKEN_EXPIRED": "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled.",
    "TOKEN_INVALID_OR_EXPIRED": "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled.",
    "MISSING_BEARER": "AssetPay got no token from us. Tell your engineer; nothing was cancelled.",
    "ACCOUNT_DISABLED": "AssetPay has disabled the account. Tell your engineer; nothing was cancelled.",
    "MISSING_API_KEY": "AssetPay got no api-key from us. Tell your engineer; nothing was cancelled.",
    "INVALID_API_KEY": "AssetPay does not know our api-key. Tell your engineer; nothing was cancelled.",
    "API_KEY_REVOKED": "Our api-key was revoked. Tell your engineer; nothing was cancelled.",
    "API_KEY_SCOPE_DENIED": "Our api-key may not cancel. Tell your engineer; nothing was cancelled.",
    "INSUFFICIENT_SCOPE": "Our api-key may not cancel. Tell your engineer; nothing was cancelled.",
    "API_KEY_IP_DENIED": "Our api-key may not be used from this address. Tell your engineer; nothing was cancelled.",
    "MERCHANT_API_KEY_REQUIRED": "AssetPay wants a merchant's api-key. Tell your engineer; nothing was cancelled.",
}


def answer_sentence(key: str) -> str:
    """One sentence for an agent; a key that nobody documented is shown as it came."""
    return SENTENCES.get(key, f"AssetPay answered {key}. Nothing more is known about this answer.")
