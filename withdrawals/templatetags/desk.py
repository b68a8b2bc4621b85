"""Formatting only: money, times, words and tones. Whatever comes from AssetPay stays text."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency
from django import template
from django.conf import settings
from django.contrib.messages.storage.base import Message
from django.template import Context
from django.utils.dates import MONTHS_3
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language, gettext, gettext_lazy, to_locale

from withdrawals.models import ROLE_PERMISSIONS, Game, RefundCause, RefundState, Role, Status
from withdrawals.models.masking import mask_tokens
from withdrawals.models.money import CENT
from withdrawals.models.words import Words

register = template.Library()

STATUS_WORDS = {
    Status.INITIATED: gettext_lazy("Waiting for approval"),
    Status.PENDING: gettext_lazy("Waiting for the seller"),
    Status.ACTIVE: gettext_lazy("Offered to the customer"),
    Status.HOLD: gettext_lazy("In Steam's hold"),
    Status.FAILED: gettext_lazy("Failed"),
    Status.DECLINED: gettext_lazy("Declined by the customer"),
    Status.CANCELED: gettext_lazy("Canceled at AssetPay"),
    Status.COMPLETED: gettext_lazy("Delivered"),
    Status.REVERTED: gettext_lazy("Undone"),
}
ACTION_WORDS = {
    "access.denied": gettext_lazy("Refused: the role may not do this"),
    "audit.check_ended": gettext_lazy("Check of the audit log ended"),
    "audit.check_started": gettext_lazy("Check of the audit log started"),
    "alarm.cleared": gettext_lazy("Alarm cleared"),
    "alarm.raised": gettext_lazy("Alarm raised"),
    "batch.drafted": gettext_lazy("Items chosen together"),
    "batch.finished": gettext_lazy("Batch finished"),
    "batch.paused": gettext_lazy("Batch paused"),
    "batch.resumed": gettext_lazy("Batch goes on"),
    "batch.started": gettext_lazy("Batch asked for"),
    "batch.stopped": gettext_lazy("Batch stopped"),
    "cancellation.accepted": gettext_lazy("AssetPay accepted the cancel"),
    "cancellation.armed": gettext_lazy("Cancel armed for when it is allowed"),
    "cancellation.answered_late": gettext_lazy("A late answer came"),
    "cancellation.confirmed": gettext_lazy("The item came back undone"),
    "cancellation.overtaken": gettext_lazy("The item was delivered after all"),
    "cancellation.postponed": gettext_lazy("Put off: AssetPay is asked again later"),
    "cancellation.rearmed": gettext_lazy("Armed again: AssetPay is looked at once more"),
    "cancellation.refused": gettext_lazy("AssetPay refused the cancel"),
    "cancellation.released": gettext_lazy("Armed cancel asked for: its moment has come"),
    "cancellation.rescheduled": gettext_lazy("Armed cancel moved to another time"),
    "cancellation.requested": gettext_lazy("Cancel asked for"),
    "cancellation.resend_dropped": gettext_lazy("Not asked once more"),
    "cancellation.retried": gettext_lazy("Tried again by a person"),
    "cancellation.sending": gettext_lazy("AssetPay is being asked"),
    "cancellation.settled": gettext_lazy("Settled as not done"),
    "cancellation.settlement_proposed": gettext_lazy("“Not done” proposed"),
    "cancellation.uncertain": gettext_lazy("Outcome of the cancel unknown"),
    "cancellation.withdrawn": gettext_lazy("Cancel taken back"),
    "delivery.replayed": gettext_lazy("Callback replayed"),
    "document.read": gettext_lazy("Raw document read"),
    "item.appeared": gettext_lazy("Item appeared"),
    "item.changed": gettext_lazy("Item changed"),
    "note.written": gettext_lazy("Note written"),
    "person.access_renewed": gettext_lazy("One-time link made"),
    "person.changed": gettext_lazy("Person changed"),
    "person.created": gettext_lazy("Person added"),
    "person.display_chosen": gettext_lazy("Language and time zone chosen"),
    "person.factor_added": gettext_lazy("Second factor added"),
    "person.factor_removed": gettext_lazy("Second factor removed"),
    "person.factor_reset": gettext_lazy("Second factor forgotten"),
    "person.company_bound": gettext_lazy("Bound to the company's log-in"),
    "person.logged_in": gettext_lazy("Logged in"),
    "person.password_changed": gettext_lazy("Own password changed"),
    "person.role_changed": gettext_lazy("Role changed"),
    "person.sessions_ended": gettext_lazy("Sessions ended"),
    "person.switched_off": gettext_lazy("Person switched off"),
    "person.switched_on": gettext_lazy("Person switched on"),
    "refund.amount_set": gettext_lazy("Amount of the refund set"),
    "refund.approval_approved": gettext_lazy("Approved by a second person"),
    "refund.approval_asked": gettext_lazy("A second person was asked"),
    "refund.approval_expired": gettext_lazy("No second person looked in time"),
    "refund.approval_sent_back": gettext_lazy("Sent back to the first person"),
    "refund.approval_void": gettext_lazy("Approval void: something changed"),
    "refund.changed": gettext_lazy("Refund changed"),
    "refund.compensated": gettext_lazy("Mistaken confirmation compensated"),
    "refund.confirmed": gettext_lazy("Refund confirmed"),
    "refund.contradicted": gettext_lazy("AssetPay said otherwise after the decision"),
    "refund.opened": gettext_lazy("Refund opened"),
    "refund.reopened": gettext_lazy("Waiver taken back"),
    "refund.waived": gettext_lazy("Refund waived"),
    "case.exported": gettext_lazy("Case file made"),
    "trade.appeared": gettext_lazy("Trade appeared"),
    "trade.changed": gettext_lazy("Trade changed"),
    "rows.exported": gettext_lazy("Rows exported"),
    "view.removed": gettext_lazy("View removed"),
    "view.saved": gettext_lazy("View saved"),
}
# How each state looks: good, bad, warn, busy, or quiet where nobody needs to act.
TONES = {
    "requested": "busy",
    "scheduled": "busy",
    "sending": "busy",
    "accepted": "busy",
    "uncertain": "warn",
    "refused": "bad",
    "confirmed": "good",
    "overtaken": "note",
    "running": "busy",
    "paused": "warn",
    "stopped": "quiet",
    "finished": "good",
    "due": "warn",
    "in_review": "note",
    "awaiting": "busy",
    "applied": "good",
    "approval": "note",
    "quarantined": "bad",
    "failed": "bad",
    "completed": "good",
    "active": "note",
    "hold": "note",
}
# What a message is tagged with, before the number of the cancellation that it offers to take back.
UNDO = "undo-"
NOTHING = "\N{EN DASH}"
# `static/js/countdown.js` has the same lengths, and these words from the page.
LENGTHS: tuple[tuple[int, Words], ...] = (
    (86_400, gettext_lazy("{count} d")),
    (3_600, gettext_lazy("{count} h")),
    (60, gettext_lazy("{count} min")),
    (1, gettext_lazy("{count} s")),
)
ROLES_IN_WORDS: dict[Role, Words] = {
    Role.AGENT: gettext_lazy("agents"),
    Role.SUPERVISOR: gettext_lazy("supervisors"),
    Role.AUDITOR: gettext_lazy("auditors"),
    Role.ADMIN: gettext_lazy("admins"),
}


@register.filter
def usd(amount: Decimal | None) -> str:
    """`amount` in dollars and cents as the reader's language writes them; smaller parts only where there are any."""
    if amount is None:
        return NOTHING
    return _dollars(amount, get_language())


@lru_cache(maxsize=5_000)
def _dollars(amount: Decimal, language: str | None) -> str:
    """The same amount is the same text, however many noughts it came with."""
    cents, locale = amount.quantize(CENT, rounding=ROUND_HALF_UP), _locale(language)
    if cents == amount:
        return str(format_currency(cents, "USD", locale=locale))
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0.00##")
    return str(format_currency(amount, "USD", pattern, locale=locale, currency_digits=False))


@cache
def _locale(language: str | None) -> Locale:
    """How numbers are written in a language of Django's; as in America where Babel does not know it."""
    try:
        return Locale.parse(to_locale(language or "en"))
    except (UnknownLocaleError, ValueError):
        return Locale("en", "US")


@register.filter
def usd_or_zero(amount: Decimal | None) -> str:
    """A sum in dollars; the sum of nothing is zero."""
    return usd(amount or Decimal(0))


@register.filter
def iso(moment: datetime | None) -> str:
    """ISO 8601 in UTC, for machines."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


@register.filter
def zoned(moment: datetime | None) -> str:
    """The full time in the zone of whoever looks, which it names."""
    return written(moment.astimezone(get_current_timezone())) if moment else NOTHING


def written(local: datetime) -> str:
    """A full time as people write it, with the name of its zone; UTC+4 where a zone has no other."""
    zone = local.tzname() or ""
    zone = f"UTC{zone}" if zone[:1] in ("+", "-") else zone
    return f"{local:%d} {str(MONTHS_3[local.month]).title()} {local:%Y %H:%M:%S} {zone}"


def relative(moment: datetime, now: datetime) -> str:
    """How long ago or how far ahead, in one unit. `static/js/countdown.js` says the same in the browser."""
    return relative_in(get_language(), moment, now)


def relative_in(language: str | None, moment: datetime, now: datetime) -> str:
    """The same in the language that is active, for many at once."""
    seconds = int(abs((now - moment).total_seconds()))
    if seconds < 1:
        return gettext("now")
    length = next(length for length, _ in LENGTHS if seconds >= length)
    return _span(language, seconds // length, length, moment > now)


@lru_cache(maxsize=5_000)
def _span(language: str | None, count: int, length: int, is_ahead: bool) -> str:
    """Such a time in words. Looking up words takes most of the time that a row of a list takes, and they are few."""
    span = str(dict(LENGTHS)[length]).format(count=count)
    return (gettext("in {span}") if is_ahead else gettext("{span} ago")).format(span=span)


@register.simple_tag(takes_context=True)
def when(context: Context, moment: datetime | None) -> SafeString | str:
    """A relative time with the absolute one behind it; the page keeps it current."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        iso(moment),
        zoned(moment),
        context["desk"].relative(moment),
    )


@register.simple_tag(takes_context=True)
def how_far(context: Context, moment: datetime) -> str:
    """A relative time alone."""
    words: str = context["desk"].relative(moment)
    return words


@register.simple_tag
def stamp(moment: datetime | None) -> SafeString | str:
    """The absolute time, on its own."""
    return format_html('<time datetime="{}">{}</time>', iso(moment), zoned(moment)) if moment else NOTHING


@register.filter
def lasting(seconds: int) -> str:
    """A length of time in its largest whole unit; below zero where a clock is ahead."""
    for length, words in LENGTHS:
        if abs(seconds) >= 2 * length or length == 1:
            return str(words).format(count=int(seconds / length))
    return NOTHING


@register.filter
def status_words(status: str) -> str:
    """A status of AssetPay in our words; one that nobody documented as it came."""
    known = STATUS_WORDS.get(status)  # type: ignore[call-overload] # a member equals its text
    return str(known) if known else gettext("unknown: {status}").format(status=status)


@register.filter
def within(words: str) -> str:
    """Words for the middle of a sentence: names in them, such as Steam's, stay as they are written."""
    return words[:1].lower() + words[1:]


@register.filter
def game_words(game: str | None) -> str:
    """A game by its name, where we know it."""
    return Game(game).label if game in Game.values else game or NOTHING


@register.filter
def action_words(action: str) -> str:
    """An audit verb in words; an unknown one as it is."""
    return str(ACTION_WORDS.get(action, action))


@register.filter
def spaced(name: str) -> str:
    """A name of ours as people write it."""
    words = name.replace("_", " ")
    return gettext(words) if words else ""


@register.filter
def said(sentence: str) -> str:
    """A sentence that is kept in English, in the language of whoever looks where the catalogue has it."""
    return gettext(sentence) if sentence else ""


@register.filter
def role_words(names: Iterable[str]) -> str:
    """Roles by their names."""
    return ", ".join(str(Role(name).label).lower() if name in Role.values else name for name in names)


# What a first person decided on (`Refund.decided_on`), in the order and the words in which a second one reads it.
SEEN_WORDS: dict[str, Words] = {
    "amount": gettext_lazy("Amount"),
    "cause": gettext_lazy("Why"),
    "rules_say": gettext_lazy("The rules say"),
    "rule_version": gettext_lazy("Version of the rules"),
    "item_status": gettext_lazy("Item"),
    "latest_status": gettext_lazy("AssetPay's latest word"),
    "price_first_seen": gettext_lazy("Price first seen"),
    "price_latest": gettext_lazy("Latest price"),
    "lost_at_assetpay": gettext_lazy("Kept by AssetPay"),
    "evidence": gettext_lazy("Evidence"),
    "evidence_sha256": gettext_lazy("Hash of the evidence"),
    "ledger_rows": gettext_lazy("Rows in its ledger before"),
}


@register.filter
def seen_words(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """What a first person saw, line by line. Nothing kept by AssetPay is no line; a name that came later is kept."""
    unnamed = {name: name.replace("_", " ").capitalize() for name in shown if name not in {*SEEN_WORDS, "refund"}}
    return [
        (str(words), _seen_value(name, shown[name]))
        for name, words in (SEEN_WORDS | unnamed).items()
        if name in shown and not (name == "lost_at_assetpay" and shown[name] is None)
    ]


def _seen_value(name: str, value: Any) -> str:
    if value is None:
        return gettext("unknown")
    if name in ("amount", "price_first_seen", "price_latest", "lost_at_assetpay"):
        return usd(Decimal(value))
    if name in ("item_status", "latest_status"):
        return status_words(value)
    labels = dict(RefundCause.choices if name == "cause" else RefundState.choices if name == "rules_say" else ())
    return str(labels.get(value, value))


@register.filter
def tone(state: str) -> str:
    """The look of a chip."""
    return TONES.get(state, "quiet")


@register.filter
def mask_token(text: str | None) -> str:
    """`text` without the token of a Steam trade link."""
    return mask_tokens(str(text or ""))


@register.filter
def picture(icon_url: str | None) -> str:
    """The address of an item's picture, if it lies where pictures may come from; else empty."""
    url = icon_url or ""
    return url if url.startswith(f"{settings.ITEM_PICTURE_HOST}/") else ""


@register.filter
def who_may(codename: object) -> str:
    """The roles that grant a permission, in words; empty for what is no permission."""
    roles = [str(ROLES_IN_WORDS[role]) for role, codenames in ROLE_PERMISSIONS.items() if str(codename) in codenames]
    if len(roles) < 2:
        return "".join(roles)
    return gettext("{several} and {last}").format(several=", ".join(roles[:-1]), last=roles[-1])


@register.filter
def bucket(moment: datetime, now: datetime) -> str:
    """The calendar day in UTC as people say it."""
    day: date = moment.astimezone(UTC).date()
    today = now.astimezone(UTC).date()
    if day == today:
        return gettext("Today")
    return gettext("Yesterday") if day == today - timedelta(days=1) else gettext("Older")


@register.filter
def undo_key(message: Message) -> str:
    """Which cancellation a message offers to take back; empty for most."""
    return (message.extra_tags or "").removeprefix(UNDO)


@register.filter
def cause_kind(cause: str) -> str:
    """What made an entry happen: delivery, read or attempt."""
    return cause.partition(":")[0]


@register.filter
def cause_key(cause: str) -> str:
    """Our own key of it."""
    return cause.partition(":")[2]


@register.filter
def body_text(body: bytes | memoryview | None) -> str:
    """Bytes as text; what is not UTF-8 is shown as U+FFFD."""
    return bytes(body or b"").decode("utf-8", errors="replace")
