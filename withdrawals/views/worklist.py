"""The worklist's tabs and rows: which items stand where, and what one row shows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models import Cancellation, CancellationState, Item, Presence, Refund, Refusal, Rule, User
from withdrawals.models.prepared import Counted, rows_of
from withdrawals.models.presence import PRESENT_FOR
from withdrawals.models.words import Words

Items = QuerySet[Item]
# Counting further would cost more than the number is worth.
COUNTED = 10_000


# Each is itself: to compare them by their words would have those looked up with every request.
@dataclass(frozen=True, eq=False)
class Tab:
    """One tab: its name in the address, its words, which items it holds at a moment, and what to say when none do."""

    name: str
    label: Words
    holds: Callable[[datetime], Items]
    newest_first: bool
    empty: Words


def _is_open() -> Exists:
    return Exists(Cancellation.objects.open().filter(item=OuterRef("pk")))


TABS = (
    Tab(
        "can",
        gettext_lazy("Can be cancelled"),
        lambda now: Item.objects.cancellable(now).filter(~_is_open()),
        newest_first=False,
        empty=gettext_lazy("Undelivered items that AssetPay would take a cancel for, longest waiting first."),
    ),
    Tab(
        "soon",
        gettext_lazy("Soon"),
        lambda now: Item.objects.cancellable_later(now).filter(~_is_open()),
        newest_first=False,
        empty=gettext_lazy("Items that are still too young to be cancelled, the next one to become old enough first."),
    ),
    Tab(
        "open",
        gettext_lazy("In progress"),
        # Not by _is_open(): there are few of these, and every item would be asked.
        lambda now: Item.objects.filter(pk__in=Cancellation.objects.open().values("item")),
        newest_first=False,
        empty=gettext_lazy("Items that somebody asked AssetPay to cancel and whose end is not known yet."),
    ),
    Tab(
        "done",
        gettext_lazy("Ended"),
        lambda now: Item.objects.ended(),
        newest_first=True,
        empty=gettext_lazy("Items that were delivered or came back."),
    ),
    Tab(
        "all",
        gettext_lazy("All"),
        lambda now: Item.objects.all(),
        newest_first=True,
        empty=gettext_lazy("Every item of every withdrawal that AssetPay told this desk about."),
    ),
)
TAB_BY_NAME = {tab.name: tab for tab in TABS}


def count_up_to(items: Items) -> str:
    """How many there are, in words of a few signs: exact as far as anybody would read."""
    return up_to_counted(items.order_by()[: COUNTED + 1].count())


def up_to_counted(number: int) -> str:
    """Such a number in words."""
    return str(number) if number <= COUNTED else f"{COUNTED}+"


@dataclass(frozen=True)
class ItemRow:
    """What the row of one item shows to one person at one moment."""

    item: Item
    cancellation: Cancellation | None
    refund: Refund | None
    refusal: Refusal | None
    may_cancel: bool
    may_select: bool
    now: datetime
    notice: str = ""

    @property
    def number(self) -> int:
        """Which request for this item the next one would be."""
        return self.cancellation.number + 1 if self.cancellation else 1

    @property
    def is_open(self) -> bool:
        """Whether a cancellation of it may still change; the row then looks again by itself."""
        return self.cancellation is not None and self.cancellation.is_open

    @property
    def version(self) -> str:
        """What this row shows; a page that knows an older version asks for the row again."""
        return _version(self.item.status, self.cancellation, self.now)

    @property
    def can_undo(self) -> bool:
        """Whether the last request can still be taken back by this person."""
        return self.may_cancel and self.cancellation is not None and self.cancellation.can_be_undone

    @property
    def can_arm(self) -> bool:
        """Whether this person may ask for it now, to be sent once only its age stands against it no longer."""
        too_young = self.refusal is not None and self.refusal.rule == Rule.OLD_ENOUGH
        return self.may_cancel and too_young and not self.is_open

    @property
    def why_not(self) -> str:
        """Why the button is off, and what to do instead; empty where it is on."""
        if self.is_open and self.cancellation is not None:
            is_armed = self.cancellation.state == CancellationState.SCHEDULED
            words = gettext("{who} armed this.") if is_armed else gettext("{who} already asked for this.")
            return words.format(who=self.cancellation.requested_by)
        if self.refusal is not None:
            return f"{self.refusal.sentence} {self.refusal.instead}".strip()
        return "" if self.may_cancel else gettext("Your role may look, not cancel. Agents and supervisors can.")


def for_rows(items: Items) -> Items:
    """`items` with everything that their rows show, in two queries."""
    requests = Cancellation.objects.select_related("requested_by").order_by("number")
    return items.select_related("trade", "refund").prefetch_related(Prefetch("cancellations", requests))


def _version(status: str, last: Cancellation | None, now: datetime) -> str:
    """Changes whenever the row of an item would say something else."""
    if last is None:
        return status
    moments = f"{last.changed_at.timestamp():.3f}-{last.send_from.timestamp():.3f}"
    # What was said of a moment to come is wrong once it has passed.
    is_due = last.is_open and last.send_from <= now
    return f"{status}-{last.number}-{last.state}-{moments}{'-due' if is_due else ''}"


class HasKeys(Protocol):
    """An item, or what is known of one."""

    @property
    def pk(self) -> int:
        """Its own key."""

    @property
    def trade_id(self) -> int:
        """Its trade's."""


def who_is_there(items: Iterable[HasKeys], *, person: User, now: datetime) -> dict[int, list[str]]:
    """Who else has each of these items open, itself or its whole trade, by e-mail."""
    by_item = {item.pk: item.trade_id for item in items}
    found: dict[int, list[str]] = {}
    # All of them: few people are anywhere, and naming a page of items and trades costs more than it saves.
    others = others_there(person, now)
    for item_id, trade_id, email in rows_of(others.makes, **others.values):
        for pk in [item_id] if item_id else [pk for pk, trade in by_item.items() if trade == trade_id]:
            if pk in by_item and email not in found.setdefault(pk, []):
                found[pk].append(email)
    return found


def others_there(person: User, now: datetime) -> Counted:
    """Where anybody else is, to be counted."""
    return Counted(_others, (), {"person": person.pk, "since": now - PRESENT_FOR})


def _others(person: int, since: datetime) -> QuerySet[Presence, tuple[int | None, int, str]]:
    return Presence.objects.of_others(person, since=since).places()


def presence_words(emails: list[str]) -> str:
    """Who is there, in a sentence; empty where nobody is."""
    if not emails:
        return ""
    if len(emails) == 1:
        return gettext("{who} is looking at this").format(who=emails[0])
    return gettext("{several} and {last} are looking at this").format(several=", ".join(emails[:-1]), last=emails[-1])


def item_row(item: Item, *, person: User, now: datetime) -> ItemRow:
    """The row of an item that `for_rows` loaded."""
    requests = list(item.cancellations.all())
    return ItemRow(
        item=item,
        cancellation=requests[-1] if requests else None,
        refund=getattr(item, "refund", None),
        refusal=item.cancel_refusal(now),
        may_cancel=person.may("cancel_item"),
        may_select=person.may("cancel_in_bulk"),
        now=now,
    )


def item_rows(items: list[Item], *, person: User, now: datetime) -> list[ItemRow]:
    """The rows of items that `for_rows` loaded."""
    return [item_row(item, person=person, now=now) for item in items]
