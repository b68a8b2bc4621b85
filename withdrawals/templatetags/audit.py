"""The audit log in words: what each column is called, and what each value means. Formatting only."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django import template
from django.db.models import TextChoices
from django.utils.html import format_html
from django.utils.safestring import SafeString

from withdrawals.models import (
    AlarmKind,
    AttemptOutcome,
    AuditEntry,
    CancellationState,
    RefundCause,
    RefundState,
    SavedList,
    Verdict,
)
from withdrawals.models.user import PERMISSIONS
from withdrawals.templatetags.desk import game_words, iso, mask_token, spaced, status_words, usd, utc

register = template.Library()

# A name that stands here is one that its own letters do not explain.
FIELD_WORDS = {
    "active_at": "offered to the customer",
    "answer": "AssetPay's answer",
    "appid": "Steam app",
    "asset_id": "Steam asset id",
    "attempt": "sending",
    "auto_cancel_at": "AssetPay gives up",
    "bot_name": "AssetPay's bot",
    "cancellation": "cancel",
    "client_steam_id": "customer's Steam id",
    "client_trade_url": "customer's trade link",
    "client_user_id": "AssetPay's id of the customer",
    "document": "what was read",
    "external_client_user_id": "your id of the customer",
    "external_id": "your id",
    "fields": "what was changed",
    "first_price": "price first seen",
    "form": "as",
    "has_conflicting_ends": "two different ends reported",
    "hold_end_at": "hold ends",
    "icon_url": "picture",
    "is_active": "may log in",
    "is_superuser": "may do everything",
    "item_status": "item",
    "item_type": "type",
    "key": "AssetPay's key",
    "market_hash_name": "name on the market",
    "merchant_id": "merchant",
    "message": "AssetPay's words",
    "number": "request",
    "offer_id": "Steam offer",
    "opened_at": "opened",
    "path": "address",
    "permission": "what for",
    "reported_status": "last reported",
    "reverted_by": "undone by",
    "second_factor_reset": "second factors forgotten",
    "source": "bought by",
    "total_price": "total",
}
FACTORS = {"totp": "code from an app", "webauthn": "passkey or security key", "recovery_codes": "recovery codes"}
BOUGHT_BY = {"client": "the customer", "self": "the merchant's own account"}
FORMS = {"jsonl": "JSON lines, the whole log", "csv": "CSV"}
DOCUMENTS = {"delivery": "body of callback", "read": "document of read", "trade": "last document of the trade"}
AMOUNT = re.compile(r"-?\d{1,14}\.\d{4}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
ELLIPSIS_AFTER = 160


def labels(choices: type[TextChoices]) -> Callable[[str], str]:
    """The label of a value; one that is no longer known as it is."""
    return lambda value: str(choices(value).label) if value in choices.values else value


def _document(value: str) -> str:
    kind, _, key = value.partition(":")
    return f"{DOCUMENTS.get(kind, kind)} {key}".strip()


def _permission(value: str) -> str:
    return dict(PERMISSIONS).get(value, value).removeprefix("May ")


VALUE_WORDS: dict[str, Callable[[str], str]] = {
    "alarm": labels(AlarmKind),
    "answer": labels(AttemptOutcome),
    "cancellation": labels(CancellationState),
    "cause": labels(RefundCause),
    "document": _document,
    "factor": lambda value: FACTORS.get(value, value),
    "form": lambda value: FORMS.get(value, value),
    "game": game_words,
    "item_status": status_words,
    "list": labels(SavedList),
    "permission": _permission,
    "refund": labels(RefundState),
    "reported_status": status_words,
    "source": lambda value: BOUGHT_BY.get(value, value),
    "status": status_words,
    "verdict": labels(Verdict),
}


@dataclass(frozen=True)
class Move:
    """One line of a difference, in words; empty where there was or is nothing."""

    name: str
    old: str
    new: str


@register.filter
def moves(entry: AuditEntry) -> Iterator[Move]:
    """What an audit entry says changed."""
    before: Mapping[str, object] = entry.before
    after: Mapping[str, object] = entry.after
    for name in [*after, *(name for name in before if name not in after)]:
        if name == "reported_status" and after.get(name) == after.get("status"):
            continue  # said once is enough
        old, new = value_words(name, before.get(name)), value_words(name, after.get(name))
        if old or new:
            yield Move(field_words(name), "" if old == new else old, new)


def field_words(name: str) -> str:
    """What people call a column."""
    return FIELD_WORDS.get(name) or spaced(name.removesuffix("_at"))


def value_words(name: str, value: object) -> str:
    """What a value of this column means; empty for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if name in VALUE_WORDS:
        return VALUE_WORDS[name](text)
    if AMOUNT.fullmatch(text):
        return usd(Decimal(text))
    if MOMENT.fullmatch(text):
        try:
            return utc(datetime.fromisoformat(text))
        except ValueError:
            return text
    masked = mask_token(text)
    return masked if len(masked) <= ELLIPSIS_AFTER else f"{masked[:ELLIPSIS_AFTER]}…"


@register.simple_tag
def stamp_in(moment: datetime, zone: ZoneInfo | None) -> SafeString:
    """The absolute time in a zone, which it names."""
    local = moment.astimezone(zone or UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', iso(moment), utc(moment), f"{local:%d %b %Y %H:%M:%S %Z}"
    )
