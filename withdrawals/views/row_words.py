"""What every row of the worklist says, looked up once for a page: a tag in each row would do it fifty times."""

from django.utils.translation import gettext, gettext_noop

ROW_WORDS = {
    "assetpay_gives_up": gettext_noop("AssetPay gives up"),
    "at_assetpay": gettext_noop("At AssetPay"),
    "cancel_from": gettext_noop("Cancel from"),
    "cancel_item": gettext_noop("Cancel item"),
    "cancel_when_allowed": gettext_noop("Cancel when allowed"),
    "desk": gettext_noop("Desk"),
    "waits_for_its_turn": gettext_noop(
        "It waits for its turn within AssetPay's limit, and can be taken back until it leaves."
    ),
    "item": gettext_noop("Item"),
    "no_steam_id": gettext_noop("no Steam id"),
    "not_asked": gettext_noop("not asked"),
    "now": gettext_noop("now"),
    "price": gettext_noop("Price"),
    "merchants_own": gettext_noop("the merchant's own"),
    "already_offered": gettext_noop("The offer is already with the customer, who may still accept it."),
    "trade": gettext_noop("Trade"),
    "undo": gettext_noop("Undo"),
}


def row_words() -> dict[str, str]:
    """The words of the row in the language of whoever looks."""
    return {name: gettext(text) for name, text in ROW_WORDS.items()}
