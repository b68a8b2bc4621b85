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
from django.utils.translation import gettext, gettext_lazy

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
from withdrawals.models.words import Words
from withdrawals.templatetags.desk import game_words, iso, mask_token, spaced, status_words, usd, written, zoned

register = template.Library()

# A name that stands here is one that its own letters do not explain.
FIELD_WORDS: dict[str, Words] = {
    "active_at": gettext_lazy("offered to the customer"),
    "answer": gettext_lazy("AssetPay's answer"),
    "appid": gettext_lazy("Steam app"),
    "asset_id": gettext_lazy("Steam asset id"),
    "attempt": gettext_lazy("sending"),
    "auto_cancel_at": gettext_lazy("AssetPay gives up"),
    "bot_name": gettext_lazy("AssetPay's bot"),
    "cancellation": gettext_lazy("cancel"),
    "client_steam_id": gettext_lazy("customer's Steam id"),
    "client_trade_url": gettext_lazy("customer's trade link"),
    "client_user_id": gettext_lazy("AssetPay's id of the customer"),
    "document": gettext_lazy("what was read"),
    "external_client_user_id": gettext_lazy("your id of the customer"),
    "external_id": gettext_lazy("your id"),
    "fields": gettext_lazy("what was changed"),
    "first_price": gettext_lazy("price first seen"),
    "form": gettext_lazy("as"),
    "has_conflicting_ends": gettext_lazy("two different ends reported"),
    "hold_end_at": gettext_lazy("hold ends"),
    "icon_url": gettext_lazy("picture"),
    "is_active": gettext_lazy("may log in"),
    "is_superuser": gettext_lazy("may do everything"),
    "item_status": gettext_lazy("item"),
    "item_type": gettext_lazy("type"),
    "key": gettext_lazy("AssetPay's key"),
    "market_hash_name": gettext_lazy("name on the market"),
    "merchant_id": gettext_lazy("merchant"),
    "message": gettext_lazy("AssetPay's words"),
    "number": gettext_lazy("request"),
    "offer_id": gettext_lazy("Steam offer"),
    "opened_at": gettext_lazy("opened"),
    "path": gettext_lazy("address"),
    "permission": gettext_lazy("what for"),
    "reported_status": gettext_lazy("last reported"),
    "reverted_by": gettext_lazy("undone by"),
    "second_factor_reset": gettext_lazy("second factors forgotten"),
    "source": gettext_lazy("bought by"),
    "total_price": gettext_lazy("total"),
}
FACTORS = {
    "totp": gettext_lazy("code from an app"),
    "webauthn": gettext_lazy("passkey or security key"),
    "recovery_codes": gettext_lazy("recovery codes"),
}
BOUGHT_BY = {"client": gettext_lazy("the customer"), "self": gettext_lazy("the merchant's own account")}
FORMS = {"jsonl": gettext_lazy("JSON lines, the whole log"), "csv": "CSV"}
DOCUMENTS = {
    "delivery": gettext_lazy("body of callback"),
    "read": gettext_lazy("document of read"),
    "trade": gettext_lazy("last document of the trade"),
}
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
    return gettext(dict(PERMISSIONS).get(value, value)).removeprefix("May ")


VALUE_WORDS: dict[str, Callable[[str], str]] = {
    "alarm": labels(AlarmKind),
    "answer": labels(AttemptOutcome),
    "cancellation": labels(CancellationState),
    "cause": labels(RefundCause),
    "document": _document,
    "factor": lambda value: str(FACTORS.get(value, value)),
    # Whole: they say which rows somebody took away.
    "filters": mask_token,
    "form": lambda value: str(FORMS.get(value, value)),
    "game": game_words,
    "item_status": status_words,
    "list": labels(SavedList),
    "permission": _permission,
    "refund": labels(RefundState),
    "reported_status": status_words,
    "source": lambda value: str(BOUGHT_BY.get(value, value)),
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
    return str(FIELD_WORDS.get(name) or spaced(name.removesuffix("_at")))


def value_words(name: str, value: object) -> str:
    """What a value of this column means; empty for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    text = str(value)
    if name in VALUE_WORDS:
        return VALUE_WORDS[name](text)
    if AMOUNT.fullmatch(text):
        return usd(Decimal(text))
    if MOMENT.fullmatch(text):
        try:
            return zoned(datetime.fromisoformat(text))
        except ValueError:
            return text
    masked = mask_token(text)
    return masked if len(masked) <= ELLIPSIS_AFTER else f"{masked[:ELLIPSIS_AFTER]}…"


@register.simple_tag
def stamp_in(moment: datetime, zone: ZoneInfo | None) -> SafeString:
    """The absolute time in a zone, which it names."""
    local = moment.astimezone(zone or UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-zoned>{}</time>',
        iso(moment),
        written(moment.astimezone(UTC)),
        written(local),
    )
