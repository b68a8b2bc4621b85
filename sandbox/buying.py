"""Creating withdrawals, and what the merchant's verdict makes of them."""

import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import Refused, invalid
from sandbox.model import CS2, Item, Source, Trade
from sandbox.statuses import OPEN, Status
from sandbox.tokens import ClientUser
from sandbox.wire import Json
from sandbox.world import World

OPENING_BALANCE = Decimal(250_000)
Price = Annotated[Decimal, Field(gt=0, le=100_000)]
Reference = Annotated[str, Field(min_length=1, max_length=128, pattern="^[^,]+$")]


class WantedItem(BaseModel):
    """One listing to buy."""

    model_config = ConfigDict(extra="ignore")

    itemId: Annotated[str, Field(min_length=5, max_length=256)]
    price: Price
    maxPrice: Price | None = None
    externalId: Reference | None = None


class Order(BaseModel):
    """The body of a withdrawal; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[WantedItem], Field(min_length=1, max_length=50)]
    slippageBps: Annotated[int, Field(ge=0, le=2000)] = 0
    autoCancel: Annotated[int, Field(ge=30, le=720)] = 30
    game: Literal["730", "252490"] = "730"
    externalId: Reference | None = None


class OwnOrder(Order):
    """The body of a merchant's own purchase."""

    tradeUrl: str


def read_order[T: BaseModel](kind: type[T], body: bytes) -> T:
    """The order in a request's body; raises Refused naming the first wrong field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        reasons = {".".join(map(str, each["loc"])) or "body": each["msg"] for each in error.errors()[:20]}
        text = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:5])
        raise Refused("VALIDATION_FAILED", text, fields=reasons) from None


def create_withdrawal(world: World, order: Order, user: ClientUser, source: Source, now: datetime) -> Trade:
    """A new withdrawal, initiated: nothing is bought before the merchant approves. Raises Refused."""
    if world.switches.withdrawals_paused:
        raise Refused(world.switches.paused_key, "Withdrawals are paused.")
    if not world.switches.callback_url:
        raise Refused("MERCHANT_NO_CALLBACK_URL", "This merchant has no callback URL.")
    if order.externalId is not None and world.find(order.externalId) is not None:
        raise Refused("EXTERNAL_ID_EXISTS", "This externalId is taken.")
    if len({wanted.itemId for wanted in order.items}) < len(order.items):
        raise invalid("items", "a listing is named twice")
    items = [_reserve(world, order, wanted) for wanted in order.items]
    total = sum((item.price for item in items), Decimal(0))
    if total > balance(world)["balance"]:
        raise Refused("MERCHANT_BALANCE_LOW", "The merchant's wallet does not cover this.")
    for item in items:
        world.market.sell(world.market.listings[item.id])
    automatic = order.game == CS2 and order.autoCancel < 720
    trade = Trade(
        id=str(uuid.uuid4()),
        type="withdraw",
        source=source,
        status=Status.INITIATED,
        game=order.game,
        merchant_id=world.merchant_id,
        client_user_id=client_user_id(world, user.steam_id),
        client_trade_url=user.trade_url,
        client_steam_id=user.steam_id,
        items=items,
        total_price=total,
        created_at=now,
        updated_at=now,
        external_id=order.externalId,
        external_client_user_id=user.client_id,
        auto_cancel_at=now + timedelta(minutes=order.autoCancel) if automatic else None,
    )
    world.add(trade)
    return trade


def apply_verdict(world: World, trade: Trade, verdict: Literal["approve", "reject", "timeout"], now: datetime) -> None:
    """Start buying, or end the withdrawal for want of the merchant's consent; once only."""
    if trade.status is not Status.INITIATED:
        return
    moves = {item.id: Status.PENDING for item in trade.items}
    if verdict != "approve":
        trade.error = "MERCHANT_REJECTED" if verdict == "reject" else "APPROVAL_TIMEOUT"
        moves = {item.id: world.switches.rejected_status for item in trade.items}
    world.move_items(trade, moves, now)


def balance(world: World) -> Json:
    """The merchant's wallet as the world's withdrawals leave it, in USD."""
    spent = locked = Decimal(0)
    for trade in world.trades.values():
        for item in trade.items:
            if trade.type != "withdraw":
                continue
            locked += item.price if item.status in OPEN[1:] else 0
            spent += item.price if item.status is Status.COMPLETED else 0
            # A declined offer costs a penalty.
            spent += min(item.price * 2 / 100, Decimal(9)) if item.status is Status.DECLINED else 0
    return {
        "balance": OPENING_BALANCE - spent - locked,
        "pendingBalance": locked,
        "escrowBalance": Decimal(0),
        "currency": "USD",
    }


def client_user_id(world: World, steam_id: str) -> str:
    """AssetPay's own id for an end user, always the same for one Steam account."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{world.merchant_id}/{steam_id}"))


def _reserve(world: World, order: Order, wanted: WantedItem) -> Item:
    listing = world.market.listings.get(wanted.itemId)
    if listing is None or listing.game != order.game:
        raise Refused("LISTING_NOT_FOUND", "This listing is gone.")
    highest = wanted.maxPrice or wanted.price * (10_000 + order.slippageBps) / 10_000
    if listing.price > highest:
        raise Refused("PRICE_CHANGED", "The price has moved past the allowed limit.")
    return Item(
        id=listing.id,
        price=listing.price,
        status=Status.INITIATED,
        name=listing.name,
        external_id=wanted.externalId,
        described=False,
    )
