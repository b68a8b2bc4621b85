"""Formatting only: money, times, words and tones. Whatever comes from AssetPay stays text."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from babel.numbers import format_currency
from django import template
from django.conf import settings
from django.contrib.messages.storage.base import Message
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from withdrawals.models import ROLE_PERMISSIONS, Game, Status
from withdrawals.models.masking import mask_tokens
from withdrawals.models.money import CENT

register = template.Library()

STATUS_WORDS = {
    Status.INITIATED: "Waiting for approval",
    Status.PENDING: "Waiting for the seller",
    Status.ACTIVE: "Offered to the customer",
    Status.HOLD: "In Steam's hold",
    Status.FAILED: "Failed",
    Status.DECLINED: "Declined by the customer",
    Status.CANCELED: "Canceled at AssetPay",
    Status.COMPLETED: "Delivered",
    Status.REVERTED: "Undone",
}
ACTION_WORDS = {
    "access.denied": "Refused: the role may not do this",
    "audit.check_ended": "Check of the audit log ended",
    "audit.check_started": "Check of the audit log started",
    "alarm.cleared": "Alarm cleared",
    "alarm.raised": "Alarm raised",
    "batch.drafted": "Items chosen together",
    "batch.paused": "Batch paused",
    "batch.resumed": "Batch goes on",
    "batch.started": "Batch asked for",
    "batch.stopped": "Batch stopped",
    "cancellation.accepted": "AssetPay accepted the cancel",
    "cancellation.armed": "Cancel armed for when it is allowed",
    "cancellation.answered_late": "A late answer came",
    "cancellation.confirmed": "The item came back undone",
    "cancellation.overtaken": "The item was delivered after all",
    "cancellation.refused": "AssetPay refused the cancel",
    "cancellation.rescheduled": "Armed cancel moved to another time",
    "cancellation.requested": "Cancel asked for",
    "cancellation.retried": "Tried again by a person",
    "cancellation.sending": "AssetPay is being asked",
    "cancellation.settled": "Settled as not done",
    "cancellation.settlement_proposed": "“Not done” proposed",
    "cancellation.uncertain": "Outcome of the cancel unknown",
    "cancellation.withdrawn": "Cancel taken back",
    "delivery.replayed": "Callback replayed",
    "document.read": "Raw document read",
    "item.appeared": "Item appeared",
    "item.changed": "Item changed",
    "note.written": "Note written",
    "person.access_renewed": "One-time link made",
    "person.changed": "Person changed",
    "person.created": "Person added",
    "person.factor_added": "Second factor added",
    "person.factor_removed": "Second factor removed",
    "person.factor_reset": "Second factor forgotten",
    "person.company_bound": "Bound to the company's log-in",
    "person.logged_in": "Logged in",
    "person.password_changed": "Own password changed",
    "person.role_changed": "Role changed",
    "person.sessions_ended": "Sessions ended",
    "person.switched_off": "Person switched off",
    "person.switched_on": "Person switched on",
    "refund.amount_set": "Amount of the refund set",
    "refund.approval_approved": "Approved by a second person",
    "refund.approval_asked": "A second person was asked",
    "refund.approval_expired": "No second person looked in time",
    "refund.approval_sent_back": "Sent back to the first person",
    "refund.approval_void": "Approval void: something changed",
    "refund.changed": "Refund changed",
    "refund.compensated": "Mistaken confirmation compensated",
    "refund.confirmed": "Refund confirmed",
    "refund.contradicted": "AssetPay said otherwise after the decision",
    "refund.opened": "Refund opened",
    "refund.reopened": "Waiver taken back",
    "refund.waived": "Refund waived",
    "case.exported": "Case file made",
    "trade.appeared": "Trade appeared",
    "trade.changed": "Trade changed",
    "rows.exported": "Rows exported",
    "view.removed": "View removed",
    "view.saved": "View saved",
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
SECOND_BY_UNIT = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@register.filter
def usd(amount: Decimal | None) -> str:
    """`amount` in dollars and cents; smaller parts only where there are any."""
    if amount is None:
        return NOTHING
    cents = amount.quantize(CENT, rounding=ROUND_HALF_UP)
    if cents == amount:
        return str(format_currency(cents, "USD", locale="en_US"))
    return str(format_currency(amount, "USD", "¤#,##0.00##", locale="en_US", currency_digits=False))


@register.filter
def usd_or_zero(amount: Decimal | None) -> str:
    """A sum in dollars; the sum of nothing is zero."""
    return usd(amount or Decimal(0))


@register.filter
def iso(moment: datetime | None) -> str:
    """ISO 8601 in UTC, for machines."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else ""


@register.filter
def utc(moment: datetime | None) -> str:
    """The full time with its zone, for people."""
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M:%S} UTC" if moment else NOTHING


def relative(moment: datetime, now: datetime) -> str:
    """How long ago or how far ahead, in one unit. `static/js/times.js` says the same in the browser."""
    seconds = int(abs((now - moment).total_seconds()))
    if seconds < 1:
        return "now"
    unit, length = next(pair for pair in SECOND_BY_UNIT if seconds >= pair[1])
    words = f"{seconds // length} {unit}"
    return f"in {words}" if moment > now else f"{words} ago"


@register.filter
def until(moment: datetime, now: datetime) -> str:
    """How far ahead `moment` is."""
    return relative(moment, now)


@register.simple_tag(takes_context=True)
def when(context: Context, moment: datetime | None) -> SafeString | str:
    """A relative time with the absolute one behind it; the page keeps it current."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        iso(moment),
        utc(moment),
        relative(moment, context["desk"].now),
    )


@register.simple_tag
def stamp(moment: datetime | None) -> SafeString | str:
    """The absolute time, on its own."""
    return format_html('<time datetime="{}">{}</time>', iso(moment), utc(moment)) if moment else NOTHING


@register.filter
def lasting(seconds: int) -> str:
    """A length of time in its largest whole unit; below zero where a clock is ahead."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * length:
            return f"{int(seconds / length)} {unit}"
    return f"{seconds} s"


@register.filter
def status_words(status: str) -> str:
    """A status of AssetPay in our words; one that nobody documented as it came."""
    return STATUS_WORDS.get(status, f"unknown: {status}")  # type: ignore[call-overload, no-any-return] # a member equals its text


@register.filter
def game_words(game: str | None) -> str:
    """A game by its name, where we know it."""
    return Game(game).label if game in Game.values else game or NOTHING


@register.filter
def action_words(action: str) -> str:
    """An audit verb in words; an unknown one as it is."""
    return ACTION_WORDS.get(action, action)


@register.filter
def spaced(name: str) -> str:
    """A name of ours as people write it."""
    return name.replace("_", " ")


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
    roles = [f"{role.value}s" for role, codenames in ROLE_PERMISSIONS.items() if str(codename) in codenames]
    return " and ".join([", ".join(roles[:-1]), roles[-1]] if len(roles) > 1 else roles)


@register.filter
def bucket(moment: datetime, now: datetime) -> str:
    """The calendar day in UTC as people say it."""
    day: date = moment.astimezone(UTC).date()
    today = now.astimezone(UTC).date()
    if day == today:
        return "Today"
    return "Yesterday" if day == today - timedelta(days=1) else "Older"


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
