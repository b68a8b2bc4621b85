"""Doing what people, AssetPay and the clock do, for tests: through the real actions, with a given time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import simplejson
from django.conf import settings
from django.contrib.auth.models import Group

from tests.wire import NOON, trade_document
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import request_cancellation
from withdrawals.actions.deliveries import Call, receive_delivery
from withdrawals.actions.trades import Mirrored, mirror_trade
from withdrawals.assetpay.signature import sign
from withdrawals.assetpay.snapshots import TradeSnapshot
from withdrawals.models import Cancellation, Delivery, Evidence, Item, Read, Role, Route, Source, User

READ = Origin(Source.READ, name="test")


def person(role: Role = Role.AGENT, email: str = "") -> User:
    """Somebody of the desk."""
    who = User.objects.create_user(email or f"{role.value}-{uuid.uuid4().hex[:8]}@desk.example", "withdraw-skins-1")
    who.groups.add(Group.objects.get(name=role.value))
    return who


def see(snapshot: TradeSnapshot, *, now: datetime = NOON) -> Mirrored:
    """Merge one snapshot, as a read of AssetPay would."""
    read = Read(route=Route.SECURE, read_at=now, body_sha256="0" * 64, document=snapshot.document)
    return mirror_trade(snapshot, evidence=Evidence(read=read), origin=READ, now=now)


def item_of(trade_id: str = "trade-one", item_id: str = "item-one") -> Item:
    """The item as it stands now."""
    return Item.objects.select_related("trade").get(trade__assetpay_id=trade_id, assetpay_id=item_id)


def ask(item: Item, *, actor: User | None = None, now: datetime = NOON, **given: Any) -> Cancellation:
    """Click "Cancel item"."""
    actor = actor or person()
    origin = Origin(Source.SCREEN, actor=actor)
    return request_cancellation(
        item_id=item.pk, reason="not delivered", note="", actor=actor, origin=origin, now=now, **given
    )


def signed(body: bytes, *, now: datetime = NOON, delivery_id: str = "", secret: str = "") -> str:
    """The signature header that AssetPay would send with `body`."""
    time_text = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    key = (secret or settings.ASSETPAY_API_SECRETS[0]).encode()
    return sign(body, key, delivery_id or uuid.uuid4().hex, time_text)


def news(trade_id: str = "trade-one", **fields: Any) -> bytes:
    """The body of a callback about a trade."""
    return simplejson.dumps({"trade": trade_document(trade_id, **fields)}, use_decimal=True).encode()


def deliver(
    body: bytes, *, now: datetime = NOON, delivery_id: str = "", is_copy: bool = True, signed_at: datetime | None = None
) -> Delivery:
    """Let AssetPay call."""
    signature = signed(body, now=signed_at or now, delivery_id=delivery_id)
    return receive_delivery(Call(signature, body, "127.0.0.1", is_copy), now=now)


def clock_at(start: datetime, *, step: timedelta = timedelta(milliseconds=10)) -> Any:
    """A clock that goes on by `step` at each look."""
    times = iter(start + step * tick for tick in range(1_000_000))
    return lambda: next(times)
