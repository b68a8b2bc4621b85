"""What a customer may be told of an item: a few plain sentences without internal names, words or tokens."""

from decimal import ROUND_HALF_UP, Decimal

from withdrawals.models.cancellation import Cancellation, CancellationState
from withdrawals.models.item import Item
from withdrawals.models.money import CENT
from withdrawals.models.refund import Refund
from withdrawals.models.refund_rules import RefundState
from withdrawals.models.status import Status


def customer_text(item: Item) -> str:
    """The text, from the item (its trade loaded) and its refund and cancellations as they stand."""
    order = f" (order {item.trade.external_id})" if item.trade.external_id else ""
    refund = Refund.objects.filter(item=item).first()
    last = Cancellation.objects.filter(item=item).order_by("number").last()
    said = _of_refund(refund) if refund is not None else _of_item(item, last)
    return f"Your item: {item.title}{order}, requested on {item.opened_at:%d %B %Y} (UTC).\n{said}\n"


def _of_refund(refund: Refund) -> str:
    undelivered = "This item was not delivered."
    if refund.state == RefundState.CONFIRMED and refund.confirmed_at is not None:
        return f"{undelivered} We returned {_usd(refund.net)} to you on {refund.confirmed_at:%d %B %Y} (UTC)."
    if refund.state == RefundState.DUE and refund.amount is not None:
        return f"{undelivered} {_usd(refund.amount)} will be returned to you. You need not do anything."
    if refund.state in (RefundState.DUE, RefundState.IN_REVIEW, RefundState.AWAITING):
        return "We are checking what happened to this item and what is owed to you. We will tell you the result."
    if refund.state == RefundState.WAIVED:
        return "We looked into this item and closed the case without a payment. Ask us if you want to know more."
    return f"{undelivered} No money was taken for it, so nothing has to be returned."


def _of_item(item: Item, last: Cancellation | None) -> str:
    if item.status == Status.COMPLETED:
        return "This item was delivered to your Steam account."
    if last is not None and last.is_open and last.state == CancellationState.ACCEPTED:
        return "We asked for this item to be taken back. Whether that worked is not known yet; it may still arrive."
    if last is not None and last.is_open:
        return "We are asking for this item to be taken back. Whether that works is not known yet."
    if item.is_offered:
        return "This item is offered to you on Steam, or waits in Steam's protection period."
    return "This item is on its way: it is still being bought for you."


def _usd(amount: Decimal) -> str:
    return f"${amount.quantize(CENT, rounding=ROUND_HALF_UP):,}"
