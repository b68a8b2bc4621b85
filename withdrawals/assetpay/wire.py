"""Trades and items as they stand on AssetPay's wire, field by field.

Source: AssetPay's OpenAPI, schemas Trade and Item. No field there is nullable and optional ones are left out; a null is
read as left out.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from withdrawals.assetpay.fields import (
    Address,
    Count,
    Flag,
    Id,
    Label,
    Moment,
    Money,
    OnlyObject,
    OptionalId,
    OptionalWord,
    WholeNumber,
    Word,
)

MAX_ITEMS = 1000

# Documented fields that nobody here needs, so that they are not reported as new.
UNREAD_TRADE_FIELDS = frozenset(
    {"botInfo", "preCredit", "pendingCredit", "isInstant", "collateral", "relatedTrades", "readyAt"}
)
UNREAD_ITEM_FIELDS = frozenset({"itemId", "previewToken", "fade", "hardened", "stickers", "charm", "propId"})


class _Wire(BaseModel):
    # Unknown fields are allowed and kept aside: AssetPay may add some any day, and they are worth a look.
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class WireOffer(_Wire):
    """What an item costs and how it is delivered."""

    price: Money = None
    delivery: OptionalWord = None


class WireDoppler(_Wire):
    """The phase of a Doppler knife."""

    name: Label = None


class WireBot(_Wire):
    """The bot that holds an item of AssetPay's own pool."""

    name: Label = None


class WireItem(_Wire):
    """One item of a trade."""

    id: Id
    status: OptionalWord = None
    error: OptionalWord = None
    external_id: OptionalId = Field(None, alias="externalId")
    asset_id: OptionalId = Field(None, alias="assetId")
    appid: WholeNumber = None
    tradable: Flag = None
    amount: Count = None
    offer: WireOffer | None = None
    name: Label = None
    market_hash_name: Label = Field(None, alias="marketHashName")
    item_type: Label = Field(None, alias="type")
    icon_url: Address = Field(None, alias="iconUrl")
    market_price: Money = Field(None, alias="marketPrice")
    exterior: Label = None
    rarity: Label = None
    color: Label = None
    wear: Label = None
    paint_seed: WholeNumber = Field(None, alias="paintSeed")
    doppler: Annotated[WireDoppler | None, OnlyObject] = None
    bot: Annotated[WireBot | None, OnlyObject] = Field(None, alias="botInfo")


class WireTrade(_Wire):
    """One trade; its items are read one by one, each with its own document."""

    id: Id
    type: Word
    status: Word
    source: OptionalWord = None
    game: Label = None
    merchant_id: OptionalId = Field(None, alias="merchantId")
    client_user_id: OptionalId = Field(None, alias="clientUserId")
    client_trade_url: Address = Field(None, alias="clientTradeUrl")
    client_steam_id: OptionalId = Field(None, alias="clientSteamID")
    external_id: OptionalId = Field(None, alias="externalId")
    external_client_user_id: OptionalId = Field(None, alias="externalClientUserId")
    total_price: Money = Field(None, alias="totalPrice")
    created_at: Moment = Field(None, alias="createdAt")
    updated_at: Moment = Field(None, alias="updatedAt")
    offer_id: OptionalId = Field(None, alias="offerID")
    hold_end_at: Moment = Field(None, alias="holdEndDate")
    active_at: Moment = Field(None, alias="activeAt")
    auto_cancel_at: Moment = Field(None, alias="autoCancelAt")
    reverted_by: OptionalWord = Field(None, alias="revertedBy")
    error: OptionalWord = None
    items: Annotated[list[dict[str, object]] | None, Field(max_length=MAX_ITEMS)] = None
