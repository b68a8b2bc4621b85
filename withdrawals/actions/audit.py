"""Writing the audit log. The last write of a transaction, since it locks the head of the chain."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import connection

from withdrawals.actions.rows import append_and_write, new_row, read_locked
from withdrawals.models import AuditEntry, AuditHead, Item, Source, Trade, User

ASSETPAY = "AssetPay"
CLOCK = "clock"
WORKER = "worker"

Value = str | int | bool | None


@dataclass(frozen=True)
class Origin:
    """Who acts and by which door; `actor` is None where no person did. `cause` names a delivery, read or attempt."""

    source: Source
    actor: User | None = None
    name: str = ""
    cause: str = ""
    request_id: str = ""

    def because_of(self, cause: str) -> "Origin":
        """The same with another cause."""
        return replace(self, cause=cause)


@dataclass(frozen=True)
class Fact:
    """One thing that changed: a dotted verb, what it is about, and what was before and is after."""

    action: str
    trade: Trade | None = None
    item: Item | None = None
    before: Mapping[str, Value] = field(default_factory=dict)
    after: Mapping[str, Value] = field(default_factory=dict)
    reason: str = ""

    @property
    def trade_id(self) -> int | None:
        """The key of the trade that it is about, itself or with its item."""
        if self.trade is not None:
            return self.trade.pk
        return self.item.trade_id if self.item is not None else None


def record(facts: Sequence[Fact], *, origin: Origin, now: datetime) -> None:
    """Append one entry per fact to the chain, in the caller's transaction and as its last write.

    The lock on the head lasts until that transaction ends; taking it last keeps transactions from waiting in a ring.
    Raises RuntimeError outside a transaction: an entry never stands without its change, nor a change without it.
    """
    record_all([(origin, facts)], now=now)


def record_all(told: Iterable[tuple[Origin, Sequence[Fact]]], *, now: datetime) -> None:
    """`record` for the facts of several origins at once, in this order."""
    if not connection.in_atomic_block:
        raise RuntimeError("An audit entry belongs to the transaction of its change.")
    entries = [
        new_row(
            AuditEntry,
            at=now,
            actor_id=origin.actor.pk if origin.actor else None,
            actor_name=origin.actor.email if origin.actor else origin.name,
            action=fact.action,
            trade_id=fact.trade_id,
            item_id=fact.item.pk if fact.item else None,
            before=dict(fact.before),
            after=dict(fact.after),
            reason=fact.reason[:500],
            source=origin.source,
            cause=origin.cause,
            request_id=origin.request_id,
        )
        for origin, facts in told
        for fact in facts
    ]
    if not entries:
        return
    (head,) = read_locked(AuditHead, id=1)
    for entry in entries:
        entry.number, entry.previous_hash = head.number + 1, head.hash
        entry.hash = entry.content_hash()
        head.number, head.hash = entry.number, entry.hash
    append_and_write(entries, head, ["number", "hash"])
