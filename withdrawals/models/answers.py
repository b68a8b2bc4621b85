"""What AssetPay's answers to a cancel mean to an agent. Branches on AssetPay's `key`, whose wording is stable."""

from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from withdrawals.models.words import Words

# Keys of AssetPay's other routes, should one ever stray here: what they are about, for the engineer.
STRAYS = {
    gettext_noop("another withdrawal or purchase"): (
        "EXTERNAL_ID_EXISTS MISSING_ITEMS TOO_MANY_ITEMS ITEMS_UNAVAILABLE ITEMS_NOT_ACCEPTED PRICE_CHANGED "
        "MERCHANT_BALANCE_LOW INVALID_TRADEURL LISTING_NOT_FOUND LISTING_PRICE_INVALID INVALID_LISTING_ID "
        "INSUFFICIENT_ITEM_AMOUNT EXCEEDS_MAX_AMOUNT QUICK_BUY_UNSUPPORTED_GAME INSUFFICIENT_STOCK "
        "MIXED_SUPPLIER_TRADE ESCROW_NOT_ALLOWED"
    ),
    gettext_noop("deposits"): "NO_OFFER_FOUND ITEM_OVERSTOCKED INSTANT_DEPOSITS_DISABLED",
    gettext_noop("Steam"): (
        "INVENTORY_FETCH_FAILED INVENTORY_PRIVATE USER_NOT_TRADEABLE STEAM_UNAVAILABLE STEAM_RATE_LIMITED "
        "TRADE_OFFER_FAILED"
    ),
    gettext_noop("the callback address"): (
        "CALLBACK_URL_TEST_FAILED MERCHANT_NO_CALLBACK_URL MERCHANT_CALLBACK_URL_DISABLED MERCHANT_NO_API_SECRET"
    ),
    gettext_noop("crypto payments"): (
        "INSUFFICIENT_BALANCE INVALID_AMOUNT ONCHAIN_DISABLED ONCHAIN_CHAIN_PAUSED ONCHAIN_UNSUPPORTED_CHAIN "
        "ONCHAIN_UNSUPPORTED_TOKEN ONCHAIN_WITHDRAW_BELOW_MIN ONCHAIN_WITHDRAW_INVALID_ADDRESS "
        "ONCHAIN_INSUFFICIENT_HOT_BALANCE ONCHAIN_DEPEG ONCHAIN_MERCHANT_NOT_VERIFIED ONCHAIN_ADDRESS_CAPACITY "
        "ONCHAIN_CLIENT_WITHDRAW_DISABLED ONCHAIN_CLIENT_WITHDRAW_LIMIT"
    ),
    gettext_noop(
        "identity checks"
    ): "VERIFICATION_ALREADY_VERIFIED VERIFICATION_IN_PROGRESS VERIFICATION_NOT_AVAILABLE",
}
_STRAY = gettext_lazy(
    "AssetPay's answer is about {0}, not about a cancel. Check with AssetPay, and tell your engineer."
)
_BUSY = gettext_lazy("AssetPay is busy with {0}. The desk waits and asks again by itself.")
_UNCLEAR = gettext_lazy(
    "Something broke at AssetPay. It may have been done or not: do not promise anything, check with AssetPay."
)

SENTENCES: dict[str, Words] = {
    **{key: format_lazy(_STRAY, gettext_lazy(about)) for about, keys in STRAYS.items() for key in keys.split()},
    "DEPOSIT_IN_PROGRESS": format_lazy(_BUSY, gettext_lazy("a deposit of this customer")),
    "WITHDRAW_IN_PROGRESS": format_lazy(_BUSY, gettext_lazy("another request for this customer")),
    "ONCHAIN_CLIENT_WITHDRAW_BUSY": format_lazy(_BUSY, gettext_lazy("a payment of this customer")),
    "TOO_MANY_ACTIVE_TRADES": format_lazy(_BUSY, gettext_lazy("too many trades of this customer")),
    "SERVICE_UNAVAILABLE": gettext_lazy("AssetPay's trading service is down. The desk waits and asks again by itself."),
    "DEPOSITS_PAUSED": gettext_lazy("AssetPay has paused deposits. The desk waits and asks again by itself."),
    "NO_BOTS_AVAILABLE": gettext_lazy(
        "AssetPay has no Steam account at hand. The desk waits and asks again by itself."
    ),
    "SERVER_ERROR": _UNCLEAR,
    "DATABASE_ERROR": _UNCLEAR,
    "CONFLICT": gettext_lazy(
        "AssetPay says that this clashes with something under way. Check with AssetPay; nothing was cancelled."
    ),
    "UNPROCESSABLE": gettext_lazy(
        "AssetPay could not work with the request. Tell your engineer; nothing was cancelled."
    ),
    "INVALID_CREDENTIALS": gettext_lazy(
        "AssetPay did not accept our credentials. Tell your engineer; nothing was cancelled."
    ),
    "NO_API_SECRET_CONFIGURED": gettext_lazy(
        "AssetPay has no API secret of ours. Tell your engineer; nothing was cancelled."
    ),
    "CLIENT_USER_NOT_FOUND": gettext_lazy(
        "AssetPay does not know this customer. Tell your engineer; nothing was cancelled."
    ),
    "USER_NOT_FOUND": gettext_lazy("AssetPay does not know this customer. Tell your engineer; nothing was cancelled."),
    "TRADE_CANCEL_TOO_SOON": gettext_lazy(
        "AssetPay says the item is not 30 minutes old yet. The desk asks again by itself."
    ),
    "TRADE_NOT_CANCELLABLE": gettext_lazy(
        "AssetPay will not cancel this item: it has ended, or the supplier refuses. Check with AssetPay to see which."
    ),
    "TRADE_CANCEL_UNSUPPORTED": gettext_lazy(
        "This item comes from a source that takes no cancel (Rust, or AssetPay's own stock). Wait for the delivery."
    ),
    "FORBIDDEN": gettext_lazy(
        "AssetPay says this item belongs to another customer. Tell your engineer; nothing was cancelled."
    ),
    "ITEM_NOT_FOUND": gettext_lazy(
        "AssetPay does not find this item in the trade. Check with AssetPay; nothing was cancelled."
    ),
    "TRADE_NOT_FOUND": gettext_lazy("AssetPay does not know this trade. Tell your engineer; nothing was cancelled."),
    "NOT_FOUND": gettext_lazy("AssetPay does not find what was asked for. Tell your engineer; nothing was cancelled."),
    "RATE_LIMITED": gettext_lazy("AssetPay's limit for cancels is used up. The desk waits and asks again by itself."),
    "SYSTEM_MAINTENANCE": gettext_lazy("AssetPay is in maintenance. The desk waits and asks again by itself."),
    "FLEET_DEGRADED": gettext_lazy("AssetPay cannot work right now. The desk waits and asks again by itself."),
    "WITHDRAWALS_PAUSED": gettext_lazy("AssetPay has paused withdrawals. The desk waits and asks again by itself."),
    "VALIDATION_FAILED": gettext_lazy(
        "AssetPay did not understand the request. Tell your engineer; nothing was cancelled."
    ),
    "UNAUTHORIZED": gettext_lazy("AssetPay did not accept our credentials. Tell your engineer; nothing was cancelled."),
    "INVALID_TOKEN": gettext_lazy(
        "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled."
    ),
    "TOKEN_EXPIRED": gettext_lazy(
        "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled."
    ),
    "TOKEN_INVALID_OR_EXPIRED": gettext_lazy(
        "AssetPay did not accept our token, twice. Tell your engineer; nothing was cancelled."
    ),
    "MISSING_BEARER": gettext_lazy("AssetPay got no token from us. Tell your engineer; nothing was cancelled."),
    "ACCOUNT_DISABLED": gettext_lazy("AssetPay has disabled the account. Tell your engineer; nothing was cancelled."),
    "MISSING_API_KEY": gettext_lazy("AssetPay got no api-key from us. Tell your engineer; nothing was cancelled."),
    "INVALID_API_KEY": gettext_lazy("AssetPay does not know our api-key. Tell your engineer; nothing was cancelled."),
    "API_KEY_REVOKED": gettext_lazy("Our api-key was revoked. Tell your engineer; nothing was cancelled."),
    "API_KEY_SCOPE_DENIED": gettext_lazy("Our api-key may not cancel. Tell your engineer; nothing was cancelled."),
    "INSUFFICIENT_SCOPE": gettext_lazy("Our api-key may not cancel. Tell your engineer; nothing was cancelled."),
    "API_KEY_IP_DENIED": gettext_lazy(
        "Our api-key may not be used from this address. Tell your engineer; nothing was cancelled."
    ),
    "MERCHANT_API_KEY_REQUIRED": gettext_lazy(
        "AssetPay wants a merchant's api-key. Tell your engineer; nothing was cancelled."
    ),
}


def answer_sentence(key: str) -> str:
    """One sentence for an agent; a key that nobody documented is shown as it came."""
    known = SENTENCES.get(key)
    return (
        str(known)
        if known
        else gettext("AssetPay answered {key}. Nothing more is known about this answer.").format(key=key)
    )
