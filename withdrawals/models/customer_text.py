"""What a customer may be told of an item: a few plain sentences without internal names, words or tokens."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils.dates import MONTHS
from django.utils.translation import gettext

from withdrawals.models.cancellation import Cancellation, CancellationState
from withdrawals.models.item import Item
from withdrawals.models.money import CENT
from withdrawals.models.refund import Refund
from withdrawals.models.refund_rules import RefundState
from withdrawals.models.status import Status


def customer_text(item: Item) -> str:
    """The text, from the item (its trade loaded) and its refund and cancellations as they stand."""
    refund = Refund.objects.filter(item=item).first()
    last = Cancellation.objects.filter(item=item).order_by("number").last()
    said = _of_refund(refund) if refund is not None else _of_item(item, last)
    order = item.trade.external_id
    first = (
        gettext("Your item: {item} (order {order}), requested on {day} (UTC).")
        if order
        else gettext("Your item: {item}, requested on {day} (UTC).")
    )
    return f"{first.format(item=item.title, order=order, day=_day(item.opened_at))}\n{said}\n"


def _of_refund(refund: Refund) -> str:
    if refund.state == RefundState.CONFIRMED and refund.confirmed_at is not None:
        return gettext("This item was not delivered. We returned {amount} to you on {day} (UTC).").format(
            amount=_usd(refund.net), day=_day(refund.confirmed_at)
        )
    if refund.state == RefundState.DUE and refund.amount is not None:
        return gettext(
            "This item was not delivered. {amount} will be returned to you. You need not do anything."
        ).format(amount=_usd(refund.amount))
    if refund.state in (RefundState.DUE, RefundState.IN_REVIEW, RefundState.AWAITING):
        return gettext(
            "We are checking what happened to this item and what is owed to you. We will tell you the result."
        )
    if refund.state == RefundState.WAIVED:
        return gettext(
            "We looked into this item and closed the case without a payment. Ask us if you want to know more."
        )
    return gettext("This item was not delivered. No money was taken for it, so nothing has to be returned.")


def _of_item(item: Item, last: Cancellation | None) -> str:
    if item.status == Status.COMPLETED:
        return gettext("This item was delivered to your Steam account.")
    if last is not None and last.is_open and last.state == CancellationState.ACCEPTED:
        return gettext(
            "We asked for this item to be taken back. Whether that worked is not known yet; it may still arrive."
        )
    if last is not None and last.is_open:
        return gettext("We are asking for this item to be taken back. Whether that works is not known yet.")
    if item.is_offered:
        return gettext("This item is offered to you on Steam, or waits in Steam's protection period.")
    return gettext("This item is on its way: it is still being bought for you.")


def _day(moment: datetime) -> str:
    day = moment.astimezone(UTC)
    return f"{day:%d} {MONTHS[day.month]} {day:%Y}"


def _usd(amount: Decimal) -> str:
    return f"${amount.quantize(CENT, rounding=ROUND_HALF_UP):,}"
