"""The timeline of a trade in words: human days, and no name of a column."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from django import template

from withdrawals.models import AuditEntry, CancellationState, Game, RefundCause, RefundState
from withdrawals.templatetags.desk import STATUS_WORDS, mask_token, spaced, usd

register = template.Library()

# The words of an entry's own names; another is shown as people write it.
NAMES = {
    "status": "at AssetPay",
    "item_status": "at AssetPay",
    "reported_status": "last reported",
    "cancellation": "the request",
    "number": "request number",
    "attempt": "sending",
    "refund": "the refund",
    "price": "price",
    "first_price": "price first seen",
    "market_price": "market price",
    "total_price": "total",
    "amount": "amount",
    "cause": "because",
    "name": "name",
    "market_hash_name": "name on the market",
    "external_id": "your id",
    "asset_id": "Steam's id of the thing",
    "offer_id": "Steam offer",
    "client_trade_url": "trade link",
    "client_steam_id": "Steam id",
    "client_user_id": "AssetPay's id of the customer",
    "external_client_user_id": "your id of the customer",
    "auto_cancel_at": "AssetPay gives up",
    "hold_end_at": "hold ends",
    "active_at": "offered",
    "reverted_by": "undone by",
    "paint_seed": "pattern",
    "item_type": "type",
    "appid": "game",
    "game": "game",
    "opened_at": "opened",
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
STATUSES = {str(status): words for status, words in STATUS_WORDS.items()}
WORDS: dict[str, dict[str, str]] = {
    "status": STATUSES,
    "item_status": STATUSES,
    "reported_status": STATUSES,
    "cancellation": dict(CancellationState.choices),
    "refund": dict(RefundState.choices),
    "cause": dict(RefundCause.choices),
    "game": dict(Game.choices),
    "appid": dict(Game.choices),
    "reverted_by": {"user": "the customer", "supplier": "the seller"},
}


@register.filter
def changes_in_words(entry: AuditEntry) -> Iterator[tuple[str, str, str]]:
    """What an entry says changed, in words: name, before, after; before is empty where nothing was."""
    for name, value in entry.after.items():
        if name in UNSAID or (name == "reported_status" and value == entry.after.get("status")):
            continue
        old, new = in_words(name, entry.before.get(name)), in_words(name, value)
        if old or new:
            yield NAMES.get(name, spaced(name)), "" if old == new else old, new


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
            return f"{datetime.fromisoformat(text).astimezone(UTC):%d %b %Y %H:%M:%S} UTC"
        except ValueError:
            return text
    return WORDS.get(name, {}).get(text) or mask_token(text)


@register.filter
def days_ago(moment: datetime, now: datetime) -> str:
    """The calendar day in UTC, in buckets that people think in."""
    today, day = now.astimezone(UTC).date(), moment.astimezone(UTC).date()
    if day >= today:
        return "Today"
    buckets = (("Yesterday", 1), ("Last 7 days", 7), ("Last 30 days", 30))
    return next((words for words, days in buckets if today - day <= timedelta(days=days)), "Older")
