"""What a snapshot becomes here: columns, the first price, what is unknown, and who follows."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import ask, item_of, see
from tests.wire import NOON, TRADE_URL, item_document, stamp, trade_snapshot
from withdrawals.actions.trades import mirror_trade
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.models import AuditEntry, Cancellation, CancellationState, Evidence, Item, Read, Refund, Trade

pytestmark = pytest.mark.django_db


def at(seconds: int) -> str:
    return stamp(NOON + timedelta(seconds=seconds))


def test_the_first_price_is_kept_beside_the_latest() -> None:
    see(trade_snapshot(updatedAt=at(1), items=[item_document(offer={"price": Decimal("12.34")})]))
    see(trade_snapshot(updatedAt=at(2), items=[item_document(offer={"price": Decimal("11.90")})]))

    item = item_of()
    assert (item.first_price, item.price) == (Decimal("12.3400"), Decimal("11.9000"))


def test_a_number_that_is_kept_as_text_is_told_once() -> None:
    """The count of an item is a number on the wire; each newer document once wrote an entry that changed nothing."""
    for seconds in (1, 2, 3):
        see(trade_snapshot(updatedAt=at(seconds), items=[item_document(amount=1)]))

    assert item_of().amount == "1"
    assert AuditEntry.objects.get(action="item.appeared").after["amount"] == "1"
    assert not AuditEntry.objects.filter(action="item.changed").exists()


def test_two_trades_may_hold_items_of_the_same_id() -> None:
    see(trade_snapshot("trade-one"))
    see(trade_snapshot("trade-two"))

    assert Item.objects.filter(assetpay_id="item-one").count() == 2


def test_ids_need_not_be_uuids() -> None:
    see(trade_snapshot("order/7 ä?#", items=[item_document("730:2:14923")]))

    assert item_of("order/7 ä?#", "730:2:14923").status == "pending"


def test_p5_an_unknown_status_is_shown_and_changes_nothing() -> None:
    see(trade_snapshot(updatedAt=at(1)))
    see(trade_snapshot(updatedAt=at(2), status="frozen", items=[item_document(status="frozen")]))

    item = item_of()
    assert (item.status, item.unknown_status) == ("pending", "frozen")


def test_an_item_that_a_later_message_lacks_stays() -> None:
    see(trade_snapshot(updatedAt=at(1), items=[item_document("item-a"), item_document("item-b")]))
    see(trade_snapshot(updatedAt=at(2), items=[item_document("item-a")]))

    assert Item.objects.count() == 2


def test_a_deposit_is_not_mirrored() -> None:
    snapshot = trade_snapshot(type="deposit")
    read = Read(route="secure", read_at=NOON, body_sha256="0" * 64, document="{}")

    mirrored = mirror_trade(snapshot, evidence=Evidence(read=read), origin=None, now=NOON)  # type: ignore[arg-type]

    assert mirrored.trade is None
    assert not Trade.objects.exists()


def test_text_longer_than_its_column_is_cut_and_the_document_keeps_all() -> None:
    long_name = "x" * 5_000

    see(trade_snapshot(items=[item_document(marketHashName=long_name)]))

    item = item_of()
    assert 0 < len(item.market_hash_name or "") <= 300
    assert long_name in item.document


def test_an_item_that_comes_back_undone_confirms_its_cancellation_and_opens_its_refund() -> None:
    see(trade_snapshot())
    cancellation = ask(item_of())

    see(trade_snapshot(updatedAt=at(1), status="reverted", items=[item_document(status="reverted")]))

    cancellation.refresh_from_db()
    refund = Refund.objects.get()
    assert cancellation.state == CancellationState.CONFIRMED
    assert (refund.state, refund.cause, refund.amount) == ("due", "undone", Decimal(12))


def test_an_item_that_is_delivered_after_all_overtakes_its_cancellation_and_owes_nothing() -> None:
    see(trade_snapshot())
    ask(item_of())

    see(trade_snapshot(updatedAt=at(1), status="completed", items=[item_document(status="completed")]))

    assert Cancellation.objects.get().state == CancellationState.OVERTAKEN
    assert not Refund.objects.exists()


def test_each_fact_writes_one_entry_and_a_repeated_message_none() -> None:
    see(trade_snapshot())
    appeared = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    see(trade_snapshot(updatedAt=at(1), status="active", items=[item_document(status="active")]))
    see(trade_snapshot(updatedAt=at(1), status="active", items=[item_document(status="active")]))

    actions = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    assert appeared == ["trade.appeared", "item.appeared"]
    assert actions[2:] == ["trade.changed", "item.changed"]


def test_a_read_is_kept_only_where_it_changed_something() -> None:
    see(trade_snapshot())
    see(trade_snapshot())

    assert Read.objects.count() == 1


def test_money_stays_decimal_to_the_last_digit_that_is_kept() -> None:
    document = b'{"id":"t","type":"withdraw","status":"pending","items":[{"id":"i","offer":{"price":0.1}}]}'
    from withdrawals.assetpay.documents import parse_json  # noqa: PLC0415

    see(read_trade(parse_json(document)))

    assert item_of("t", "i").first_price == Decimal("0.1000")


@pytest.mark.parametrize("spelt", ["token=", "Token=", "token%3D"])
def test_the_log_never_holds_the_token_of_a_trade_link(spelt: str) -> None:
    link = TRADE_URL.replace("token=", spelt)
    see(trade_snapshot(updatedAt=at(1), clientTradeUrl=link))
    see(trade_snapshot(updatedAt=at(2), clientTradeUrl=link.replace("AbCdEfGh", "ZzYyXxWw")))

    entry = AuditEntry.objects.latest("number")
    assert entry.after["client_trade_url"].endswith(f"{spelt}•••")
    logged = "".join(str([entry.before, entry.after]) for entry in AuditEntry.objects.all())
    assert "AbCdEfGh" not in logged
    assert "ZzYyXxWw" not in logged
