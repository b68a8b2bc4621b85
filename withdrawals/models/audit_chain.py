"""Walking along the audit chain: what holds, and where it was tampered with first.

The same five kinds stand in `scripts/verify_export.py`, which imports nothing of ours; a test holds them together.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models, transaction
from django.db.models import F, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy

from withdrawals.models.audit import GENESIS, AuditEntry, AuditHead, entry_hash

SLICE = 5_000
# How far an entry may have been moved from its number and still be known again.
FARTHEST_MOVE = 1_000
FIRST_OF_ALL = -(2**63)

# In the order of the hash's content; the entry's own hash comes last.
CONTENT = (
    "previous_hash", "number", "at", "actor_id", "actor_name", "action", "trade_id", "item_id",
    "before", "after", "reason", "source", "cause", "request_id",
)  # fmt: skip
Row = tuple[Any, ...]
PREVIOUS, NUMBER, AT, BEFORE, AFTER, HASH = 0, 1, 2, 8, 9, 14


class TamperKind(models.TextChoices):
    """What can have been done to the log."""

    EDITED = "edited", gettext_lazy("Edited")
    MISSING = "missing", gettext_lazy("Missing")
    INSERTED = "inserted", gettext_lazy("Inserted")
    TAIL_CUT = "tail_cut", gettext_lazy("Tail cut")
    REWRITTEN = "rewritten", gettext_lazy("Rewritten")


@dataclass(frozen=True)
class Anchor:
    """The head as it once was, remembered elsewhere: its number, its hash, and where that was kept."""

    number: int
    hash: str
    place: str = ""


@dataclass(frozen=True)
class Tampering:
    """What was done, to which entry first, and a sentence that says both."""

    kind: TamperKind
    number: int
    sentence: str


@dataclass(frozen=True)
class Position:
    """How far a walk has come: the last entry that holds, and the last that an anchor vouches for."""

    number: int = 0
    hash: str = GENESIS
    anchored: int = 0


@dataclass(frozen=True)
class Verified:
    """What a walk along the whole chain found: entries that hold, the last one's hash, and the first tampering."""

    entries: int
    head: str
    tampering: Tampering | None = None
    anchored: int = 0

    @property
    def problem(self) -> str:
        """The tampering in words, or nothing."""
        return self.tampering.sentence if self.tampering else ""


@dataclass
class Walk:
    """A walk along the chain, in slices: it may be put down after any and taken up again from its position."""

    position: Position = field(default_factory=Position)
    anchors: Mapping[int, Iterable[Anchor]] = field(default_factory=dict)
    tampering: Tampering | None = None
    is_over: bool = False

    def go(self, entries: int = SLICE) -> None:
        """Look at the next entries. At the end of the log the head and the anchors have the last word."""
        if self._pass(entries) < entries and not self.is_over:
            # Nobody appends while the head is locked, so its end and the log's are compared at one moment.
            with transaction.atomic():
                head = AuditHead.objects.select_for_update(no_key=True).filter(pk=1).first()
                while not self.is_over and self._pass(SLICE):
                    pass
                if not self.is_over:
                    self._stop(self._at_the_end(head))

    def _pass(self, entries: int) -> int:
        rows = _rows_after(self.position.number or FIRST_OF_ALL, entries)
        for row in rows:
            found = self._look_at(row)
            if found is not None:
                self._stop(found)
                break
        return len(rows)

    def _stop(self, found: Tampering | None) -> None:
        self.tampering, self.is_over = found, True

    def _look_at(self, row: Row) -> Tampering | None:
        here, number = self.position, row[NUMBER]
        if number != here.number + 1 or row[PREVIOUS] != here.hash or own_hash(row) != row[HASH]:
            return _explain(row, here)
        anchored = here.anchored
        for anchor in self.anchors.get(number, ()):
            if anchor.hash != row[HASH]:
                return self._break_nearby(row) or _rewritten(anchor, after=here.anchored)
            anchored = number
        self.position = Position(number, row[HASH], anchored)
        return None

    def _break_nearby(self, row: Row) -> Tampering | None:
        """What the chain itself says of a row that an anchor contradicts: a few forged entries end in a break."""
        beyond = Walk(Position(row[NUMBER], row[HASH]))
        beyond._pass(FARTHEST_MOVE)
        found = beyond.tampering
        if found is None and beyond.position.number == row[NUMBER]:
            # The last entry of all: it has no neighbour, but the head knows it too.
            head = AuditHead.objects.filter(pk=1, number=row[NUMBER]).first()
            found = beyond._at_the_end(head) if head else None
        return found if found is not None and found.number <= row[NUMBER] else None

    def _at_the_end(self, head: AuditHead | None) -> Tampering | None:
        last = self.position.number
        if head is None:
            return Tampering(TamperKind.MISSING, last + 1, "The head of the log is missing, so its end is not known.")
        beyond = max((number for number in self.anchors if number > last), default=0)
        if head.number > last or beyond:
            known, by = (head.number, "its head is") if head.number >= beyond else (beyond, "an anchor is")
            sentence = f"Entry {last + 1} and what followed were cut off: the log ends at {last}, but {by} at {known}."
            return Tampering(TamperKind.TAIL_CUT, last + 1, sentence)
        if head.number < last:
            return _inserted(head.number + 1, "the head of the log was never there")
        if head.hash != self.position.hash:
            return _edited(last, "the head of the log knows it with another hash")
        return None


def verify_chain(anchors: Iterable[Anchor] = ()) -> Verified:
    """Walk the chain from its start to its end; the first tampering is the problem."""
    walk = Walk(anchors=by_number(anchors))
    while not walk.is_over:
        walk.go()
    return Verified(walk.position.number, walk.position.hash, walk.tampering, walk.position.anchored)


def by_number(anchors: Iterable[Anchor]) -> dict[int, list[Anchor]]:
    """Anchors as a walk looks them up."""
    found: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        found.setdefault(anchor.number, []).append(anchor)
    return found


def own_hash(row: Row, *, number: int | None = None) -> str:
    """The hash that this row should carry (under another number, if given); empty where its content cannot be read."""
    content = list(row[:HASH])
    try:
        at = content[AT] if isinstance(content[AT], datetime) else datetime.fromisoformat(content[AT])
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        content[AT] = at.isoformat(timespec="microseconds")
        content[BEFORE], content[AFTER] = json.loads(content[BEFORE]), json.loads(content[AFTER])
        content[NUMBER] = row[NUMBER] if number is None else number
        return entry_hash(content)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return ""


def _rows_after(number: int, most: int) -> list[Row]:
    # As text where a row that somebody damaged could not be read as what it should be.
    at = Cast("at", TextField()) if connection.vendor == "sqlite" else F("at")
    texts = {"at_": at, "before_": Cast("before", TextField()), "after_": Cast("after", TextField())}
    names = [f"{name}_" if f"{name}_" in texts else name for name in CONTENT]
    rows = AuditEntry.objects.annotate(**texts).filter(number__gt=number).order_by("number")
    return list(rows.values_list(*names, "hash")[:most])


def _explain(row: Row, here: Position) -> Tampering:
    """Why `row` does not follow `here`: which entry is the first bad one, and what was done to it."""
    number = row[NUMBER]
    if not isinstance(number, int):
        return _inserted(here.number + 1, f"its number is {number!r}")
    if number <= here.number:
        return _inserted(number, "its number was never given out")
    if number > here.number + 1:
        return _missing(here.number + 1, number)
    if own_hash(row) != row[HASH]:
        before = _true_number(row)
        if before is None:
            return _edited(number, "its content does not make its hash")
        return _missing(number, before) if before > number else _inserted(before, "the entries after it were moved up")
    follows = AuditEntry.objects.filter(hash=row[PREVIOUS], number__lt=number - 1).values_list("number", flat=True)
    true_previous = 0 if row[PREVIOUS] == GENESIS else follows.first()
    if true_previous is not None and number > 1:
        return _inserted(true_previous + 1, f"entry {number} follows entry {true_previous} by its hash")
    # The row is whole, and so was the one before it: whichever the next entry does not know was edited and hashed anew.
    following = AuditEntry.objects.filter(number=number + 1).values_list("previous_hash", flat=True).first()
    following = following or AuditHead.objects.filter(pk=1, number=number).values_list("hash", flat=True).first()
    if number > 1 and following == row[HASH]:
        return _edited(here.number, f"entry {number} knows it with another hash")
    return _edited(number, "it does not follow the entry before it")


def _true_number(row: Row) -> int | None:
    moves = (sign * step for step in range(1, FARTHEST_MOVE + 1) for sign in (1, -1))
    return next((row[NUMBER] + move for move in moves if own_hash(row, number=row[NUMBER] + move) == row[HASH]), None)


def _edited(number: int, why: str) -> Tampering:
    return Tampering(TamperKind.EDITED, number, f"Entry {number} was edited: {why}.")


def _inserted(number: int, why: str) -> Tampering:
    return Tampering(TamperKind.INSERTED, number, f"Entry {number} was inserted: {why}.")


def _missing(number: int, following: int) -> Tampering:
    return Tampering(TamperKind.MISSING, number, f"Entry {number} is missing; the next is {following}.")


def _rewritten(anchor: Anchor, *, after: int) -> Tampering:
    first = after + 1
    which = f"Entry {first}" if first == anchor.number else f"An entry from {first} to {anchor.number}"
    place = f" ({anchor.place})" if anchor.place else ""
    sentence = f"{which} was rewritten: an anchor of entry {anchor.number}{place} has another hash."
    return Tampering(TamperKind.REWRITTEN, first, sentence)
