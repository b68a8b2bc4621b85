"""The data that is measured on: trades, items and what hangs on them, made straight in the tables.

Shares follow a busy merchant: nine of ten items were delivered, one in a hundred waits, the rest came back.
"""

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import batched

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from withdrawals.models import (
    AuditEntry,
    AuditHead,
    Cancellation,
    CancellationState,
    Delivery,
    Item,
    Refund,
    RefundCause,
    RefundState,
    Role,
    Source,
    Status,
    Trade,
    User,
    Verdict,
)
from withdrawals.models.audit import GENESIS
from withdrawals.models.refund_rules import RULE_VERSION

BATCH = 2_000
ITEMS_PER_TRADE = 10 / 3
RARE_NAME = "Souvenir Dragon Lore of the Benchmarks"
WEAPONS = ("AK-47", "AWP", "M4A4", "M4A1-S", "USP-S", "Glock-18", "Desert Eagle", "P250", "MP9", "Nova")
FINISHES = 800
PHASES = ("Factory New", "Minimal Wear", "Field-Tested", "Well-Worn", "Battle-Scarred")
LARGE_TRADE_ITEMS, LARGE_TRADE_ENTRIES = 50, 500
DOCUMENT = '{"id":"%s","status":"%s","filler":"' + "x" * 500 + '"}'


def build(items: int, *, seed: int = 1) -> None:
    """Fill an empty, migrated database with `items` items and what belongs to them. Repeatable by its seed."""
    chance, now = random.Random(seed), timezone.now()  # noqa: S311 # made-up data
    agent = _person()
    _fill(Trade, _trades(round(items / ITEMS_PER_TRADE), chance, now), round(items / ITEMS_PER_TRADE))
    _fill(Item, _items(items, chance), items)
    undone = list(Item.objects.filter(status=Status.REVERTED).order_by("pk").only("pk", "first_price", "opened_at"))
    _fill(Delivery, _deliveries(items // 10, now), items // 10)
    _fill(Cancellation, _cancellations(undone, agent), len(undone))
    evidence = Delivery.objects.order_by("pk").first()
    assert evidence is not None  # noqa: S101 # made above
    _fill(Refund, _refunds(undone, agent, evidence, now), len(undone))
    _large_trade(now)
    _write_audit(items, agent, now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "sqlite":
            # Each page that is read is looked for in the log first; what the building left there is no desk's.
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _person() -> User:
    agent = User.objects.create_user("agent@desk.example", "not-used-for-log-in")
    agent.groups.add(*_groups())
    return agent


def _groups() -> list[int]:
    groups = User.groups.field.related_model  # type: ignore[attr-defined] # a many-to-many field
    return list(groups.objects.filter(name=Role.SUPERVISOR.value).values_list("pk", flat=True))


def _fill(model: type[Model], rows: Iterator[Model], total: int) -> None:
    done = 0
    for batch in batched(rows, BATCH):
        model._base_manager.bulk_create(batch)
        done += len(batch)
        show_progress(model._meta.verbose_name_plural, done, total)


def show_progress(what: object, done: int, total: int) -> None:
    """One line that moves, on a terminal; one line at the end elsewhere."""
    end = "\n" if done >= total else "\r"
    if sys.stderr.isatty() or end == "\n":
        sys.stderr.write(f"{what}: {done:,} of {total:,}   {end}")


def _opened_at(number: int, total: int, now: datetime) -> datetime:
    """Spread over a year; the newest a minute old."""
    return now - timedelta(minutes=1) - timedelta(days=365) * (total - number) / total


def _id(made_at: datetime, chance: random.Random) -> str:
    """As AssetPay's are: the time of making, then chance."""
    return f"{int(made_at.timestamp()):08x}{chance.getrandbits(64):016x}"


def _trades(total: int, chance: random.Random, now: datetime) -> Iterator[Trade]:
    for number in range(total):
        opened_at = _opened_at(number, total, now)
        is_open = chance.random() < 0.01 or number > total - 20
        status = Status.PENDING if is_open else Status.COMPLETED
        yield Trade(
            assetpay_id=_id(opened_at, chance),
            type="withdraw",
            source="client",
            status=status,
            status_reported_at=opened_at,
            reported_status=status,
            game="730",
            merchant_id="merchant-of-the-benchmarks",
            client_user_id=f"user-{number % 50_000}",
            client_steam_id=str(76561198000000000 + number % 50_000),
            client_trade_url=f"https://steamcommunity.com/tradeoffer/new/?partner={number % 50_000}&token=AbCdEfGh",
            external_id=f"order-{number}",
            total_price=Decimal("41.1300"),
            opened_at=opened_at,
            is_opened_at_known=True,
            reported_at=opened_at,
            document=DOCUMENT % (number, status),
            first_seen_at=opened_at,
            last_seen_at=opened_at,
            checked_at=opened_at,
        )


def _items(total: int, chance: random.Random) -> Iterator[Item]:
    # All at once: a query that stays open keeps SQLite's log from being written back, and it grows to gigabytes.
    trades = iter(Trade.objects.order_by("pk").values_list("pk", "status", "opened_at", named=True))
    of_trade = (trade for number, trade in enumerate(trades) for _ in range(3 + (number % 3 == 0)))
    for number, trade in zip(range(total), of_trade, strict=False):
        price = Decimal(chance.randrange(100, 100_000)) / 100
        status = trade.status
        if status == Status.COMPLETED and chance.random() < 0.09:
            status = Status.REVERTED
        name = (
            f"{WEAPONS[number % len(WEAPONS)]} | Finish {chance.randrange(FINISHES)} ({PHASES[number % len(PHASES)]})"
        )
        yield Item(
            trade_id=trade.pk,
            assetpay_id=_id(trade.opened_at, chance),
            position=number % 4,
            status=status,
            status_reported_at=trade.opened_at,
            reported_status=status,
            status_changed_at=trade.opened_at,
            external_id=f"line-{number}",
            asset_id=str(30_000_000_000 + number),
            appid=730,
            price=price,
            first_price=price,
            first_price_reported_at=trade.opened_at,
            market_price=price,
            name=RARE_NAME if number == total // 2 else name,
            market_hash_name=RARE_NAME if number == total // 2 else name,
            document=DOCUMENT % (number, status),
            reported_at=trade.opened_at,
            opened_at=trade.opened_at,
            is_cs2_withdrawal=True,
        )


def _deliveries(total: int, now: datetime) -> Iterator[Delivery]:
    for number in range(total):
        at = _opened_at(number, total, now)
        yield Delivery(
            delivery_id=f"d0000000-0000-4000-8000-{number:012x}",
            body=(DOCUMENT % (number, "pending")).encode(),
            body_sha256=f"{number:064x}",
            signature="t=0,v1=0",
            signed_at=at,
            received_at=at,
            last_received_at=at,
            remote_address="127.0.0.1",
            is_copy=True,
            kind="withdrawal_news",
            verdict=Verdict.APPLIED,
            applied_at=at,
        )


def _cancellations(undone: list[Item], agent: User) -> Iterator[Cancellation]:
    for item in undone:
        asked_at = item.opened_at + timedelta(minutes=40)
        yield Cancellation(
            item=item,
            number=1,
            state=CancellationState.CONFIRMED,
            reason="Customer asked",
            requested_by=agent,
            requested_at=asked_at,
            changed_at=asked_at,
            send_from=asked_at,
            accepted_at=asked_at,
            ended_at=asked_at + timedelta(minutes=4),
        )


def _refunds(undone: list[Item], agent: User, evidence: Delivery, now: datetime) -> Iterator[Refund]:
    for number, item in enumerate(undone):
        is_due = number % 100 == 0
        yield Refund(
            item=item,
            state=RefundState.DUE if is_due else RefundState.CONFIRMED,
            cause=RefundCause.UNDONE,
            ruling=RefundState.DUE,
            price=item.first_price,
            amount=item.first_price,
            rule_version=RULE_VERSION,
            evidence_delivery=evidence,
            evidence_sha256=evidence.body_sha256,
            opened_at=item.opened_at,
            changed_at=item.opened_at,
            net=Decimal(0) if is_due else item.first_price,
            confirmed_by=None if is_due else agent,
            confirmed_at=None if is_due else now,
            reference="" if is_due else f"payout-{number}",
            reference_key="" if is_due else f"payout-{number}",
            entries_made=0 if is_due else 1,
        )


def _large_trade(now: datetime) -> None:
    """One trade with many items; its timeline comes with the audit log."""
    template = Trade.objects.order_by("pk").last()
    assert template is not None  # noqa: S101 # made above
    template.pk, template._state.adding = None, True
    template.assetpay_id, template.external_id, template.status = "large-trade", "large-order", Status.PENDING
    template.opened_at = now - timedelta(hours=1)
    template.save(force_insert=True)
    items = list(Item.objects.order_by("pk")[:LARGE_TRADE_ITEMS])
    for number, item in enumerate(items):
        item.pk, item._state.adding = None, True
        item.trade, item.assetpay_id, item.status = template, f"large-item-{number}", Status.PENDING
        item.opened_at, item.position = template.opened_at, number
    Item.objects.bulk_create(items)


def _write_audit(total: int, agent: User, now: datetime) -> None:
    """A chain that verifies, `total` entries long; the last of them tell of the large trade."""
    large = Trade.objects.get(assetpay_id="large-trade")
    many = list(Item.objects.filter(trade=large).order_by("pk"))
    plain = list(Item.objects.order_by("pk").values_list("pk", "trade_id")[:5_000])
    head = AuditHead.objects.get(pk=1)

    def entries() -> Iterator[AuditEntry]:
        previous = GENESIS
        for number in range(1, total + 1):
            left = total - number
            if left < LARGE_TRADE_ENTRIES:
                item_id, trade_id = many[left % len(many)].pk, large.pk
            else:
                item_id, trade_id = plain[number % len(plain)]
            entry = AuditEntry(
                number=number,
                at=_opened_at(number, total, now).astimezone(UTC),
                actor_id=agent.pk if number % 4 == 0 else None,
                actor_name=agent.email if number % 4 == 0 else "AssetPay",
                action="cancellation.requested" if number % 4 == 0 else "item.changed",
                trade_id=trade_id,
                item_id=item_id,
                before={"status": "pending"},
                after={"status": "active"},
                reason="Customer asked" if number % 4 == 0 else "",
                source=Source.SCREEN if number % 4 == 0 else Source.CALLBACK,
                cause="" if number % 4 == 0 else f"delivery:{number}",
                previous_hash=previous,
            )
            previous = entry.hash = entry.content_hash()
            head.number, head.hash = number, previous
            yield entry

    _fill(AuditEntry, entries(), total)
    head.save(update_fields=["number", "hash"])
