"""A refund: what is owed to the customer for an item that ended undelivered. A person confirms it, once."""

import hashlib
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.lookups import Exact
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.delivery import Verdict
from withdrawals.models.item import Item
from withdrawals.models.money import UsdField
from withdrawals.models.refund_rules import OPEN_REFUNDS, RULED_STATES, RefundCause, RefundState

# A read proves what AssetPay says only while it is fresh; the clock asks again for everything undecided.
READ_IS_FRESH_FOR = timedelta(hours=1)

Shown = dict[str, str | int | None]


def reference_key(reference: str) -> str:
    """A payout's reference as it is compared: without blanks and case."""
    return "".join(reference.split()).casefold()


def _shared() -> Exists:
    others = RefundEntry.objects.filter(kind=EntryKind.CONFIRMATION, reference_key=OuterRef("reference_key"))
    return Exists(others.exclude(reference_key="").exclude(refund=OuterRef("pk")))


class RefundQuerySet(QuerySet["Refund"]):
    """Reads of refunds."""

    def with_shared_references(self) -> Self:
        """Each with `shares_reference`: whether another refund was confirmed with the same reference."""
        return self.annotate(shares_reference=_shared())

    def sharing_reference(self) -> Self:
        """Those confirmed with a reference that another was confirmed with."""
        return self.filter(_shared(), state=RefundState.CONFIRMED)

    def using_reference(self, reference: str) -> Self:
        """Those that were ever confirmed with this reference."""
        entries = RefundEntry.objects.filter(kind=EntryKind.CONFIRMATION, reference_key=reference_key(reference))
        return self.filter(pk__in=entries.values("refund")) if reference_key(reference) else self.none()


class Refund(models.Model):
    """One per item, ever. It follows the item until a person decides it; then it stays as it was.

    `price` is what the customer was charged, `amount` what is owed of it, `loss` what AssetPay keeps of the merchant's
    money, `net` what the customer got back, net of all entries. `ruling` is what the rules say, whatever people did.
    """

    item = models.OneToOneField(Item, on_delete=models.PROTECT, related_name="refund")
    state = models.CharField(max_length=16, choices=RefundState)
    ruling = models.CharField(max_length=16, choices=RefundState)
    cause = models.CharField(max_length=32, choices=RefundCause)
    price = UsdField(null=True)
    amount = UsdField(null=True)
    loss = UsdField(null=True)
    rule_version = models.PositiveSmallIntegerField()
    # What a supervisor put down where the rules leave the amount to them.
    set_amount = UsdField(null=True)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    set_reason = models.CharField(max_length=500, blank=True, default="")
    evidence_delivery = models.ForeignKey("withdrawals.Delivery", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_read = models.ForeignKey("withdrawals.Read", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_sha256 = models.CharField(max_length=64)
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # When AssetPay first said something by which a decided refund would have been decided otherwise.
    contradicted_at = models.DateTimeField(null=True)
    net = UsdField(default=Decimal(0))
    entries_made = models.PositiveIntegerField(default=0)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    reference = models.CharField(max_length=200, blank=True, default="")
    reference_key = models.CharField(max_length=600, blank=True, default="")
    waived_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    waived_at = models.DateTimeField(null=True)
    waived_reason = models.CharField(max_length=500, blank=True, default="")

    objects = RefundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RefundState.values), name="refund_state_known"),
            models.CheckConstraint(condition=Q(ruling__in=RULED_STATES), name="refund_ruling_known"),
            models.CheckConstraint(
                condition=Q(evidence_delivery__isnull=False, evidence_read=None)
                | Q(evidence_delivery=None, evidence_read__isnull=False),
                name="refund_has_one_evidence",
            ),
            models.CheckConstraint(
                condition=Q(net=0) | (Q(net__gte=0) & Q(amount__isnull=False) & Q(net__lte=F("amount"))),
                name="refund_net_within_price",
            ),
            models.CheckConstraint(
                # Without a price, or with one of zero, the amount is the one that a supervisor set.
                condition=Q(amount=None) | Q(price=None) | Q(price=0) | Q(amount__gt=0, amount__lte=F("price")),
                name="refund_amount_within_price",
            ),
            models.CheckConstraint(
                condition=~Q(state=RefundState.CONFIRMED)
                | (Q(confirmed_by__isnull=False, confirmed_at__isnull=False, amount__isnull=False) & ~Q(reference="")),
                name="confirmed_refund_has_who_when_and_reference",
            ),
            models.CheckConstraint(
                condition=~Q(state=RefundState.WAIVED)
                | (Q(waived_by__isnull=False, waived_at__isnull=False) & ~Q(waived_reason="")),
                name="waived_refund_has_who_when_and_why",
            ),
            models.CheckConstraint(
                condition=Q(state=RefundState.CONFIRMED, net=F("amount"))
                | (~Q(state=RefundState.CONFIRMED) & Q(net=0)),
                name="only_a_confirmed_refund_is_paid",
            ),
        ]
        indexes = [models.Index(fields=["state", "opened_at"], name="refund_by_state")]

    def __str__(self) -> str:
        return f"refund of {self.item_id}"

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided it or asked a second person."""
        return self.state in OPEN_REFUNDS

    @property
    def is_large(self) -> bool:
        """Whether it takes two people: above the limit, or an amount that no report of AssetPay's backs."""
        return self.amount is None or self.amount > settings.REFUND_APPROVAL_LIMIT or not self.price

    @property
    def has_other_prices(self) -> bool:
        """Whether the price first seen, the latest and the amount are not all the same."""
        latest = self.item.price
        return self.amount != self.price or (latest is not None and latest != self.price)

    @property
    def why_this_amount(self) -> str:
        """Why the amount is what it is, where the prices differ."""
        if self.set_amount is not None and self.amount == self.set_amount:
            return gettext("{who} set it: {reason}").format(who=self.set_by, reason=self.set_reason)
        if self.loss is not None and self.amount != self.price:
            return gettext("the price first seen, less what AssetPay keeps when a customer declines")
        return gettext("the customer was charged the price first seen")

    def evidence_refusal(self, now: datetime) -> str:
        """Why the evidence (loaded, with the item's trade) is not enough to confirm on; empty where it is.

        Enough is a verified delivery that was applied, or a read that is fresh, either backing the item's final state.
        """
        item = self.item
        if (self.evidence_delivery_id, self.evidence_read_id) != (item.status_delivery_id, item.status_read_id):
            return gettext("The evidence of this refund is not that of the item's state. Check with AssetPay.")
        if self.evidence_delivery is not None:
            if self.evidence_delivery.verdict != Verdict.APPLIED:
                return gettext("The callback that said so was not applied. Check with AssetPay.")
            return ""
        read_at = self.evidence_read.read_at if self.evidence_read is not None else None
        answered = [moment for moment in (read_at, item.trade.answered_at) if moment is not None]
        if not answered or now - max(answered) > READ_IS_FRESH_FOR:
            return gettext("Only a read says so, and the last is over an hour old. Check with AssetPay.")
        return ""

    def decided_on(self) -> Shown:
        """What a person decides on, as its hash covers it: item state, amounts, rule, evidence, rows so far."""
        return {
            "refund": self.pk,
            "cause": self.cause,
            "rules_say": self.ruling,
            "item_status": self.item.status,
            "latest_status": self.item.reported_status,
            "amount": _text(self.amount),
            "price_first_seen": _text(self.price),
            "price_latest": _text(self.item.price),
            "lost_at_assetpay": _text(self.loss),
            "rule_version": self.rule_version,
            "evidence": self.evidence_name,
            "evidence_sha256": self.evidence_sha256,
            "ledger_rows": self.entries_made,
        }

    @property
    def evidence_name(self) -> str:
        """Our own name of the evidence, as the audit log has it."""
        if self.evidence_delivery_id is not None:
            return f"delivery:{self.evidence_delivery_id}"
        return f"read:{self.evidence_read_id}"

    def fingerprint(self) -> str:
        """Hash of `decided_on`. The form carries it back, and an approval is bound to it."""
        return fingerprint_of(self.decided_on())


def fingerprint_of(shown: Shown) -> str:
    """SHA-256 of what was shown, hex, over its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.4f}"


class EntryKind(models.TextChoices):
    """What a ledger row is."""

    CONFIRMATION = "confirmation", gettext_lazy("Confirmation")
    COMPENSATION = "compensation", gettext_lazy("Compensation")


class RefundEntry(models.Model):
    """One row of a refund's ledger, numbered from 1; it never changes.

    Confirmations are odd and compensations even, and the database takes only the next number: so there is at most one
    net confirmation, whatever the code does.
    """

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="entries", db_index=False)
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=EntryKind)
    amount = UsdField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField()
    reference = models.CharField(max_length=200)
    reference_key = models.CharField(max_length=600, db_index=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    cause = models.CharField(max_length=32, choices=RefundCause)
    rule_version = models.PositiveSmallIntegerField()
    evidence_delivery = models.ForeignKey("withdrawals.Delivery", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_read = models.ForeignKey("withdrawals.Read", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refund_entries_are_numbered"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_entry_is_positive"),
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="refund_entry_kind_known"),
            models.CheckConstraint(
                condition=Q(Exact(F("number") % 2, 1), kind=EntryKind.CONFIRMATION)
                | Q(Exact(F("number") % 2, 0), kind=EntryKind.COMPENSATION),
                name="refund_entries_alternate",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("actor")), name="refund_entry_has_two_people"
            ),
            models.CheckConstraint(
                condition=~Q(kind=EntryKind.COMPENSATION) | ~Q(reason=""), name="compensation_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"entry {self.number} of refund {self.refund_id}"
