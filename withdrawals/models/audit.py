"""The audit log: one line per fact that changed, which can never change itself."""

import hashlib
import json
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from withdrawals.models.item import Item
from withdrawals.models.trade import Trade

GENESIS = "0" * 64
# One for all: making an encoder costs as much as using it.
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def entry_hash(content: list[object]) -> str:
    """The hash of an entry: SHA-256, hex, over its content as JSON with sorted keys and no blanks.

    `content` is, in order: the hash of the entry before, number, time (ISO 8601 with microseconds, UTC), the keys and
    name of who acted, action, keys of trade and item, before, after, reason, source, cause, request id.
    """
    return hashlib.sha256(encode(content).encode()).hexdigest()


class Source(models.TextChoices):
    """The door that a change came in by."""

    SCREEN = "screen", gettext_lazy("Screen")
    CALLBACK = "callback", gettext_lazy("Callback")
    READ = "read", gettext_lazy("Read of AssetPay")
    WORKER = "worker", gettext_lazy("Worker")
    COMMAND = "command", gettext_lazy("Command line")


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
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=64, db_index=True)
    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, null=True, related_name="audit_entries", db_index=False)
    item = models.ForeignKey(Item, on_delete=models.PROTECT, null=True, related_name="audit_entries", db_index=False)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True, default="")
    source = models.CharField(max_length=16, choices=Source)
    # What made it happen: "delivery:12", "read:7", "attempt:31" or empty.
    cause = models.CharField(max_length=64, blank=True, default="")
    # Of the web request or of the call to AssetPay.
    request_id = models.CharField(max_length=64, blank=True, default="")
    previous_hash = models.CharField(max_length=64)
    # Its number is among what it is made of, so nobody needs an index to keep two from being the same; each entry
    # would pay for one in no order.
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["trade", "number"], name="audit_of_trade"),
            models.Index(fields=["item", "number"], name="audit_of_item"),
            models.Index(fields=["actor", "number"], name="audit_of_person"),
            models.Index(fields=["cause"], name="audit_of_cause"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.action}"

    def content_hash(self) -> str:
        """The hash that this entry must carry, hex."""
        at: datetime = self.at
        return entry_hash(
            [
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
        )
