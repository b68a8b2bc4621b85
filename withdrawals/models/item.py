"""An item: one thing inside a trade, the unit that is cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.ends import Head, Ids, Tail, ends_like, keys_of_any, read_ids, with_own_id
from withdrawals.models.item_names import Named, named_like, read_name
from withdrawals.models.money import UsdField
from withdrawals.models.pasted import read_pasted
from withdrawals.models.prepared import rows_of
from withdrawals.models.status import FINAL, UNDELIVERED, Status, is_known
from withdrawals.models.trade import Game, Trade


class ShownPrice(models.Func):
    """The price that a row shows, nothing where none was ever reported. Written without parameters: see `Tail`."""

    arity = 2
    template = "COALESCE(%(expressions)s, 0)"
    output_field = UsdField()


# A callback that comes within this time of a read did announce what the read found.
ANNOUNCED_WITHIN = timedelta(minutes=2)
# AssetPay cancels unsent items by itself at `autoCancelAt`, by default at the very minute at which a cancel becomes
# allowed. An armed item that would fire this near to it lets AssetPay go first, and fires this long after it.
AUTO_CANCEL_NEAR = timedelta(minutes=2)


def cancel_window() -> timedelta:
    """How old a withdrawal must be before AssetPay takes a cancel: its 30 minutes, shorter in the demo."""
    return timedelta(seconds=settings.CANCEL_WINDOW_SECONDS)


class Rule(StrEnum):
    """The four rules of AssetPay's cancel endpoint."""

    WITHDRAWAL = "withdrawal"
    CS2 = "cs2"
    NOT_ENDED = "not_ended"
    OLD_ENOUGH = "old_enough"


@dataclass(frozen=True)
class Refusal:
    """Why an item cannot be cancelled: the rule, a sentence for the agent, and when the rule passes (UTC) or None.

    `instead` says what the agent can do instead.
    """

    rule: Rule
    sentence: str
    passes_at: datetime | None = None
    instead: str = ""


ENDED_SENTENCES = {
    Status.COMPLETED: gettext_lazy("The customer has this item: the delivery is complete."),
    Status.FAILED: gettext_lazy("This item already failed; there is nothing left to cancel."),
    Status.REVERTED: gettext_lazy("This item already came back undone."),
    Status.CANCELED: gettext_lazy("This item is already canceled at AssetPay."),
    Status.DECLINED: gettext_lazy("The customer declined the offer, so there is nothing left to cancel."),
}


NOTHING_OWED = gettext_lazy("Nothing is owed for a delivered item; a complaint about it is not for the desk.")
LOOK_AT_THE_REFUND = gettext_lazy("Look at its refund: it says whether the customer is owed anything.")
INSTEAD_WHEN_ENDED = {
    Status.COMPLETED: NOTHING_OWED,
    Status.FAILED: LOOK_AT_THE_REFUND,
    Status.REVERTED: LOOK_AT_THE_REFUND,
    Status.CANCELED: LOOK_AT_THE_REFUND,
    Status.DECLINED: LOOK_AT_THE_REFUND,
}


# As many as are worth naming one by one.
FEW = 100


class Waits(models.Lookup[bool]):
    """Whether an item of this status is a CS2 withdrawal that has not ended: `Waits(F(status), F(is_cs2_withdrawal))`.

    Written without parameters, or SQLite would not see that the index `item_waiting` holds just these.
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """Both sides are columns."""
        status, none = self.process_lhs(compiler, connection)
        is_cs2, nothing = self.process_rhs(compiler, connection)
        ended = ", ".join(f"'{status}'" for status in FINAL)
        return f"({is_cs2} AND NOT {status} IN ({ended}))", (*none, *nothing)


WAITS = Waits(models.F("status"), models.F("is_cs2_withdrawal"))


class ItemQuerySet(models.QuerySet["Item"]):
    """Reads of items. `cancellable` is the twin of `Item.cancel_refusal`; a table test holds them together."""

    # The keys of what `search` found, where it was an id and they are few.
    few: tuple[int, ...] = ()
    # What is looked for among the names, where that is all that narrows these rows.
    named: Named | None = None

    def cancellable(self, now: datetime) -> Self:
        """Items for which no rule refuses a cancel at `now`."""
        return self._of_cancellable_kind().filter(opened_at__lte=now - cancel_window())

    def cancellable_later(self, now: datetime) -> Self:
        """Items that only their age still keeps from being cancelled."""
        return self._of_cancellable_kind().filter(opened_at__gt=now - cancel_window())

    def _of_cancellable_kind(self) -> Self:
        return self.filter(WAITS)

    def ended(self) -> Self:
        """Items whose fate is known."""
        return self.filter(status__in=FINAL)

    def changed_lately(self, now: datetime) -> Self:
        """Items whose status changed within the last hour, and long enough ago for a callback to have followed.

        A trade that was brought in by a read was never announced before, and need not have been.
        """
        from_, until = now - timedelta(hours=1), now - ANNOUNCED_WITHIN
        changed = self.filter(status_changed_at__gte=from_, status_changed_at__lt=until)
        return changed.exclude(status_changed_at=models.F("trade__first_seen_at"))

    def learned_by_reading(self, now: datetime) -> Self:
        """Those of them that only a read told: no callback of their trade has come since."""
        since = models.Q(trade__deliveries__received_at__gte=models.F("status_changed_at"))
        announced = self.filter(since).values("pk")
        return self.changed_lately(now).filter(status_read__isnull=False).exclude(pk__in=announced)

    def with_ids(self, ids: Sequence[str]) -> Self:
        """Items that carry exactly one of these ids, themselves or through their trade."""
        return self.with_read_ids(read_ids(ids))

    def with_read_ids(self, ids: Ids) -> Self:
        """The same of ids that have been read."""
        items = Item.objects.all()
        of_trades = items.filter(trade__in=Trade.objects.with_read_ids(ids))
        others = (items.filter(external_id__in=ids.written), items.filter(asset_id__in=ids.written), of_trades)
        return self.filter(pk__in=keys_of_any(with_own_id(items, ids), *others))

    def with_ends(self, ends: Sequence[tuple[str, str]]) -> Self:
        """Items whose own or whose trade's AssetPay id begins and ends like one of these (head, tail)."""
        of_items = Item.objects.alias(tail=Tail("assetpay_id"), head=Head("assetpay_id")).filter(ends_like(ends))
        of_trades = Item.objects.filter(trade__in=Trade.objects.with_ends(ends))
        return self.filter(pk__in=keys_of_any(of_items, of_trades))

    def matching_name(self, text: str) -> Self:
        """Items in whose names every word of this text occurs."""
        named = read_name(text, self.db)
        found = named_like(self, named)
        found.named = named
        return found

    def search(self, text: str) -> tuple[Self, bool]:
        """Items for whatever was pasted, and whether it was an id (which ignores every other filter).

        Whole ids come first, as many as the text holds; then the tail or the head of an id; then names. A plain word
        is looked for among names before it is taken for a tail: "fade" is one.
        """
        pasted = read_pasted(text)
        if pasted.ids:
            ids = read_ids(pasted.ids)
            keys = [pk for (pk,) in rows_of(_keys_with_ids, **ids._asdict())]
            if keys:
                return (self.with_read_ids(ids) if len(keys) > FEW else self._few(keys)), True
        by_name = self.matching_name(pasted.name) if pasted.name else self.none()
        if pasted.is_word and by_name.exists():
            return by_name, False
        if pasted.ends:
            rows = self.with_ends(pasted.ends)
            keys = list(rows.values_list("pk", flat=True)[: FEW + 1])
            if keys:
                return (rows if len(keys) > FEW else self._few(keys)), True
        return by_name, False

    def _few(self, keys: list[int]) -> Self:
        """The rows with these keys, and `few` names them, so that nobody looks for them again."""
        found = self.filter(pk__in=keys)
        found.few = tuple(keys)
        return found


def _keys_with_ids(
    written: tuple[str, ...], lower: tuple[str, ...], tails: tuple[str, ...]
) -> models.QuerySet["Item", Any]:
    return Item.objects.with_read_ids(Ids(written, lower, tails)).values_list("pk")[: FEW + 1]


class Item(models.Model):
    """One item of a trade as AssetPay last described it; its identity is (trade, AssetPay item id).

    Columns are AssetPay's Item (OpenAPI 0.8.3) from the latest document that holds the item. `status` is the heaviest
    status reported so far, with the evidence that brought it. AssetPay items carry no times of their own.
    """

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="items", db_index=False)
    assetpay_id = models.CharField(max_length=128)
    position = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=64)
    status_reported_at = models.DateTimeField(null=True)
    reported_status = models.CharField(max_length=64)
    # The heaviest end that was ever reported beneath `reverted`, and whether two different ones were: AssetPay does
    # not promise that a final state stays, and money hangs on it.
    ended_as = models.CharField(max_length=64, blank=True, default="")
    has_conflicting_ends = models.BooleanField(default=False)
    status_changed_at = models.DateTimeField()
    status_delivery = models.ForeignKey("withdrawals.Delivery", on_delete=models.PROTECT, null=True, related_name="+")
    status_read = models.ForeignKey("withdrawals.Read", on_delete=models.PROTECT, null=True, related_name="+")
    error = models.CharField(max_length=128, null=True)
    external_id = models.CharField(max_length=128, null=True, db_index=True)
    asset_id = models.CharField(max_length=128, null=True, db_index=True)
    appid = models.BigIntegerField(null=True)
    tradable = models.BooleanField(null=True)
    amount = models.CharField(max_length=64, null=True)
    price = UsdField(null=True)
    # The price of the earliest document (by `updatedAt`) that had one: what the customer was charged.
    first_price = UsdField(null=True)
    first_price_reported_at = models.DateTimeField(null=True)
    market_price = UsdField(null=True)
    delivery = models.CharField(max_length=64, null=True)
    name = models.CharField(max_length=300, null=True)
    market_hash_name = models.CharField(max_length=300, null=True)
    item_type = models.CharField(max_length=128, null=True)
    icon_url = models.CharField(max_length=1024, null=True)
    exterior = models.CharField(max_length=128, null=True)
    rarity = models.CharField(max_length=128, null=True)
    color = models.CharField(max_length=64, null=True)
    wear = models.CharField(max_length=64, null=True)
    paint_seed = models.BigIntegerField(null=True)
    phase = models.CharField(max_length=64, null=True)
    # AssetPay's bot, on items from its internal pool.
    bot_name = models.CharField(max_length=128, null=True)
    document = models.TextField()
    reported_at = models.DateTimeField(null=True)
    # From the trade, so that the worklist asks one table.
    opened_at = models.DateTimeField()
    is_cs2_withdrawal = models.BooleanField()

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trade", "assetpay_id"], name="one_item_per_trade_and_id"),
        ]
        indexes = [
            models.Index(fields=["opened_at", "id"], name="item_oldest_first"),
            models.Index(fields=["is_cs2_withdrawal", "status", "opened_at"], name="item_cancellable"),
            models.Index(fields=["opened_at", "id"], condition=models.Q(WAITS), name="item_waiting"),
            models.Index(Tail("assetpay_id"), name="item_by_tail"),
            models.Index(Head("assetpay_id"), name="item_by_head"),
            models.Index(ShownPrice("first_price", "price"), "id", name="item_by_price"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """What the agent calls it. A fresh withdrawal may have no name yet."""
        return self.market_hash_name or self.name or f"Unnamed item {self.assetpay_id[-8:]}"

    @property
    def cancellable_from(self) -> datetime | None:
        """When the 30-minute rule passes; None where another rule can never pass."""
        return self.opened_at + cancel_window() if self.is_cs2_withdrawal else None

    @property
    def has_ended(self) -> bool:
        """Whether AssetPay reported a final status."""
        return self.status in FINAL

    @property
    def ended_undelivered(self) -> bool:
        """Whether it ended without reaching the customer."""
        return self.status in UNDELIVERED

    @property
    def is_offered(self) -> bool:
        """Whether the Steam offer is already with the customer; it can be cancelled, but may still be accepted."""
        return self.status in (Status.ACTIVE, Status.HOLD)

    @property
    def is_held(self) -> bool:
        """Whether the customer has accepted the offer and Steam holds the item; AssetPay may refuse to take it back."""
        return self.status == Status.HOLD

    @property
    def unknown_status(self) -> str:
        """The status that AssetPay last reported, where no document of AssetPay explains it; else empty."""
        return "" if is_known(self.reported_status) else self.reported_status

    def cancel_refusal(self, now: datetime) -> Refusal | None:
        """Why AssetPay would refuse to cancel this item at `now`, or None. Its four rules and no others.

        Source: AssetPay's page of the item cancel: a withdrawal, CS2, at least 30 minutes old, not ended. Items carry
        no time of their own, so the age is the trade's. `declined` is ours: AssetPay's OpenAPI calls it final.
        """
        if not self.trade.is_withdrawal:
            return Refusal(
                Rule.WITHDRAWAL,
                gettext("Only withdrawals can be cancelled; this is a deposit."),
                instead=gettext("A deposit ends by itself; look at the trade for how it stands."),
            )
        if self.trade.game != Game.CS2:
            game = "Rust" if self.trade.game == Game.RUST else gettext("Other games'")
            return Refusal(
                Rule.CS2,
                gettext("{game} items can never be cancelled: their suppliers take no cancel.").format(game=game),
                instead=gettext(
                    "Wait for the delivery, or for AssetPay to end it; check with AssetPay to see how it stands."
                ),
            )
        if self.has_ended:
            status = Status(self.status)
            return Refusal(Rule.NOT_ENDED, str(ENDED_SENTENCES[status]), instead=str(INSTEAD_WHEN_ENDED[status]))
        opens_at = self.opened_at + cancel_window()
        if now < opens_at:
            return Refusal(
                Rule.OLD_ENOUGH,
                gettext("Too young: AssetPay takes a cancel from {at} UTC on.").format(at=f"{opens_at:%H:%M:%S}"),
                opens_at,
                instead=gettext('Use "Cancel when allowed": the desk asks AssetPay as soon as it may.'),
            )
        return None

    def arm_refusal(self, now: datetime) -> Refusal | None:
        """Why this item cannot be armed at `now`, or None: only its age may keep it from being cancelled at once."""
        refusal = self.cancel_refusal(now)
        if refusal is None:
            return Refusal(
                Rule.OLD_ENOUGH,
                gettext("This item can be cancelled now; there is nothing to wait for."),
                instead=gettext("Cancel it."),
            )
        return None if refusal.rule == Rule.OLD_ENOUGH else refusal

    def fires_at(self, margin: timedelta) -> datetime:
        """When an armed cancellation of this item asks AssetPay: never before the window opens, and after `margin`.

        Where AssetPay's own auto-cancel falls within two minutes of that moment, two minutes after the auto-cancel.
        """
        opens_at = self.opened_at + cancel_window() + margin
        auto_cancel_at = self.trade.auto_cancel_at
        if auto_cancel_at is not None and abs(auto_cancel_at - opens_at) <= AUTO_CANCEL_NEAR:
            return auto_cancel_at + AUTO_CANCEL_NEAR
        return opens_at
