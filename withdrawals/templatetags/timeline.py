"""The timeline of a trade in words: human days, and no name of a column."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from django import template
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models import AuditEntry, CancellationState, Game, RefundCause, RefundState
from withdrawals.models.words import Words
from withdrawals.templatetags.desk import STATUS_WORDS, mask_token, spaced, usd, zoned

register = template.Library()

# The words of an entry's own names; another is shown as people write it.
NAMES: dict[str, Words] = {
    "status": gettext_lazy("at AssetPay"),
    "item_status": gettext_lazy("at AssetPay"),
    "reported_status": gettext_lazy("last reported"),
    "cancellation": gettext_lazy("the request"),
    "number": gettext_lazy("request number"),
    "attempt": gettext_lazy("sending"),
    "refund": gettext_lazy("the refund"),
    "price": gettext_lazy("price"),
    "first_price": gettext_lazy("price first seen"),
    "market_price": gettext_lazy("market price"),
    "total_price": gettext_lazy("total"),
    "amount": gettext_lazy("amount"),
    "cause": gettext_lazy("because"),
    "name": gettext_lazy("name"),
    "market_hash_name": gettext_lazy("name on the market"),
    "external_id": gettext_lazy("your id"),
    "asset_id": gettext_lazy("Steam's id of the thing"),
    "offer_id": gettext_lazy("Steam offer"),
    "client_trade_url": gettext_lazy("trade link"),
    "client_steam_id": gettext_lazy("Steam id"),
    "client_user_id": gettext_lazy("AssetPay's id of the customer"),
    "external_client_user_id": gettext_lazy("your id of the customer"),
    "auto_cancel_at": gettext_lazy("AssetPay gives up"),
    "hold_end_at": gettext_lazy("hold ends"),
    "active_at": gettext_lazy("offered"),
    "reverted_by": gettext_lazy("undone by"),
    "paint_seed": gettext_lazy("pattern"),
    "item_type": gettext_lazy("type"),
    "appid": gettext_lazy("game"),
    "game": gettext_lazy("game"),
    "opened_at": gettext_lazy("opened"),
}
# What says nothing to an agent: our own bookkeeping, kept in the audit log.
UNSAID = {
    "position",
    "tradable",
    "icon_url",
    "signs",
    "unknown",
    "is_opened_at_known",
    "first_price_reported_at",
    "status_reported_at",
}
MONEY = {"price", "first_price", "market_price", "total_price", "amount"}
TIMES = {"auto_cancel_at", "hold_end_at", "active_at", "opened_at"}
STATUSES: dict[str, Words] = {str(status): words for status, words in STATUS_WORDS.items()}
WORDS: dict[str, dict[str, Words]] = {
    "status": STATUSES,
    "item_status": STATUSES,
    "reported_status": STATUSES,
    "cancellation": {**dict(CancellationState.choices)},
    "refund": {**dict(RefundState.choices)},
    "cause": {**dict(RefundCause.choices)},
    "game": {**dict(Game.choices)},
    "appid": {**dict(Game.choices)},
    "reverted_by": {"user": gettext_lazy("the customer"), "supplier": gettext_lazy("the seller")},
}


@register.filter
def changes_in_words(entry: AuditEntry) -> Iterator[tuple[str, str, str]]:
    """What an entry says changed, in words: name, before, after; before is empty where nothing was."""
    for name, value in entry.after.items():
        if name in UNSAID or (name == "reported_status" and value == entry.after.get("status")):
            continue
        old, new = in_words(name, entry.before.get(name)), in_words(name, value)
        if old or new:
            yield str(NAMES.get(name) or spaced(name)), "" if old == new else old, new


def in_words(name: str, value: object) -> str:
    """One value as people say it; whatever is not known here as it came."""
    if value is None or value == "":
        return ""
    text = str(value)
    if name in MONEY:
        try:
            return usd(Decimal(text))
        except InvalidOperation:
            return text
    if name in TIMES:
        try:
            return zoned(datetime.fromisoformat(text))
        except ValueError:
            return text
    return str(WORDS.get(name, {}).get(text) or mask_token(text))


@register.filter
def days_ago(moment: datetime, now: datetime) -> str:
    """The calendar day of whoever looks, in buckets that people think in."""
    zone = get_current_timezone()
    today, day = now.astimezone(zone).date(), moment.astimezone(zone).date()
    if day >= today:
        return gettext("Today")
    buckets = ((gettext("Yesterday"), 1), (gettext("Last 7 days"), 7), (gettext("Last 30 days"), 30))
    return next((words for words, days in buckets if today - day <= timedelta(days=days)), gettext("Older"))
