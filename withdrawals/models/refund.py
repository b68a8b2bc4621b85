"""A refund: what is owed to the customer for an item that ended undelivered. A person confirms it, once."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from withdrawals.models.item import Item
from withdrawals.models.money import UsdField
from withdrawals.models.status import Status

# As `Trade.signs` keeps them.
REVERTED_BY_USER = "reverted_by=user"
# The merchant's own "no" to AssetPay's approval question: the customer was never charged.
MERCHANT_REJECTED = "error=MERCHANT_REJECTED"
# AssetPay took no answer as a "no"; the merchant may have charged the customer and answered too late.
APPROVAL_TIMEOUT = "error=APPROVAL_TIMEOUT"

# Changes whenever `refund_terms` does; a refund keeps the version that it was decided under.
RULE_VERSION = 1


class RefundState(models.TextChoices):
    """Where a refund stands."""

    DUE = "due", "Due"
    IN_REVIEW = "in_review", "In review"
    NOT_OWED = "not_owed", "Not owed"
    CONFIRMED = "confirmed", "Confirmed"


class RefundCause(models.TextChoices):
    """Why money is owed, or why a person must look first."""

    UNDONE = "undone", "Came back undone"
    CANCELED = "canceled", "Canceled at AssetPay"
    FAILED = "failed", "The purchase failed"
    DECLINED = "declined", "The customer declined the offer"
    REVERTED_BY_USER = "reverted_by_user", "The customer reversed the Steam trade"
    APPROVAL_TIMEOUT = "approval_timeout", "AssetPay got no approval in time"
    NEVER_CHARGED = "never_charged", "Rejected before the customer was charged"
    CONFLICTING_ENDS = "conflicting_ends", "AssetPay reported two different ends"
    PRICE_UNKNOWN = "price_unknown", "No price was ever reported"


@dataclass(frozen=True)
class RefundTerms:
    """What the rules say of an item: the state, the cause, and the amount in USD (None where nobody knows it)."""

    state: RefundState
    cause: RefundCause
    amount: Decimal | None


def needs_refund(item: Item) -> bool:
    """Whether an item has a refund at all: it ended undelivered, or AssetPay also said that it did."""
    return item.ended_undelivered or item.has_conflicting_ends


def refund_terms(item: Item) -> RefundTerms:
    """What is owed for an item that needs a refund, from its statuses and its trade alone; the price first seen.

    Source: AssetPay's trade lifecycle page for who bears which end; `declined` costs the merchant up to 2 %, and a
    reversal by the user may be fraud, so both wait for a supervisor. Whatever is not certain is in review.
    """
    amount = item.first_price
    if item.has_conflicting_ends:
        return RefundTerms(RefundState.IN_REVIEW, RefundCause.CONFLICTING_ENDS, amount)
    if not amount:
        return RefundTerms(RefundState.IN_REVIEW, RefundCause.PRICE_UNKNOWN, amount)
    if item.status == Status.DECLINED:
        return RefundTerms(RefundState.IN_REVIEW, RefundCause.DECLINED, amount)
    signs = item.trade.signs
    if item.status == Status.FAILED and APPROVAL_TIMEOUT in signs:
        return RefundTerms(RefundState.IN_REVIEW, RefundCause.APPROVAL_TIMEOUT, amount)
    if item.status == Status.FAILED and MERCHANT_REJECTED in signs:
        return RefundTerms(RefundState.NOT_OWED, RefundCause.NEVER_CHARGED, amount)
    if item.status == Status.REVERTED and REVERTED_BY_USER in signs:
        return RefundTerms(RefundState.IN_REVIEW, RefundCause.REVERTED_BY_USER, amount)
    causes = {Status.FAILED: RefundCause.FAILED, Status.CANCELED: RefundCause.CANCELED}
    return RefundTerms(RefundState.DUE, causes.get(Status(item.status), RefundCause.UNDONE), amount)


class Refund(models.Model):
    """One per item, ever. It follows the item until a person confirms it; then it stays as it was."""

    item = models.OneToOneField(Item, on_delete=models.PROTECT, related_name="refund")
    state = models.CharField(max_length=16, choices=RefundState)
    cause = models.CharField(max_length=32, choices=RefundCause)
    amount = UsdField(null=True)
    rule_version = models.PositiveSmallIntegerField()
    evidence_delivery = models.ForeignKey("withdrawals.Delivery", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_read = models.ForeignKey("withdrawals.Read", on_delete=models.PROTECT, null=True, related_name="+")
    evidence_sha256 = models.CharField(max_length=64)
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    # When AssetPay first said something by which a confirmed refund would have been decided otherwise.
    contradicted_at = models.DateTimeField(null=True)
    # What the customer got back, net of all entries.
    net = UsdField(default=Decimal(0))
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    reference = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=RefundState.values), name="refund_state_known"),
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
                condition=~Q(state=RefundState.CONFIRMED)
                | (Q(confirmed_by__isnull=False, confirmed_at__isnull=False, amount__isnull=False) & ~Q(reference="")),
                name="confirmed_refund_has_who_when_and_reference",
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
    def is_large(self) -> bool:
        """Whether a supervisor must decide: above the limit, or no amount known."""
        return self.amount is None or self.amount > settings.REFUND_APPROVAL_LIMIT

    def needs_supervisor(self) -> bool:
        """Whether confirming takes more than an agent's permission."""
        return self.state == RefundState.IN_REVIEW or self.is_large

    def fingerprint(self) -> str:
        """Hash of what a person decides on: item state, amount, rule, evidence. The form carries it back."""
        parts = (self.pk, self.state, self.cause, self.item.status, self.amount, self.rule_version)
        text = "|".join(str(part) for part in (*parts, self.evidence_sha256))
        return hashlib.sha256(text.encode()).hexdigest()


class EntryKind(models.TextChoices):
    """What a ledger row is."""

    CONFIRMATION = "confirmation", "Confirmation"
    COMPENSATION = "compensation", "Compensation"


class RefundEntry(models.Model):
    """One row of a refund's ledger, numbered from 1; it never changes."""

    refund = models.ForeignKey(Refund, on_delete=models.PROTECT, related_name="entries")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=EntryKind)
    amount = UsdField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    reference = models.CharField(max_length=200)
    evidence_sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refund_entries_are_numbered"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_entry_is_positive"),
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="refund_entry_kind_known"),
        ]

    def __str__(self) -> str:
        return f"entry {self.number} of refund {self.refund_id}"
