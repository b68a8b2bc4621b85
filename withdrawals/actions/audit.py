"""Writing the audit log. The last write of a transaction, since it locks the head of the chain."""

from collections.abc import Mapping, Sequence
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


def record(facts: Sequence[Fact], *, origin: Origin, now: datetime) -> None:
    """Append one entry per fact to the chain, in the caller's transaction and as its last write.

    The lock on the head lasts until that transaction ends; taking it last keeps transactions from waiting in a ring.
    Raises RuntimeError outside a transaction: an entry never stands without its change, nor a change without it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An audit entry belongs to the transaction of its change.")
    if not facts:
        return
    entries = [
        new_row(
            AuditEntry,
            at=now,
            actor_id=origin.actor.pk if origin.actor else None,
            actor_name=origin.actor.email if origin.actor else origin.name,
            action=fact.action,
            trade_id=fact.trade.pk if fact.trade else fact.item.trade_id if fact.item else None,
            item_id=fact.item.pk if fact.item else None,
            before=dict(fact.before),
            after=dict(fact.after),
            reason=fact.reason[:500],
            source=origin.source,
            cause=origin.cause,
            request_id=origin.request_id,
        )
        for fact in facts
    ]
    (head,) = read_locked(AuditHead, id=1)
    for entry in entries:
        entry.number, entry.previous_hash = head.number + 1, head.hash
        entry.hash = entry.content_hash()
        head.number, head.hash = entry.number, entry.hash
    append_and_write(entries, head, ["number", "hash"])
