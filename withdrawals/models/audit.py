"""The audit log: one line per fact that changed, which can never change itself."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.item import Item
from withdrawals.models.trade import Trade

GENESIS = "0" * 64


class Source(models.TextChoices):
    """The door that a change came in by."""

    SCREEN = "screen", "Screen"
    CALLBACK = "callback", "Callback"
    READ = "read", "Read of AssetPay"
    WORKER = "worker", "Worker"
    COMMAND = "command", "Command line"


class AuditHead(models.Model):
    """One row: the end of the chain. Whoever appends locks it, so that numbers have no gap and the chain no fork."""

    number = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default=GENESIS)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_audit_head")]

    def __str__(self) -> str:
        return f"head at {self.number}"


class AuditEntry(models.Model):
    """Who changed what, when, from what to what, why, and by which cause.

    `hash` is SHA-256 over the previous entry's hash and this entry's content, so an edit anywhere shows. The database
    refuses UPDATE and DELETE by triggers (`withdrawals.models.audit_triggers`).
    """

    number = models.BigIntegerField(unique=True)
    at = models.DateTimeField(db_index=True)
    # Null where no person acted; `actor_name` says who did: an e-mail, AssetPay, or the clock.
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=64, db_index=True)
    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, null=True, related_name="audit_entries")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, null=True, related_name="audit_entries")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True, default="")
    source = models.CharField(max_length=16, choices=Source)
    # What made it happen: "delivery:12", "read:7", "attempt:31" or empty.
    cause = models.CharField(max_length=64, blank=True, default="")
    # Of the web request or of the call to AssetPay.
    request_id = models.CharField(max_length=64, blank=True, default="")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        indexes = [models.Index(fields=["trade", "number"], name="audit_of_trade")]

    def __str__(self) -> str:
        return f"{self.number} {self.action}"

    def content_hash(self) -> str:
        """The hash that this entry must carry, hex."""
        at: datetime = self.at
        content = [
            self.previous_hash,
            self.number,
            at.isoformat(timespec="microseconds"),
            self.actor_id,
            self.actor_name,
            self.action,
            self.trade_id,
            self.item_id,
            self.before,
            self.after,
            self.reason,
            self.source,
            self.cause,
            self.request_id,
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Verified:
    """What a walk along the chain found: entries that hold, the head's hash, and the first problem or nothing."""

    entries: int
    head: str
    problem: str = ""


def verify_chain() -> Verified:
    """Walk the chain from its start; the first entry that is missing, edited or does not link is the problem."""
    number, previous = 0, GENESIS
    for entry in AuditEntry.objects.order_by("number").iterator(chunk_size=2_000):
        if entry.number != number + 1:
            return Verified(number, previous, f"Entry {number + 1} is missing; the next is {entry.number}.")
        if entry.previous_hash != previous:
            return Verified(number, previous, f"Entry {entry.number} does not follow the one before it.")
        if entry.content_hash() != entry.hash:
            return Verified(number, previous, f"Entry {entry.number} was edited.")
        number, previous = entry.number, entry.hash
    head = AuditHead.objects.get(pk=1)
    if (head.number, head.hash) != (number, previous):
        return Verified(number, previous, f"The log ends at {number}, but its head is at {head.number}.")
    return Verified(number, previous)
