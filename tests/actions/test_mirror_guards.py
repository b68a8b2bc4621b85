"""Each guard of the mirror by itself: what a column takes, which report counts, and what a reading back leaves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from sandbox.client import SandboxControl
from sandbox.testing import running_sandbox
from tests.desk import ask, deliver, item_of, news, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.projection import plain
from withdrawals.actions.trades import check_trade, import_trades, reconcile, reconcile_trades
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.models import AuditEntry, Cancellation, Item, Read, ReadState, Refund, Source, Trade, Verdict

pytestmark = pytest.mark.django_db

BY_HAND = Origin(Source.COMMAND, name="test")
GREATEST = 2**31 - 1


def at(seconds: int) -> str:
    return stamp(NOON + timedelta(seconds=seconds))


# --- Columns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept"), [(0, 0), (GREATEST, GREATEST), (GREATEST + 1, None), (2**70, None), (-1, None)]
)
def test_a_number_is_kept_as_far_as_any_column_goes(said: int, kept: int | None) -> None:
    see(trade_snapshot(items=[item_document(appid=said)]))

    assert item_of().appid == kept


def test_a_price_is_kept_to_four_places() -> None:
    see(trade_snapshot(items=[item_document(offer={"price": Decimal("0.00005")})]))

    assert (item_of().price, item_of().first_price) == (Decimal("0.0001"), Decimal("0.0001"))


def test_a_price_that_comes_late_is_the_first_and_one_that_goes_leaves_it() -> None:
    bare = item_document()
    del bare["offer"]
    prices = []
    for seconds, document in ((1, bare), (2, item_document(offer={"price": 12})), (3, bare)):
        see(trade_snapshot(updatedAt=at(seconds), items=[document]))
        prices.append((item_of().price, item_of().first_price))

    assert prices == [(None, None), (Decimal(12), Decimal(12)), (None, Decimal(12))]


def test_a_trade_that_is_new_has_the_status_that_it_came_with_whatever_that_means() -> None:
    see(trade_snapshot(status="frozen", items=[item_document(status="frozen")]))

    assert (Trade.objects.get().status, item_of().status) == ("frozen", "frozen")


def test_a_delivery_whose_document_has_no_time_is_applied_and_shows_nothing_of_when_an_item_was_open() -> None:
    see(trade_snapshot(updatedAt=at(1)))
    asked = ask(item_of())

    assert deliver(news(updatedAt=None)).verdict == Verdict.APPLIED

    asked.refresh_from_db()
    assert asked.seen_open_at is None


@pytest.mark.parametrize("game", ["730", "252490", None])
def test_only_a_withdrawal_of_cs2_is_marked_as_one(game: str | None) -> None:
    see(trade_snapshot(game=game))

    assert item_of().is_cs2_withdrawal is (game == "730")


def test_an_item_without_a_status_has_its_trades_and_one_with_a_status_its_own() -> None:
    bare = item_document("bare")
    del bare["status"]
    see(trade_snapshot(status="hold", items=[bare, item_document("own", status="completed")]))

    assert (item_of(item_id="bare").status, item_of(item_id="own").status) == ("hold", "completed")
    assert (item_of(item_id="bare").position, item_of(item_id="own").position) == (0, 1)


LAST = datetime(9000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("created", "is_known"), [(LAST, True), (LAST + timedelta(milliseconds=1), False)])
def test_a_creation_after_the_end_of_the_calendar_is_none(created: datetime, is_known: bool) -> None:
    see(trade_snapshot(createdAt=stamp(created)))

    trade = Trade.objects.get()
    assert (trade.opened_at, trade.is_opened_at_known) == (created if is_known else NOON, is_known)


def test_the_earliest_creation_that_anybody_told_counts() -> None:
    early, late = NOON - timedelta(hours=2), NOON - timedelta(hours=1)
    opened = []
    for seconds, created in enumerate((None, late, early, late)):
        see(trade_snapshot(updatedAt=at(seconds), createdAt=created and stamp(created)))
        opened.append((Trade.objects.get().opened_at, item_of().opened_at))

    assert opened == [(NOON, NOON), (late, late), (early, early), (early, early)]


def test_a_price_that_comes_without_a_time_counts_as_the_latest() -> None:
    def priced(price: int, updated: str | None) -> None:
        see(trade_snapshot(updatedAt=updated, items=[item_document(offer={"price": price})]))

    priced(9, None)
    assert item_of().first_price == 9
    priced(8, None)
    assert item_of().first_price == 8
    priced(12, at(1))
    assert (item_of().first_price, item_of().price) == (12, 12)
    priced(7, None)
    assert (item_of().first_price, item_of().price) == (12, 12)
    priced(11, at(0))
    assert (item_of().first_price, item_of().price) == (11, 12)


def test_two_different_ends_are_remembered_and_one_that_is_repeated_is_no_other() -> None:
    see(trade_snapshot(items=[item_document(status="canceled")]))
    see(trade_snapshot(updatedAt=at(1), items=[item_document(status="canceled")]))
    see(trade_snapshot(updatedAt=at(2), items=[item_document(status="reverted")]))
    assert (item_of().ended_as, item_of().has_conflicting_ends) == ("canceled", False)

    see(trade_snapshot(updatedAt=at(3), items=[item_document(status="completed")]))
    assert item_of().has_conflicting_ends is True


def test_what_was_ever_said_of_who_and_what_stays_in_its_order() -> None:
    items = [item_document("b", assetId="2"), item_document("a", assetId="1"), item_document("c")]
    see(trade_snapshot(items=items, error="PURCHASE_FAILED"))
    see(trade_snapshot(updatedAt=at(1), revertedBy="user", items=items[2:]))

    signs = ["asset_of=a", "asset_of=b", "error=PURCHASE_FAILED", "reverted_by=user"]
    assert Trade.objects.get().signs == signs


def test_the_newest_document_gives_the_columns_whatever_comes_after_it() -> None:
    for seconds, name in ((5, "newest"), (1, "older"), (0, "oldest")):
        items = [item_document("first"), item_document(name=name)]
        see(trade_snapshot(updatedAt=at(seconds), externalId=name, items=items[seconds == 0 :]))

    trade = Trade.objects.get()
    assert (trade.external_id, item_of().name, item_of().position) == ("newest", "newest", 1)
    assert (trade.reported_at, item_of().reported_at) == (NOON + timedelta(seconds=5),) * 2


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (Decimal("1.5"), "1.5000"),
        (datetime(2026, 3, 2, 13, tzinfo=UTC), "2026-03-02T13:00:00+00:00"),
        ("text", "text"),
    ],
)
def test_what_the_log_keeps_of_a_value(value: object, kept: object) -> None:
    assert plain(value) == kept
    assert type(plain(value)) is type(kept)


# --- What a snapshot leaves -------------------------------------------------------------------------------


def test_what_appeared_is_told_by_what_is_known_of_it() -> None:
    appeared = see(trade_snapshot())

    logged = AuditEntry.objects.get(action="item.appeared")
    assert logged.after["status"] == "pending"
    assert not {None, ""} & set(logged.after.values())
    assert AuditEntry.objects.get(action="trade.appeared").after == {"status": "pending"}
    assert appeared.changes == ("Trade: new, pending", "AK-47 | Redline (Field-Tested): new, pending")


def test_a_change_is_told_in_words_from_what_to_what() -> None:
    see(trade_snapshot())
    changed = see(
        trade_snapshot(
            updatedAt=at(1),
            status="reverted",
            revertedBy="user",
            externalId="order-1",
            items=[item_document(status="reverted", wear="0.1")],
        )
    )
    named = see(trade_snapshot(updatedAt=at(2), status="reverted", revertedBy="user", externalId="order-2"))

    assert changed.changes == (
        "Trade: reverted by user, pending → reverted",
        "AK-47 | Redline (Field-Tested): pending → reverted",
        "AK-47 | Redline (Field-Tested): refund in_review",
    )
    assert named.changes[0].startswith("Trade: ")
    assert "external_id" in named.changes[0]
    logged = AuditEntry.objects.get(action="item.changed", after__status="reverted")
    assert (logged.before["status"], logged.before["wear"], logged.after["wear"]) == ("pending", None, "0.1")


def test_a_message_that_changes_nothing_says_only_when_it_was_seen() -> None:
    see(trade_snapshot())
    later = NOON + timedelta(minutes=1)

    again = see(trade_snapshot(), now=later)

    trade = Trade.objects.get()
    assert (again.trade, again.changes, trade.last_seen_at, trade.first_seen_at) == (trade, (), later, NOON)


def test_only_a_change_of_status_brings_new_evidence_and_a_new_moment() -> None:
    see(trade_snapshot())
    first = Read.objects.get()

    see(trade_snapshot(updatedAt=at(1), items=[item_document(wear="0.1")]), now=NOON + timedelta(minutes=1))
    assert (item_of().status_read, item_of().status_changed_at) == (first, NOON)

    told = deliver(news(updatedAt=at(2), items=[item_document(status="hold")]), now=NOON + timedelta(minutes=2))
    item = item_of()
    assert (item.status_read, item.status_delivery) == (None, told)
    assert item.status_changed_at == NOON + timedelta(minutes=2)


def test_an_item_that_comes_later_is_new_and_the_others_are_not() -> None:
    see(trade_snapshot())
    see(trade_snapshot(updatedAt=at(1), items=[item_document(), item_document("item-two", status="reverted")]))

    two = item_of(item_id="item-two")
    assert (two.status_read is not None, two.status_changed_at, Item.objects.count()) == (True, NOON, 2)
    assert AuditEntry.objects.filter(action="item.appeared").count() == 2
    assert Refund.objects.get().item == two


@pytest.mark.parametrize("known_of", ["signed", "told"])
def test_a_delivery_shows_an_item_open_at_the_earlier_of_its_two_times(known_of: str) -> None:
    see(trade_snapshot())
    Cancellation.objects.filter(pk=ask(item_of()).pk).update(state="uncertain")
    early, late = NOON + timedelta(seconds=10), NOON + timedelta(seconds=20)
    signed_at, told = (early, late) if known_of == "signed" else (late, early)

    deliver(news(updatedAt=stamp(told)), now=late, signed_at=signed_at)

    assert Cancellation.objects.get().seen_open_at == early


@pytest.mark.parametrize(
    ("status", "own", "is_shown"),
    [("pending", None, True), ("reverted", "pending", True), ("pending", "reverted", False), ("frozen", None, False)],
)
def test_what_a_message_does_not_show_open_is_not_seen_open(status: str, own: str | None, is_shown: bool) -> None:
    see(trade_snapshot())
    Cancellation.objects.filter(pk=ask(item_of()).pk).update(state="uncertain")
    item = item_document(status=own)
    if own is None:
        del item["status"]

    see(trade_snapshot(updatedAt=at(-7200), status=status, items=[item]), now=NOON + timedelta(minutes=1))

    assert (Cancellation.objects.get().seen_open_at is not None) is is_shown


def test_a_message_without_a_time_shows_nothing_open() -> None:
    see(trade_snapshot())
    Cancellation.objects.filter(pk=ask(item_of()).pk).update(state="uncertain")

    deliver(news(updatedAt=None))

    assert Cancellation.objects.get().seen_open_at is None


# --- Reading back -----------------------------------------------------------------------------------------


@pytest.fixture
def control(settings: Settings) -> Iterator[SandboxControl]:
    with running_sandbox(client_trade_lookup=True) as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_MERCHANT_ID = sandbox.base_url, sandbox.merchant_id
        settings.ASSETPAY_API_SECRETS, settings.ASSETPAY_API_KEY = list(sandbox.secrets), sandbox.api_key
        yield sandbox.control


def brought_in(control: SandboxControl, many: int) -> list[Any]:
    ids = [control.make_trade(announce=False)["id"] for _ in range(many)]
    return import_trades(ids, origin=BY_HAND, now=NOON)


@pytest.mark.parametrize(("per_minute", "seconds", "many"), [(1, 60, 1), (2, 60, 2), (1, 30, 1), (3, 40, 2)])
def test_as_many_are_read_as_the_limit_allows_in_the_time(
    control: SandboxControl, settings: Settings, per_minute: int, seconds: int, many: int
) -> None:
    assert len(brought_in(control, 3)) == 3
    later = NOON + timedelta(hours=1)
    settings.ASSETPAY_API_KEY, settings.READS_PER_MINUTE, settings.RECONCILE_SECONDS = "", per_minute, seconds

    assert reconcile(now=later) == 0

    assert Trade.objects.filter(checked_at=later).count() == many


def test_a_reading_back_counts_what_changed_and_says_that_it_worked(control: SandboxControl) -> None:
    first, _ = (mirrored.trade for mirrored in brought_in(control, 2))
    control.change_trade(first.assetpay_id, status="reverted", announce=False)
    later = NOON + timedelta(hours=1)

    assert reconcile(now=later) == 1
    assert (ReadState.objects.get().succeeded_at, ReadState.objects.get().failed_at) == (later, None)
    assert reconcile_trades.func() == 0
    logged = AuditEntry.objects.filter(action="trade.changed").latest("number")
    assert (logged.source, logged.at) == ("read", later)


def test_a_reading_back_that_fails_is_kept_with_its_reason(control: SandboxControl) -> None:
    brought_in(control, 1)
    control.fault("error", times=9, key="WEATHER_TOO_BAD", status=500)
    later = NOON + timedelta(hours=1)

    with pytest.raises(AssetPayError):
        reconcile(now=later)

    state = ReadState.objects.get()
    assert (state.succeeded_at, state.failed_at, "WEATHER_TOO_BAD" in state.failure) == (None, later, True)
    assert reconcile_trades.func() == 0
    assert Trade.objects.filter(checked_at__gt=later).count() == 1


def test_a_check_by_hand_says_when_assetpay_answered(control: SandboxControl) -> None:
    (mirrored,) = brought_in(control, 1)
    later = NOON + timedelta(hours=1)

    checked = check_trade(trade_id=mirrored.trade.pk, actor_origin=BY_HAND, now=later)

    trade = Trade.objects.get()
    assert (checked.trade, checked.changes) == (trade, ())
    assert (trade.checked_at, trade.answered_at, trade.last_seen_at) == (later, later, later)
