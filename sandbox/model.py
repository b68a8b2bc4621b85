"""What the world is made of: trades, their items, and what is still to happen to them."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from sandbox.statuses import Status

CS2 = "730"
RUST = "252490"
STEAM_ID_BASE = 76561197960265728

Source = Literal["client", "self"]
TradeType = Literal["deposit", "withdraw"]
RevertedBy = Literal["supplier", "user"]


class Script(StrEnum):
    """How the supplier behaves when asked to cancel an item."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    LATE = "late"
    SILENT = "silent"
    DELIVERS_ANYWAY = "delivers_anyway"
    ACCEPT_CANCELED = "accept_canceled"


@dataclass
class Item:
    """One thing inside a trade."""

    id: str
    price: Decimal
    status: Status
    name: str | None = None
    external_id: str | None = None
    error: str | None = None
    asset_id: str | None = None
    wear: str | None = None
    paint_seed: int | None = None
    internal_pool: bool = False
    # A fresh withdrawal is announced before its metadata is looked up.
    described: bool = True
    supplier: Script | None = None
    cancel_requested_at: datetime | None = None


@dataclass
class Trade:
    """A trade as AssetPay keeps it. Money is USD."""

    id: str
    type: TradeType
    source: Source
    status: Status
    game: str
    merchant_id: str
    client_user_id: str
    client_trade_url: str
    client_steam_id: str
    items: list[Item]
    total_price: Decimal
    created_at: datetime
    updated_at: datetime
    external_id: str | None = None
    external_client_user_id: str | None = None
    offer_id: str | None = None
    hold_end_date: datetime | None = None
    active_at: datetime | None = None
    auto_cancel_at: datetime | None = None
    reverted_by: RevertedBy | None = None
    error: str | None = None
    supplier: Script = Script.ACCEPT
    supplier_delay_seconds: float | None = None

    def item(self, ref: str) -> Item | None:
        """The item with this id or external id."""
        return next((item for item in self.items if ref in (item.id, item.external_id)), None)


@dataclass(order=True)
class Due:
    """Something that happens to a trade at a moment yet to come."""

    at: datetime
    seq: int
    act: Literal["move", "auto_cancel", "verdict"] = field(compare=False)
    trade_id: str = field(compare=False)
    item_id: str | None = field(default=None, compare=False)
    status: Status | None = field(default=None, compare=False)
    # Why it failed, when it fails.
    error: str | None = field(default=None, compare=False)
    # Ordinary progress stops for an item whose cancellation was accepted.
    unless_cancelled: bool = field(default=False, compare=False)


def listing_id() -> str:
    """A fresh CS2 listing id: a UUID of version 8."""
    number = uuid.uuid4().int
    number = number & ~(0xF << 76) | (0x8 << 76)
    return str(uuid.UUID(int=number))


def trade_url_for(steam_id: str) -> str:
    """The trade URL that belongs to a Steam account, always the same."""
    partner = int(steam_id) - STEAM_ID_BASE
    token = uuid.uuid5(uuid.NAMESPACE_URL, steam_id).hex[:8]
    return f"https://steamcommunity.com/tradeoffer/new/?partner={partner}&token={token}"


def steam_id_of(trade_url: str) -> str:
    """The Steam account a well-formed trade URL leads to."""
    partner = trade_url.partition("partner=")[2].partition("&")[0]
    return str(STEAM_ID_BASE + int(partner))


def offer_number() -> str:
    """A number that looks like a Steam offer id or asset id."""
    return str(6_000_000_000 + secrets.randbelow(3_000_000_000))
