"""What does not close: items whose charge, refund and AssetPay's side do not add up, each kind by one query.

The public API shows no settlement of a trade, so whether the merchant's wallet got an item's money back is not known
here, and no line is invented for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy

from withdrawals.models.item import Item
from withdrawals.models.money import UsdField
from withdrawals.models.refund import EntryKind, Refund, RefundEntry
from withdrawals.models.refund_rules import OWED_REFUNDS, RefundState
from withdrawals.models.status import UNDELIVERED
from withdrawals.models.words import Words


@dataclass(frozen=True)
class GapKind:
    """One way in which money does not close; `rows` gives refunds, or items that have none."""

    name: str
    label: Words
    why: Words
    rows: Callable[[], QuerySet[Any]]
    difference: Callable[[Any], Decimal | None]


def _confirmed() -> QuerySet[Refund]:
    return Refund.objects.filter(state=RefundState.CONFIRMED)


def _contradicted() -> QuerySet[Refund]:
    decided = Refund.objects.filter(state__in=[RefundState.CONFIRMED, RefundState.WAIVED])
    return decided.filter(contradicted_at__isnull=False)


def _declined_at_a_loss() -> QuerySet[Refund]:
    return _confirmed().filter(loss__isnull=False, net__gt=F("price") - F("loss"))


def _price_moved() -> QuerySet[Refund]:
    return _confirmed().filter(item__price__isnull=False).exclude(item__price=F("price"))


def _shared_reference() -> QuerySet[Refund]:
    return Refund.objects.sharing_reference()


def _not_in_full() -> QuerySet[Refund]:
    in_part = Q(state=RefundState.CONFIRMED, net__lt=F("price"), loss=None)
    return Refund.objects.filter(in_part | Q(state=RefundState.WAIVED))


def _without_amount() -> QuerySet[Refund]:
    return Refund.objects.filter(state__in=OWED_REFUNDS, amount=None)


def ledger_sum() -> Coalesce:
    """Confirmations less compensations of a refund's rows, for annotating refunds."""
    signed = Case(When(kind=EntryKind.CONFIRMATION, then=F("amount")), default=-F("amount"), output_field=UsdField())
    rows = RefundEntry.objects.filter(refund=OuterRef("pk")).order_by().values("refund")
    total = rows.annotate(total=Sum(signed, output_field=UsdField())).values("total")
    return Coalesce(Subquery(total, output_field=UsdField()), Value(Decimal(0), output_field=UsdField()))


def _ledger_disagrees() -> QuerySet[Refund]:
    return Refund.objects.annotate(ledger=ledger_sum()).exclude(net=F("ledger"))


def _forgotten() -> QuerySet[Item]:
    return Item.objects.filter(status__in=UNDELIVERED, refund=None)


GAP_KINDS = (
    GapKind(
        "contradicted",
        gettext_lazy("AssetPay said otherwise after the decision"),
        gettext_lazy("Paid or waived, and later news would have decided it otherwise."),
        _contradicted,
        lambda refund: refund.net,
    ),
    GapKind(
        "shared_reference",
        gettext_lazy("One payout reference for several refunds"),
        gettext_lazy("Right if one payout covered them all; otherwise somebody was not paid."),
        _shared_reference,
        lambda refund: refund.net,
    ),
    GapKind(
        "forgotten",
        gettext_lazy("Ended undelivered, without a refund"),
        gettext_lazy("The desk opens a refund by itself; a row here is a fault of the desk."),
        _forgotten,
        lambda item: item.first_price,
    ),
    GapKind(
        "ledger",
        gettext_lazy("The ledger does not add up"),
        gettext_lazy("The refund's net is not the sum of its rows: somebody changed a table by hand."),
        _ledger_disagrees,
        lambda refund: refund.net - refund.ledger,
    ),
    GapKind(
        "without_amount",
        gettext_lazy("Owed, but nobody knows how much"),
        gettext_lazy("AssetPay never reported a price. A supervisor sets the amount, or waives."),
        _without_amount,
        lambda refund: None,
    ),
    GapKind(
        "declined",
        gettext_lazy("Declined: AssetPay keeps a part, the customer got it all"),
        gettext_lazy("The difference is the merchant's loss: 2 % of the price, at most $9."),
        _declined_at_a_loss,
        lambda refund: refund.net - (refund.price - refund.loss),
    ),
    GapKind(
        "price_moved",
        gettext_lazy("AssetPay's price is another than the customer's charge"),
        gettext_lazy(
            "The customer got back what they were charged; AssetPay may have charged the merchant the latest price."
        ),
        _price_moved,
        lambda refund: refund.price - refund.item.price if refund.price is not None else None,
    ),
    GapKind(
        "not_in_full",
        gettext_lazy("Not paid in full, by a person's decision"),
        gettext_lazy("Waived, or an amount below the charge; the reason stands beside it."),
        _not_in_full,
        lambda refund: refund.price - refund.net if refund.price is not None else None,
    ),
)
