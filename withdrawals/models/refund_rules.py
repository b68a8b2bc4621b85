"""The rules of refunds: which end of an item owes the customer what. One small table, with a version."""

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy, gettext_noop

from withdrawals.models.item import Item
from withdrawals.models.money import UsdField
from withdrawals.models.status import UNDELIVERED, Status
from withdrawals.models.trade import sign_of_asset

# As `Trade.signs` keeps them.
REVERTED_BY_USER = "reverted_by=user"
REVERTED_BY_SUPPLIER = "reverted_by=supplier"
# The merchant's own "no" to AssetPay's approval question: the customer was never charged.
MERCHANT_REJECTED = "error=MERCHANT_REJECTED"
# AssetPay took no answer as a "no"; the merchant may have charged the customer and answered too late.
APPROVAL_TIMEOUT = "error=APPROVAL_TIMEOUT"

# What AssetPay keeps of the merchant's money when a customer declines: 2 %, at most $9 (its trade lifecycle page).
DECLINED_PERCENT = Decimal(2)
DECLINED_AT_MOST = Decimal(9)


class RefundState(models.TextChoices):
    """Where a refund stands."""

    DUE = "due", gettext_lazy("Due")
    IN_REVIEW = "in_review", gettext_lazy("In review")
    AWAITING = "awaiting", gettext_lazy("Awaiting a second person")
    CONFIRMED = "confirmed", gettext_lazy("Confirmed")
    WAIVED = "waived", gettext_lazy("Waived")
    NOT_OWED = "not_owed", gettext_lazy("Not owed")


# What the rules alone can say; the other states are people's.
RULED_STATES = (RefundState.DUE, RefundState.IN_REVIEW, RefundState.NOT_OWED)
# Nobody has decided these; they follow their item.
OPEN_REFUNDS = (RefundState.DUE, RefundState.IN_REVIEW)
# Money that a customer still waits for.
OWED_REFUNDS = (*OPEN_REFUNDS, RefundState.AWAITING)
DECIDED_REFUNDS = (RefundState.CONFIRMED, RefundState.WAIVED)


class RefundCause(models.TextChoices):
    """Why money is owed, or why a person must look first."""

    OUR_CANCEL = "our_cancel", gettext_lazy("Came back after our cancel")
    SUPPLIER = "supplier", gettext_lazy("The supplier undid it")
    AUTO_CANCEL = "auto_cancel", gettext_lazy("AssetPay gave up on the seller")
    UNDONE = "undone", gettext_lazy("Came back undone")
    CANCELED = "canceled", gettext_lazy("Canceled at AssetPay")
    FAILED = "failed", gettext_lazy("The purchase failed")
    DECLINED = "declined", gettext_lazy("The customer declined the offer")
    REVERTED_BY_USER = "reverted_by_user", gettext_lazy("The customer reversed the Steam trade")
    REVERTED_AFTER_DELIVERY = "reverted_after_delivery", gettext_lazy("Reversed after the customer had it")
    APPROVAL_TIMEOUT = "approval_timeout", gettext_lazy("AssetPay got no approval in time")
    NEVER_CHARGED = "never_charged", gettext_lazy("Rejected before the customer was charged")
    CONFLICTING_ENDS = "conflicting_ends", gettext_lazy("AssetPay reported two different ends")
    LATEST_DISAGREES = "latest_disagrees", gettext_lazy("AssetPay's latest word is another")
    PRICE_UNKNOWN = "price_unknown", gettext_lazy("No price was ever reported")


@dataclass(frozen=True)
class RefundRule:
    """One row of the table as people read it."""

    cause: RefundCause
    when: str
    owed: str


def _rules(*rows: tuple[RefundCause, str, str]) -> tuple[RefundRule, ...]:
    return tuple(RefundRule(*row) for row in rows)


REVIEW = gettext_noop("A supervisor decides, up to the price first seen")
FULL = gettext_noop("The full price first seen")
# The first row that fits decides. A version that was ever in use stays here, since decisions name it.
RULES: dict[int, tuple[RefundRule, ...]] = {
    1: _rules(
        (RefundCause.CONFLICTING_ENDS, gettext_noop("AssetPay reported two different ends"), REVIEW),
        (RefundCause.PRICE_UNKNOWN, gettext_noop("No price was ever reported"), REVIEW),
        (RefundCause.DECLINED, gettext_noop("The customer declined, or let the offer lapse"), REVIEW),
        (RefundCause.APPROVAL_TIMEOUT, gettext_noop("Failed: AssetPay got no approval in time"), REVIEW),
        (RefundCause.NEVER_CHARGED, gettext_noop("Failed: your backend rejected it"), gettext_noop("Nothing")),
        (RefundCause.REVERTED_BY_USER, gettext_noop("Reverted, and AssetPay said by the user"), REVIEW),
        (RefundCause.UNDONE, gettext_noop("Any other end without delivery"), FULL),
    ),
    2: _rules(
        (RefundCause.CONFLICTING_ENDS, gettext_noop("AssetPay reported two different ends"), REVIEW),
        (
            RefundCause.LATEST_DISAGREES,
            gettext_noop("It ended undelivered, but AssetPay's latest report says otherwise"),
            REVIEW,
        ),
        (
            RefundCause.NEVER_CHARGED,
            gettext_noop("Your backend rejected it before the customer was charged"),
            gettext_noop("Nothing"),
        ),
        (
            RefundCause.PRICE_UNKNOWN,
            gettext_noop("No price was ever reported, or a price of zero"),
            gettext_noop("A supervisor sets the amount"),
        ),
        (
            RefundCause.DECLINED,
            gettext_noop("The customer declined, or let the offer lapse"),
            gettext_noop("As DECLINED_REFUND_POLICY says"),
        ),
        (
            RefundCause.APPROVAL_TIMEOUT,
            gettext_noop("AssetPay got no approval in time; you may have charged all the same"),
            REVIEW,
        ),
        (RefundCause.REVERTED_BY_USER, gettext_noop("Reverted, and AssetPay once said by the user"), REVIEW),
        (
            RefundCause.REVERTED_AFTER_DELIVERY,
            gettext_noop("Reverted after the customer had it, and AssetPay does not say that it was the supplier"),
            REVIEW,
        ),
        (RefundCause.OUR_CANCEL, gettext_noop("Came back after a cancel that this desk sent"), FULL),
        (RefundCause.SUPPLIER, gettext_noop("Reverted, and AssetPay said by the supplier"), FULL),
        (
            RefundCause.AUTO_CANCEL,
            gettext_noop("Came back unsent when AssetPay's time for the seller had passed"),
            FULL,
        ),
        (RefundCause.FAILED, gettext_noop("The purchase failed"), FULL),
        (RefundCause.CANCELED, gettext_noop("Canceled at AssetPay"), FULL),
        (RefundCause.UNDONE, gettext_noop("Reverted without a cause"), FULL),
    ),
}
# Changes whenever `refund_terms` does; a decision keeps the version that it was made under.
RULE_VERSION = 2


@dataclass(frozen=True)
class RefundTerms:
    """What the rules say of an item. Amounts are USD, None where nobody knows them.

    `price` is what the customer was charged, `amount` what is owed of it, `loss` what AssetPay keeps of the merchant's.
    """

    state: RefundState
    cause: RefundCause
    amount: Decimal | None
    price: Decimal | None = None
    loss: Decimal | None = None


def declined_loss(price: Decimal) -> Decimal:
    """What a declined offer costs the merchant: 2 %, at most $9. Whether the cap is per item is not documented."""
    return UsdField.round(min(price * DECLINED_PERCENT / 100, DECLINED_AT_MOST))


def needs_refund(item: Item) -> bool:
    """Whether an item has a refund at all: it ended undelivered, or AssetPay also said that it did."""
    return item.ended_undelivered or item.has_conflicting_ends


def refund_terms(item: Item, *, was_asked: bool = False, set_amount: Decimal | None = None) -> RefundTerms:
    """What is owed for an item (its trade loaded) that needs a refund, from the price first seen.

    `was_asked`: a cancel of this item left this desk and the item came back. `set_amount`: what a supervisor put
    down where the rules leave it to them. Source: AssetPay's trade lifecycle page for who bears which end; a reversal
    by the user may be fraud. Whatever is not certain is in review.
    """
    price = item.first_price
    cause = _cause(item, was_asked=was_asked)
    if cause == RefundCause.NEVER_CHARGED:
        return RefundTerms(RefundState.NOT_OWED, cause, price, price)
    loss = declined_loss(price) if price and cause == RefundCause.DECLINED else None
    state, amount = RefundState.DUE, price
    if cause in REVIEWED:
        state = RefundState.IN_REVIEW
    elif loss is not None and price is not None:
        policy = settings.DECLINED_REFUND_POLICY
        state = RefundState.IN_REVIEW if policy == "review" else RefundState.DUE
        amount = price - loss if policy == "net" else price
    if state == RefundState.IN_REVIEW and set_amount is not None and (not price or set_amount <= price):
        amount = set_amount
    return RefundTerms(state, cause, amount or None, price, loss)


REVIEWED = frozenset(
    {
        RefundCause.CONFLICTING_ENDS,
        RefundCause.LATEST_DISAGREES,
        RefundCause.PRICE_UNKNOWN,
        RefundCause.APPROVAL_TIMEOUT,
        RefundCause.REVERTED_BY_USER,
        RefundCause.REVERTED_AFTER_DELIVERY,
    }
)


def _cause(item: Item, *, was_asked: bool) -> RefundCause:
    """The first row of the table that fits."""
    signs = item.trade.signs
    if item.has_conflicting_ends:
        return RefundCause.CONFLICTING_ENDS
    if item.reported_status not in UNDELIVERED:
        return RefundCause.LATEST_DISAGREES
    never_approved = item.status in (Status.FAILED, Status.CANCELED)
    if never_approved and MERCHANT_REJECTED in signs and APPROVAL_TIMEOUT not in signs:
        return RefundCause.NEVER_CHARGED
    if not item.first_price:
        return RefundCause.PRICE_UNKNOWN
    if Status.DECLINED in (item.status, item.ended_as):
        return RefundCause.DECLINED
    if never_approved and APPROVAL_TIMEOUT in signs:
        return RefundCause.APPROVAL_TIMEOUT
    return _cause_of_return(item, signs, was_asked=was_asked)


def _cause_of_return(item: Item, signs: list[str], *, was_asked: bool) -> RefundCause:
    is_reverted = item.status == Status.REVERTED
    had_it = bool(item.asset_id) or sign_of_asset(item.assetpay_id) in signs
    if is_reverted and REVERTED_BY_USER in signs:
        return RefundCause.REVERTED_BY_USER
    if is_reverted and REVERTED_BY_SUPPLIER not in signs:
        # A cancel of ours explains why a held item went back, but not why a delivered one did.
        was_delivered = item.ended_as == Status.COMPLETED or (had_it and not was_asked)
        if was_delivered:
            return RefundCause.REVERTED_AFTER_DELIVERY
    if item.status == Status.FAILED:
        return RefundCause.FAILED
    if was_asked:
        return RefundCause.OUR_CANCEL
    if is_reverted and REVERTED_BY_SUPPLIER in signs:
        return RefundCause.SUPPLIER
    gave_up_at, ended_at = item.trade.auto_cancel_at, item.status_reported_at
    if gave_up_at and ended_at and ended_at >= gave_up_at and not had_it:
        return RefundCause.AUTO_CANCEL
    return RefundCause.UNDONE if is_reverted else RefundCause.CANCELED
