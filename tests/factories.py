"""Rows as they stand, for tests that only read: made straight in the tables, past the actions and the audit log.

A test of what happens uses `tests.desk`, which goes through the real actions.
"""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import factory
from django.contrib.auth.models import Group
from django.utils import timezone

from tests.canaries import PASSWORD
from withdrawals.models import (
    Cancellation,
    CancellationState,
    Delivery,
    Game,
    Item,
    Refund,
    RefundCause,
    RefundState,
    RejectedCall,
    Role,
    Status,
    Trade,
    User,
    Verdict,
)
from withdrawals.models.cancellation import CLOSED_STATES
from withdrawals.models.refund_rules import RULE_VERSION, RULED_STATES
from withdrawals.models.trade import WITHDRAW

OLD_ENOUGH = timedelta(hours=1)


def ago(**units: float) -> datetime:
    """A moment before now."""
    return timezone.now() - timedelta(**units)


class UserFactory(factory.django.DjangoModelFactory[User]):
    """Somebody of the desk; `role` puts them into the group of that name, None into no group."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda number: f"person-{number}@desk.example")
    password = factory.django.Password(PASSWORD)

    @factory.post_generation
    def role(self: Any, create: bool, extracted: Role | None, **_: Any) -> None:
        """An agent unless something else is asked for; `role=False` for nobody."""
        role = Role.AGENT if extracted is None else extracted
        if create and role:
            self.groups.add(Group.objects.get(name=Role(role).value))


class TradeFactory(factory.django.DjangoModelFactory[Trade]):
    """A customer's CS2 withdrawal, an hour old, waiting for the seller."""

    class Meta:
        model = Trade

    assetpay_id = factory.Sequence(lambda number: f"66f0c0de{number:015x}1")
    type = WITHDRAW
    source = "client"
    status = Status.PENDING
    reported_status = factory.SelfAttribute("status")
    game = Game.CS2
    client_steam_id = factory.Sequence(lambda number: str(76561198000000000 + number))
    client_trade_url = "https://steamcommunity.com/tradeoffer/new/?partner=39734273&token=AbCdEfGh"
    external_id = factory.Sequence(lambda number: f"order-{number}")
    total_price = Decimal("12.3400")
    opened_at = factory.LazyFunction(lambda: timezone.now() - OLD_ENOUGH)
    reported_at = factory.SelfAttribute("opened_at")
    first_seen_at = factory.SelfAttribute("opened_at")
    last_seen_at = factory.SelfAttribute("opened_at")
    document = '{"id":"66f0c0ffee","status":"pending"}'


class ItemFactory(factory.django.DjangoModelFactory[Item]):
    """An item of a trade, an hour old, waiting for the seller."""

    class Meta:
        model = Item

    trade = factory.SubFactory(TradeFactory)
    assetpay_id = factory.Sequence(lambda number: f"66f0c0de{number:015x}2")
    status = factory.SelfAttribute("trade.status")
    reported_status = factory.SelfAttribute("status")
    status_changed_at = factory.SelfAttribute("opened_at")
    price = Decimal("12.3400")
    first_price = factory.SelfAttribute("price")
    market_hash_name = "AK-47 | Redline (Field-Tested)"
    document = "{}"
    opened_at = factory.SelfAttribute("trade.opened_at")
    is_cs2_withdrawal = factory.LazyAttribute(lambda item: item.trade.type == WITHDRAW and item.trade.game == Game.CS2)


class DeliveryFactory(factory.django.DjangoModelFactory[Delivery]):
    """A well signed callback, a minute old, that was applied."""

    class Meta:
        model = Delivery

    delivery_id = factory.Sequence(lambda number: f"d0000000-0000-4000-8000-{number:012x}")
    body = factory.LazyAttribute(lambda delivery: b'{"trade":{"id":"%s"}}' % delivery.subject_id.encode())
    body_sha256 = factory.LazyAttribute(lambda delivery: hashlib.sha256(delivery.body).hexdigest())
    signature = "t=0,v1=0"
    signed_at = factory.SelfAttribute("received_at")
    received_at = factory.LazyFunction(lambda: ago(minutes=1))
    last_received_at = factory.SelfAttribute("received_at")
    remote_address = "127.0.0.1"
    is_copy = True
    kind = "withdrawal_news"
    subject_id = factory.Sequence(lambda number: f"66f0c0de{number:015x}3")
    verdict = Verdict.APPLIED
    applied_at = factory.LazyAttribute(
        lambda delivery: delivery.received_at if delivery.verdict == Verdict.APPLIED else None
    )


class CancellationFactory(factory.django.DjangoModelFactory[Cancellation]):
    """A request to cancel an item, a minute old, waiting to be sent."""

    class Meta:
        model = Cancellation

    item = factory.SubFactory(ItemFactory)
    number = factory.LazyAttribute(lambda request: request.item.cancellations.count() + 1)
    state = CancellationState.REQUESTED
    reason = "Customer asked"
    requested_by = factory.SubFactory(UserFactory)
    requested_at = factory.LazyFunction(lambda: ago(minutes=1))
    changed_at = factory.SelfAttribute("requested_at")
    send_from = factory.SelfAttribute("requested_at")
    lease_until = factory.LazyAttribute(
        lambda request: request.requested_at if request.state == CancellationState.SENDING else None
    )
    ended_at = factory.LazyAttribute(lambda request: request.requested_at if request.state in CLOSED_STATES else None)


class RefundFactory(factory.django.DjangoModelFactory[Refund]):
    """What is owed for an item that came back undone, with the callback that said so."""

    class Meta:
        model = Refund

    item = factory.SubFactory(ItemFactory, status=Status.REVERTED, status_delivery=factory.SubFactory(DeliveryFactory))
    state = RefundState.DUE
    ruling = factory.LazyAttribute(lambda refund: refund.state if refund.state in RULED_STATES else RefundState.DUE)
    cause = RefundCause.UNDONE
    price = factory.SelfAttribute("item.first_price")
    amount = factory.SelfAttribute("price")
    rule_version = RULE_VERSION
    evidence_delivery = factory.SelfAttribute("item.status_delivery")
    evidence_sha256 = factory.SelfAttribute("evidence_delivery.body_sha256")
    opened_at = factory.LazyFunction(lambda: ago(minutes=1))
    changed_at = factory.SelfAttribute("opened_at")
    net = factory.LazyAttribute(lambda refund: refund.amount if refund.state == RefundState.CONFIRMED else Decimal(0))
    confirmed_by = factory.Maybe("is_confirmed", factory.SubFactory(UserFactory), None)
    confirmed_at = factory.Maybe("is_confirmed", factory.SelfAttribute("opened_at"), None)
    reference = factory.Maybe("is_confirmed", "payout-1", "")
    reference_key = factory.SelfAttribute("reference")
    entries_made = factory.LazyAttribute(lambda refund: int(refund.state == RefundState.CONFIRMED))
    waived_by = factory.Maybe("is_waived", factory.SubFactory(UserFactory), None)
    waived_at = factory.Maybe("is_waived", factory.SelfAttribute("opened_at"), None)
    waived_reason = factory.Maybe("is_waived", "Paid in the shop", "")

    class Params:
        is_confirmed = factory.LazyAttribute(lambda refund: refund.state == RefundState.CONFIRMED)
        is_waived = factory.LazyAttribute(lambda refund: refund.state == RefundState.WAIVED)


class RejectedCallFactory(factory.django.DjangoModelFactory[RejectedCall]):
    """The trace of a call that was not let in."""

    class Meta:
        model = RejectedCall

    received_at = factory.LazyFunction(lambda: ago(minutes=1))
    reason = "signature"
    remote_address = "203.0.113.9"
    body_sha256 = "f" * 64
    body_bytes = 120
    status = 401
