"""What AssetPay's answers to a cancel mean to an agent. Branches on AssetPay's `key`, whose wording is stable."""

SENTENCES = {
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
