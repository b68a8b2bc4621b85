"""What somebody with the keys of the database can do to the audit log, one random deed at a time."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction

from tests.wire import NOON
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Anchor, AuditEntry, AuditHead, Source, TamperKind
from withdrawals.models.audit_triggers import create_triggers, drop_triggers

ANCHOR_EVERY = 10
OUT_OF_THE_WAY = 100_000


def write(entries: int, *, minute: int = 0) -> None:
    """Append as an action would."""
    now = NOON + timedelta(minutes=minute)
    with transaction.atomic():
        facts = [
            Fact(
                "test.happened", before={"turn": turn, "words": "é\u202e\N{GREEK SMALL LETTER PI}"}, after={"on": True}
            )
            for turn in range(entries)
        ]
        record(facts, origin=Origin(Source.COMMAND, name="test", cause="read:1"), now=now)


@contextmanager
def somebody_with_the_keys() -> Iterator[None]:
    """What the owner of the tables can do and a runtime role cannot."""
    drop_triggers(connection)
    try:
        yield
    finally:
        create_triggers(connection)


@dataclass(frozen=True)
class Done:
    """What was done: the kinds that a verifier may call it, and the first bad entry (or the last that it may name)."""

    deed: str
    kinds: tuple[TamperKind, ...]
    first: int
    last: int

    def is_named_by(self, kind: str, number: int) -> bool:
        """Whether a finding says so."""
        return kind in self.kinds and self.first <= number <= self.last


class Log:
    """A log as it should be, which can be put back after each deed."""

    def __init__(self, entries: int) -> None:
        for minute in range(0, entries, 5):
            write(min(5, entries - minute), minute=minute)
        self.length = entries
        self.true = list(AuditEntry.objects.order_by("number"))
        self.head = AuditHead.objects.get()
        numbers = {*range(ANCHOR_EVERY, entries, ANCHOR_EVERY), entries}
        self.anchors = [Anchor(each.number, each.hash, "test") for each in self.true if each.number in numbers]

    def put_back(self) -> None:
        """Undo whatever was done."""
        AuditEntry.objects.all().delete()
        AuditEntry.objects.bulk_create(self.true)
        AuditHead.objects.update(number=self.head.number, hash=self.head.hash)

    def deeds(self) -> list[Callable[[random.Random], Done]]:
        """Everything that can be done."""
        return [
            self.edit, self.edit, self.edit_and_hash_anew, self.delete, self.delete_and_close_up, self.cut_the_tail,
            self.cut_the_tail_and_mend_the_head, self.insert, self.insert_at_either_end, self.swap, self.rewrite,
            self.empty,
        ]  # fmt: skip

    def any(self, chance: random.Random, *, but_last: int = 0) -> int:
        """The number of some entry."""
        return chance.randint(1, self.length - but_last)

    def edit(self, chance: random.Random) -> Done:
        """One column of one entry."""
        number = self.any(chance)
        columns = {
            "actor_name": "nobody", "action": "refund.confirmed", "reason": "because", "source": "screen",
            "cause": "delivery:9", "request_id": "x", "before": {"turn": -1}, "after": {"on": False},
            "at": NOON - timedelta(days=1), "previous_hash": "e" * 64, "hash": f"{number:064x}",
        }  # fmt: skip
        column = chance.choice(sorted(columns))
        AuditEntry.objects.filter(number=number).update(**{column: columns[column]})
        return Done(f"edit {column} of {number}", (TamperKind.EDITED,), number, number)

    def edit_and_hash_anew(self, chance: random.Random) -> Done:
        """An entry that is whole again; its neighbour knows better."""
        number = self.any(chance)
        entry = AuditEntry.objects.get(number=number)
        entry.actor_name = "nobody"
        AuditEntry.objects.filter(number=number).update(actor_name="nobody", hash=entry.content_hash())
        return Done(f"edit and hash {number}", (TamperKind.EDITED,), number, number)

    def delete(self, chance: random.Random) -> Done:
        """One or some, never the last."""
        number = self.any(chance, but_last=1)
        until = min(number + chance.choice([0, 0, 3]), self.length - 1)
        AuditEntry.objects.filter(number__range=(number, until)).delete()
        return Done(f"delete {number} to {until}", (TamperKind.MISSING,), number, number)

    def delete_and_close_up(self, chance: random.Random) -> Done:
        """Renumber what follows, and the head."""
        number = self.any(chance, but_last=1)
        AuditEntry.objects.filter(number=number).delete()
        self._move(after=number, by=-1)
        return Done(f"delete {number} and close up", (TamperKind.MISSING,), number, number)

    def cut_the_tail(self, chance: random.Random) -> Done:
        """The last entries; the head is forgotten."""
        number = self.any(chance)
        AuditEntry.objects.filter(number__gte=number).delete()
        return Done(f"cut from {number}", (TamperKind.TAIL_CUT,), number, number)

    def cut_the_tail_and_mend_the_head(self, chance: random.Random) -> Done:
        """Nothing here can tell any more; only an anchor can."""
        number = self.any(chance)
        AuditEntry.objects.filter(number__gte=number).delete()
        before = self.true[number - 2] if number > 1 else None
        AuditHead.objects.update(number=number - 1, hash=before.hash if before else "0" * 64)
        return Done(f"cut from {number} with the head", (TamperKind.TAIL_CUT,), number, number)

    def insert(self, chance: random.Random) -> Done:
        """Some forged entries, well linked, in the middle; what follows is moved up, and the head."""
        after, many = self.any(chance, but_last=1), chance.choice([1, 1, 3])
        self._move(after=after, by=many)
        self._forge(after, many)
        return Done(f"insert {many} after {after}", (TamperKind.INSERTED,), after + 1, after + 1)

    def insert_at_either_end(self, chance: random.Random) -> Done:
        """Behind the head, or before the first."""
        if chance.random() < 0.5:
            self._forge(self.length, 1)
            return Done("insert behind the head", (TamperKind.INSERTED,), self.length + 1, self.length + 1)
        number = -chance.randint(0, 5)
        forged = self._copy(self.true[0], number=number, previous="0" * 64)
        AuditEntry.objects.bulk_create([forged])
        return Done(f"insert as {number}", (TamperKind.INSERTED,), number, number)

    def swap(self, chance: random.Random) -> Done:
        """Two entries change places."""
        one, other = sorted(chance.sample(range(1, self.length + 1), 2))
        AuditEntry.objects.filter(number=one).update(number=OUT_OF_THE_WAY)
        AuditEntry.objects.filter(number=other).update(number=one)
        AuditEntry.objects.filter(number=OUT_OF_THE_WAY).update(number=other)
        return Done(f"swap {one} and {other}", (TamperKind.EDITED, TamperKind.MISSING), one, one)

    def rewrite(self, chance: random.Random) -> Done:
        """Edit one, then hash it and all that follow anew, with the head: the chain holds; only an anchor can tell."""
        number = self.any(chance)
        previous = self.true[number - 2].hash if number > 1 else "0" * 64
        for entry in AuditEntry.objects.filter(number__gte=number).order_by("number"):
            entry.previous_hash, entry.reason = previous, "rewritten" if entry.number == number else entry.reason
            previous = entry.content_hash()
            AuditEntry.objects.filter(pk=entry.pk).update(
                previous_hash=entry.previous_hash, hash=previous, reason=entry.reason
            )
        AuditHead.objects.update(hash=previous)
        vouched = max((anchor.number for anchor in self.anchors if anchor.number < number), default=0)
        return Done(f"rewrite from {number}", (TamperKind.REWRITTEN,), vouched + 1, number)

    def empty(self, chance: random.Random) -> Done:
        """Everything."""
        AuditEntry.objects.all().delete()
        if chance.random() < 0.5:
            AuditHead.objects.update(number=0, hash="0" * 64)
        return Done("empty", (TamperKind.TAIL_CUT,), 1, 1)

    def _move(self, *, after: int, by: int) -> None:
        for entry in AuditEntry.objects.filter(number__gt=after).order_by("-number" if by > 0 else "number"):
            AuditEntry.objects.filter(pk=entry.pk).update(number=entry.number + by)
        AuditHead.objects.update(number=self.length + by)

    def _forge(self, after: int, many: int) -> None:
        previous, forged = self.true[after - 1].hash, []
        for step in range(1, many + 1):
            forged.append(self._copy(self.true[after - 1], number=after + step, previous=previous))
            previous = forged[-1].hash
        AuditEntry.objects.bulk_create(forged)

    def _copy(self, entry: AuditEntry, *, number: int, previous: str) -> AuditEntry:
        forged = AuditEntry(
            number=number, at=entry.at, actor_name="nobody", action=entry.action, source=entry.source,
            previous_hash=previous,
        )  # fmt: skip
        forged.hash = forged.content_hash()
        return forged
