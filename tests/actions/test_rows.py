"""Reading and writing past the query compiler gives what the ORM gives, for every column, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext

from tests.factories import DeliveryFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory
from withdrawals.actions.rows import (
    ROWS_AT_ONCE,
    append_and_write,
    append_rows,
    append_unless_there,
    new_row,
    read_locked,
    read_locked_among,
    write_columns,
)
from withdrawals.models import AuditEntry, AuditHead, Delivery, Item, Refund, Source, Trade, Verdict
from withdrawals.models.money import UsdField

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


def odd_value(row: models.Model, field: models.Field[Any, Any]) -> Any:
    """A value of the field's kind that a careless conversion would lose; None where references are concerned."""
    match field:
        case models.ForeignKey():
            return getattr(row, field.attname)
        case UsdField():
            return Decimal("12345678.9012")
        case models.DateTimeField():
            return MOMENT
        case models.BooleanField():
            return not getattr(row, field.attname)
        case models.JSONField():
            return {"ключ": ["é\u202e", 1, None, True]} if isinstance(getattr(row, field.attname), dict) else ["1", "ü"]
        case models.BinaryField():
            return b"\x00\xff{}"
        case models.CharField() if field.choices:
            return getattr(row, field.attname)
        case models.CharField() | models.TextField():
            return "x'\"%s;é\U0001f600"[: field.max_length or 20]
        case _:
            return 7


FACTORIES: dict[type[models.Model], Callable[[], models.Model]] = {
    Trade: TradeFactory,
    Item: ItemFactory,
    Delivery: partial(DeliveryFactory, verdict=Verdict.NOTED),
}


def values(row: models.Model) -> dict[str, Any]:
    found = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in found.items()}


def rows_of_every_kind() -> list[models.Model]:
    trade = TradeFactory()
    entry = AuditEntry(
        number=1, at=MOMENT, actor=UserFactory(), actor_name="a", action="b", trade=trade, source=Source.READ
    )
    entry.previous_hash, entry.hash = "0" * 64, "1" * 64
    entry.save()
    return [trade, ItemFactory(trade=trade), DeliveryFactory(trade=trade), entry, AuditHead.objects.get(pk=1)]


def test_what_is_read_is_what_the_orm_reads() -> None:
    for row in rows_of_every_kind():
        with transaction.atomic():
            (found,) = read_locked(type(row), id=row.pk)
        assert values(found) == values(type(row)._base_manager.get(pk=row.pk))
        assert type(found) is type(row)
        assert not found._state.adding


def test_what_is_new_is_what_the_model_makes() -> None:
    for kept in rows_of_every_kind():
        model = type(kept)
        given = {each.attname: odd_value(kept, each) for each in model._meta.concrete_fields[1:3]}

        for values_given in ({}, given):
            fresh, other, by_the_model = (make(**values_given) for make in (make_new(model), make_new(model), model))

            assert values(fresh) == values(by_the_model)
            assert vars(fresh).keys() == vars(by_the_model).keys()
            assert fresh._state.adding
            assert fresh._state.db is None
            own = [name for name, value in values(fresh).items() if isinstance(value, dict | list)]
            assert not any(getattr(fresh, name) is getattr(other, name) for name in own if name not in values_given)


def make_new(model: type[models.Model]) -> Callable[..., models.Model]:
    return partial(new_row, model)


def test_every_column_that_is_written_reads_back() -> None:
    # The log's entries are never written again; the database would refuse it.
    for row in [row for row in rows_of_every_kind() if not isinstance(row, AuditEntry)]:
        columns = [field for field in row._meta.concrete_fields if not field.primary_key]
        for field in columns:
            setattr(row, field.attname, odd_value(row, field))
        write_columns([row], [field.name for field in columns])
        assert values(type(row)._base_manager.get(pk=row.pk)) == values(row)


@pytest.mark.parametrize("model", [Trade, Item, Delivery])
def test_every_column_of_many_rows_reads_back(model: type[models.Model]) -> None:
    # Several go to PostgreSQL in another way than one.
    first, second = FACTORIES[model](), FACTORIES[model]()
    columns = [field for field in model._meta.concrete_fields if not field.primary_key and not field.unique]
    for field in columns:
        setattr(first, field.attname, odd_value(first, field))
        if field.null:
            setattr(second, field.attname, None)

    write_columns([first, second], [field.name for field in columns])

    for row in (first, second):
        assert values(model._base_manager.get(pk=row.pk)) == values(row)

    model._base_manager.filter(pk__in=[first.pk, second.pk]).delete()
    append_rows([first, second])

    for row in (first, second):
        assert values(model._base_manager.get(pk=row.pk)) == values(row)


def test_one_of_many_that_is_gone_is_not_passed_over() -> None:
    here, gone = TradeFactory(), Trade(pk=987_654, assetpay_id="nowhere")
    with pytest.raises(RuntimeError, match="2 rows of Trade were to be written, 1 were"):
        write_columns([here, gone], ["assetpay_id"])


def test_a_moment_is_kept_in_utc_whatever_its_zone() -> None:
    item = ItemFactory()
    for moment in (MOMENT, MOMENT.replace(microsecond=0), MOMENT.astimezone(timezone(timedelta(hours=-7)))):
        item.opened_at = moment

        write_columns([item], ["opened_at"])

        with transaction.atomic():
            (found,) = read_locked(Item, id=item.pk)
        assert found.opened_at == Item.objects.get(opened_at=moment).opened_at == moment
        assert found.opened_at.tzinfo is UTC


def test_a_null_stays_one() -> None:
    item = ItemFactory(price=Decimal(3), error="late")
    item.price = item.error = None
    write_columns([item], ["price", "error"])
    kept = Item.objects.get(pk=item.pk)
    assert (kept.price, kept.error) == (None, None)


def entries_of(trade: Trade) -> list[AuditEntry]:
    return [
        AuditEntry(
            number=number,
            at=MOMENT,
            actor_name="x'\"%s",
            action="trade.changed",
            trade=trade,
            before={},
            after={"é": "\u202e", "n": None},
            source=Source.CALLBACK,
            previous_hash=str(number) * 64,
            hash=str(number + 1) * 64,
        )
        for number in (1, 2)
    ]


def test_what_is_appended_reads_back() -> None:
    entries = entries_of(TradeFactory())
    append_rows(entries)
    for entry, found in zip(entries, AuditEntry.objects.order_by("number"), strict=True):
        assert values(found) == values(entry)


@pytest.mark.parametrize("how_many", [1, 2])
def test_what_is_appended_beside_a_row_that_is_written_reads_back(how_many: int) -> None:
    trade = TradeFactory()
    entries, trade.status = entries_of(trade)[:how_many], "completed"

    append_and_write(entries, trade, ["status"])

    for entry, found in zip(entries, AuditEntry.objects.order_by("number"), strict=True):
        assert values(found) == values(entry) | {"id": found.pk}
    assert Trade.objects.get().status == "completed"


def test_nothing_is_appended_beside_a_row_that_is_gone() -> None:
    entries = entries_of(TradeFactory())
    with pytest.raises(RuntimeError, match="1 rows of AuditHead"), transaction.atomic():
        append_and_write(entries, AuditHead(pk=987_654), ["number"])
    assert not AuditEntry.objects.exists()


def test_what_is_inserted_reads_back_by_its_key() -> None:
    for row in [TradeFactory(), DeliveryFactory(), ItemFactory(), RefundFactory()]:
        type(row)._base_manager.filter(pk=row.pk).delete()
        # A refund's amounts and people belong together, as its constraints say.
        for field in [] if isinstance(row, Refund) else row._meta.concrete_fields:
            if not field.primary_key:
                setattr(row, field.attname, odd_value(row, field))
        row.pk = None

        append_rows([row])

        assert values(type(row)._base_manager.get(pk=row.pk)) == values(row)
        assert not row._state.adding


def test_each_of_many_has_its_own_key() -> None:
    trades = TradeFactory.build_batch(ROWS_AT_ONCE + 1)

    with CaptureQueriesContext(connection) as queries:
        append_rows(trades)

    assert len(queries) == 2
    kept = dict(Trade.objects.values_list("pk", "assetpay_id"))
    assert kept == {trade.pk: trade.assetpay_id for trade in trades}


def test_what_must_be_unique_is_inserted_once() -> None:
    trade = TradeFactory()
    again, other = TradeFactory.build(assetpay_id=trade.assetpay_id), TradeFactory.build()

    assert not append_unless_there(again)
    assert append_unless_there(other)

    assert again.pk is None
    assert list(Trade.objects.order_by("pk")) == [trade, other]


def test_of_several_it_is_told_whether_all_are_there() -> None:
    kept = TradeFactory()
    first, second, again = TradeFactory.build(), TradeFactory.build(), TradeFactory.build(assetpay_id=kept.assetpay_id)

    assert append_unless_there(first, second)
    assert list(Trade.objects.order_by("pk")) == [kept, first, second]
    assert not append_unless_there(TradeFactory.build(), again)
    assert again.pk is None


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("several", [0, 1, 2, 5])
def test_rows_among_several_are_what_the_orm_reads(several: int, waits: bool) -> None:
    trades = TradeFactory.create_batch(several + 1)
    for trade in trades:
        ItemFactory.create_batch(2, trade=trade)
    ids = [trade.assetpay_id for trade in reversed(trades[:several])]

    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        found = read_locked_among(Trade, "assetpay_id", [*ids, "nowhere"] if several else [], waits=waits)
        items = read_locked_among(Item, "trade", [trade.pk for trade in found], waits=waits)

    assert [values(row) for row in found] == [values(row) for row in trades[:several]]
    assert [values(row) for row in items] == [
        values(row) for row in Item.objects.filter(trade__in=found).order_by("pk")
    ]
    assert len([query for query in queries if "SELECT" in query["sql"]]) == 2 * bool(several)


def test_no_other_constraint_is_passed_over_with_it() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        append_unless_there(DeliveryFactory.build(verdict="nonsense"))


def test_many_rows_are_one_statement_each_way() -> None:
    trade = TradeFactory()
    items = ItemFactory.create_batch(20, trade=trade)
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        assert [item.pk for item in read_locked(Item, trade=trade.pk)] == [item.pk for item in items]
    assert len([query for query in queries if "SELECT" in query["sql"]]) == 1
    with CaptureQueriesContext(connection) as queries:
        write_columns(items, ["status"])
    assert len(queries) == 1


def test_a_row_that_is_gone_is_not_written_in_silence() -> None:
    trade = Trade(pk=987_654, assetpay_id="nowhere")
    with pytest.raises(RuntimeError, match="1 rows of Trade"):
        write_columns([trade], ["assetpay_id"])


def test_nothing_to_do_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        write_columns([], ["status"])
        write_columns([TradeFactory.build(pk=1)], [])
        append_rows([])
    assert not queries.captured_queries
    assert read_locked(Delivery, delivery_id="none") == []
