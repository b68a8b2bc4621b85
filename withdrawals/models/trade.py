"""A trade: AssetPay's withdrawal, mirrored."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.db import models

from withdrawals.models.ends import Head, Ids, Tail, ends_like, keys_of_any, read_ids, with_own_id
from withdrawals.models.money import UsdField
from withdrawals.models.pasted import read_pasted
from withdrawals.models.status import FINAL, OPEN, Status, is_known


class Game(models.TextChoices):
    """AssetPay's games, by Steam's app id, as a trade writes them."""

    CS2 = "730", "CS2"
    RUST = "252490", "Rust"


WITHDRAW = "withdraw"
# Steam lets a trade be reversed for seven days; AssetPay reports `reverted` after `completed` too.
MAY_BE_REVERTED_FOR = timedelta(days=8)
REST_OF_THE_DELIVERED = timedelta(hours=4)
# OWED_REFUNDS, which stand in a module above this one.
UNDECIDED_REFUNDS = ("due", "in_review", "awaiting")


def sign_of_asset(item_id: str) -> str:
    """How `signs` keeps that an item lay in the customer's inventory: only there it has an asset id."""
    return f"asset_of={item_id}"


class TradeQuerySet(models.QuerySet["Trade"]):
    """Reads of trades."""

    def still_open(self) -> Self:
        """Withdrawals of which AssetPay should still have something to tell."""
        return self.filter(~models.Q(status__in=FINAL) | models.Q(items__status__in=OPEN)).distinct()

    def worth_reading(self, now: datetime) -> Self:
        """Withdrawals whose truth may still move, or on whose truth somebody is about to act.

        That is: the trade or an item has not ended, a cancellation is open, or a refund is not decided; and a few
        times a day what was delivered lately, since even that may still be reverted. The one read longest ago comes
        first.
        """
        undecided = models.Q(items__cancellations__ended_at=None, items__cancellations__isnull=False) | models.Q(
            items__refund__state__in=UNDECIDED_REFUNDS
        )
        rested = models.Q(checked_at=None) | models.Q(checked_at__lt=now - REST_OF_THE_DELIVERED)
        delivered = models.Q(items__status=Status.COMPLETED, items__status_changed_at__gte=now - MAY_BE_REVERTED_FOR)
        is_open = ~models.Q(status__in=FINAL) | models.Q(items__status__in=OPEN)
        worth = self.filter(is_open | undecided | (delivered & rested))
        return worth.distinct().order_by(models.F("checked_at").asc(nulls_first=True), "pk")

    def search(self, text: str) -> Self:
        """Trades that carry exactly an id in `text` (AssetPay's, the merchant's, Steam's or the customer's)."""
        return self.with_ids(read_pasted(text).ids)

    def with_ids(self, ids: Sequence[str]) -> Self:
        """Trades that carry exactly one of these ids; only AssetPay's may be written in any case."""
        return self.with_read_ids(read_ids(ids))

    def with_read_ids(self, ids: Ids) -> Self:
        """The same of ids that have been read."""
        columns = ("external_id", "offer_id", "client_steam_id", "client_user_id", "external_client_user_id")
        trades = Trade.objects.all()
        found = [trades.filter(models.Q((f"{column}__in", ids.written))) for column in columns]
        return self.filter(pk__in=keys_of_any(with_own_id(trades, ids), *found))

    def with_ends(self, ends: Sequence[tuple[str, str]]) -> Self:
        """Trades whose AssetPay id begins and ends like one of these (head, tail); either may be empty."""
        return self.alias(tail=Tail("assetpay_id"), head=Head("assetpay_id")).filter(ends_like(ends))


class Trade(models.Model):
    """One withdrawal as AssetPay last described it.

    Columns are AssetPay's Trade (OpenAPI 0.8.3), projected from the document with the latest `updatedAt`; an optional
    field that it leaves out is null. `status` follows the merge of `withdrawals.models.status` instead.
    """

    assetpay_id = models.CharField(max_length=128, unique=True)
    type = models.CharField(max_length=64)
    source = models.CharField(max_length=64, null=True)
    status = models.CharField(max_length=64)
    status_reported_at = models.DateTimeField(null=True)
    reported_status = models.CharField(max_length=64)
    game = models.CharField(max_length=64, null=True)
    merchant_id = models.CharField(max_length=128, null=True)
    client_user_id = models.CharField(max_length=128, null=True, db_index=True)
    client_trade_url = models.CharField(max_length=512, null=True)
    client_steam_id = models.CharField(max_length=64, null=True, db_index=True)
    external_id = models.CharField(max_length=128, null=True, db_index=True)
    external_client_user_id = models.CharField(max_length=128, null=True, db_index=True)
    total_price = UsdField(null=True)
    offer_id = models.CharField(max_length=128, null=True, db_index=True)
    hold_end_at = models.DateTimeField(null=True)
    active_at = models.DateTimeField(null=True)
    auto_cancel_at = models.DateTimeField(null=True)
    reverted_by = models.CharField(max_length=64, null=True)
    error = models.CharField(max_length=128, null=True)
    # What any message ever said of who reverted it, what went wrong and which items the customer had
    # ("reverted_by=user", "error=…", "asset_of=…"), sorted: money hangs on it, and a later message may leave it out.
    signs = models.JSONField(default=list)
    # The earliest `createdAt` of AssetPay; without one, our first sight, which is never too early.
    opened_at = models.DateTimeField()
    is_opened_at_known = models.BooleanField(default=False)
    # AssetPay's `updatedAt` of the document below.
    reported_at = models.DateTimeField(null=True)
    document = models.TextField()
    unknown = models.JSONField(default=list)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # The last time that we asked AssetPay for this trade, and what came of it.
    checked_at = models.DateTimeField(null=True)
    # The last time that AssetPay answered such a question about it.
    answered_at = models.DateTimeField(null=True)

    objects = TradeQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="trade_newest_first"),
            models.Index(Tail("assetpay_id"), name="trade_by_tail"),
            models.Index(Head("assetpay_id"), name="trade_by_head"),
        ]

    def __str__(self) -> str:
        return self.assetpay_id

    @property
    def is_withdrawal(self) -> bool:
        """Whether items can be cancelled at all: only withdrawals are delivered to a customer."""
        return self.type == WITHDRAW

    @property
    def unknown_status(self) -> str:
        """The status that AssetPay last reported, where no document of AssetPay explains it; else empty."""
        return "" if is_known(self.reported_status) else self.reported_status

    @property
    def steam_profile_url(self) -> str:
        """The customer's Steam profile, or empty where the Steam id is missing or odd."""
        steam_id = self.client_steam_id or ""
        return f"https://steamcommunity.com/profiles/{steam_id}" if steam_id.isdigit() else ""

    @property
    def steam_offer_url(self) -> str:
        """The Steam offer, or empty where its id is missing or odd."""
        offer_id = self.offer_id or ""
        is_number = offer_id.isascii() and offer_id.isdigit()
        return f"https://steamcommunity.com/tradeoffer/{offer_id}/" if is_number else ""
