"""The worklist's tabs and rows: which items stand where, and what one row shows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from withdrawals.models import Cancellation, Item, Refund, Refusal, User

Items = QuerySet[Item]
MOVING_FOR = timedelta(minutes=10)
# Counting further would cost more than the number is worth.
COUNTED = 10_000


@dataclass(frozen=True)
class Tab:
    """One tab: its name in the address, its words, which items it holds at a moment, and what to say when none do."""

    name: str
    label: str
    holds: Callable[[datetime], Items]
    newest_first: bool
    empty: str


def _is_open() -> Exists:
    return Exists(Cancellation.objects.open().filter(item=OuterRef("pk")))


TABS = (
    Tab(
        "can",
        "Can be cancelled",
        lambda now: Item.objects.cancellable(now).filter(~_is_open()),
        newest_first=False,
        empty="Undelivered items that AssetPay would take a cancel for, longest waiting first.",
    ),
    Tab(
        "soon",
        "Soon",
        lambda now: Item.objects.cancellable_later(now).filter(~_is_open()),
        newest_first=False,
        empty="Items that are still too young to be cancelled, the next one to become old enough first.",
    ),
    Tab(
        "open",
        "In progress",
        lambda now: Item.objects.filter(_is_open()),
        newest_first=False,
        empty="Items that somebody asked AssetPay to cancel and whose end is not known yet.",
    ),
    Tab(
        "done",
        "Ended",
        lambda now: Item.objects.ended(),
        newest_first=True,
        empty="Items that were delivered or came back.",
    ),
    Tab(
        "all",
        "All",
        lambda now: Item.objects.all(),
        newest_first=True,
        empty="Every item of every withdrawal that AssetPay told this desk about.",
    ),
)
TAB_BY_NAME = {tab.name: tab for tab in TABS}


def count_up_to(items: Items) -> str:
    """How many there are, in words of a few signs: exact as far as anybody would read."""
    number = items.order_by()[: COUNTED + 1].count()
    return str(number) if number <= COUNTED else f"{COUNTED}+"


@dataclass(frozen=True)
class ItemRow:
    """What the row of one item shows to one person at one moment."""

    item: Item
    cancellation: Cancellation | None
    refund: Refund | None
    refusal: Refusal | None
    may_cancel: bool
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
    def look_again_seconds(self) -> int:
        """How soon the row looks again by itself: at once while things move, seldom when AssetPay takes its time."""
        moved_at = self.cancellation.changed_at if self.cancellation else self.now
        return 3 if self.now - moved_at < MOVING_FOR else 15

    @property
    def can_undo(self) -> bool:
        """Whether the last request can still be taken back by this person."""
        return self.may_cancel and self.cancellation is not None and self.cancellation.can_be_undone

    @property
    def why_not(self) -> str:
        """Why the button is off; empty where it is on."""
        if self.is_open and self.cancellation is not None:
            return f"{self.cancellation.requested_by} already asked for this."
        if self.refusal is not None:
            return self.refusal.sentence
        return "" if self.may_cancel else "Your role may look, not cancel. Agents and supervisors can."


def for_rows(items: Items) -> Items:
    """`items` with everything that their rows show, in two queries."""
    requests = Cancellation.objects.select_related("requested_by").order_by("number")
    return items.select_related("trade", "refund").prefetch_related(Prefetch("cancellations", requests))


def item_row(item: Item, *, person: User, now: datetime, notice: str = "") -> ItemRow:
    """The row of an item that `for_rows` loaded."""
    requests = list(item.cancellations.all())
    return ItemRow(
        item=item,
        cancellation=requests[-1] if requests else None,
        refund=getattr(item, "refund", None),
        refusal=item.cancel_refusal(now),
        may_cancel=person.may("cancel_item"),
        now=now,
        notice=notice,
    )


def item_rows(items: list[Item], *, person: User, now: datetime) -> list[ItemRow]:
    """The rows of items that `for_rows` loaded."""
    return [item_row(item, person=person, now=now) for item in items]
