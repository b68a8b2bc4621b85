"""Rows of the busiest path, past the ORM's query compiler, which costs more there than the database does.

The statements are those that the ORM would make, with the same conversions both ways, but that many rows go to
PostgreSQL as one value; `tests/actions/test_rows.py` holds them together for every column of every model that passes
here.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import batched
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models import Field, Model
from django.db.models.base import ModelState

from withdrawals.models.prepared import planned_once

Converters = tuple[tuple[int, tuple[Callable[..., Any], ...], Any], ...]
# The attribute that holds a column's value, the kind of value that the database takes as it is, if there is one, and
# what makes of any other what the database takes.
Writers = tuple[tuple[str, type | None, Callable[..., Any]], ...]
# The statement, the names of its columns, and what turns each value into what the model holds.
Selection = tuple[str, list[str], Converters]
# By the very class of the column: one of ours that is built on these may keep its values in another way.
TAKEN_AS_IT_IS: dict[type, type] = {
    models.CharField: str,
    models.TextField: str,
    models.BooleanField: bool,
    models.BigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    # All our keys are numbers.
    models.ForeignKey: int,
    models.OneToOneField: int,
}
# SQLite takes 32,766 values in one statement.
ROWS_AT_ONCE = 500


def read_locked[Row: Model](model: type[Row], **exactly: Any) -> list[Row]:
    """The rows whose columns hold exactly these values, by key, locked until the transaction ends.

    Locked without their key, as everywhere here, so that a reference to a row need not wait for its writer.
    """
    database = connections[DEFAULT_DB_ALIAS]
    values = [_field(model, name).get_db_prep_save(value, database) for name, value in exactly.items()]
    return _selected(model, _selection(model, tuple(exactly), database.vendor), values)


def read_locked_among[Row: Model](model: type[Row], name: str, among: Sequence[Any], *, waits: bool) -> list[Row]:
    """The rows whose column `name` holds one of these values, by key, locked until the transaction ends.

    Where it does not wait: OperationalError as soon as somebody else has locked one of them.
    """
    if not among:
        return []
    database = connections[DEFAULT_DB_ALIAS]
    values = [_field(model, name).get_db_prep_save(value, database) for value in among]
    # PostgreSQL takes a list as one value, so that its statement is the same for any number of them.
    given, marks = ([values], 1) if database.vendor == "postgresql" else (values, len(values))
    return _selected(model, _selection(model, (name,), database.vendor, among=marks, waits=waits), given)


def _selected[Row: Model](model: type[Row], selection: Selection, values: list[Any]) -> list[Row]:
    statement, fields, converters = selection
    with planned_once() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchall()
    return [_kept_row(model, zip(fields, _converted(row, converters), strict=True)) for row in found]


def new_row[Row: Model](model: type[Row], **values: Any) -> Row:
    """What `model(**values)` makes, its references given by their keys, at a tenth of the cost."""
    row = model.__new__(model)
    constants, makers = _defaults(model)
    row.__dict__.update(constants)
    for name, make in makers:
        row.__dict__[name] = make()
    row.__dict__.update(values)
    row._state = ModelState()
    return row


def write_columns(rows: Sequence[Model], names: Sequence[str]) -> None:
    """Write the named columns of rows that exist, in one round trip. Raises RuntimeError where a row is gone."""
    if not rows or not names:
        return
    model = type(rows[0])
    statement, writers = _update(model, tuple(names))
    with planned_once() as cursor:
        if len(rows) == 1:
            cursor.execute(statement, [*_values(rows[0], writers), rows[0].pk])
        elif connection.vendor == "postgresql":
            cursor.execute(_update_of_many(model, tuple(names)), [_as_json(rows, (*names, "id"))])
        else:
            cursor.executemany(statement, [[*_values(row, writers), row.pk] for row in rows])
        _expect(cursor.rowcount, rows)


def append_rows(rows: Sequence[Model]) -> None:
    """Insert new rows, five hundred in one statement; they have their keys then."""
    for some in batched(rows, ROWS_AT_ONCE):
        for row, (key,) in zip(some, _insert(some, ""), strict=True):
            _note_kept(row, key)


def append_and_write(new: Sequence[Model], row: Model, names: Sequence[str]) -> None:
    """Insert new rows, and write the named columns of one that exists; in one round trip on PostgreSQL.

    The new ones do not learn their keys. Raises RuntimeError where the one that exists is gone.
    """
    if connection.vendor != "postgresql":
        append_rows(new)
        write_columns([row], names)
        return
    update, writers = _update(type(row), tuple(names))
    columns = _columns(type(new[0]))
    statement = f"WITH appended AS ({_insertion_of_many(type(new[0]))}) {update}"
    with planned_once() as cursor:
        cursor.execute(statement, [_as_json(new, columns), *_values(row, writers), row.pk])
        _expect(cursor.rowcount, [row])


def append_unless_there(*rows: Model) -> bool:
    """Insert new rows, and whether all are: False where others have what must be unique, once those are certain.

    Of several nobody knows then which are inserted, so the caller has to roll back.
    """
    keys = _insert(rows, "ON CONFLICT DO NOTHING")
    if len(keys) != len(rows):
        return False
    for row, (key,) in zip(rows, keys, strict=True):
        _note_kept(row, key)
    return True


def _insert(rows: Sequence[Model], otherwise: str) -> list[tuple[Any, ...]]:
    """The keys of the rows that were inserted, in their order."""
    model = type(rows[0])
    if len(rows) > 1 and connection.vendor == "postgresql":
        statement, values = _insertion_of_many(model), [_as_json(rows, _columns(model))]
    else:
        beginning, marks, writers = _insertion(model)
        statement = f"{beginning} VALUES {', '.join([marks] * len(rows))}"
        values = [value for row in rows for value in _values(row, writers)]
    with planned_once() as cursor:
        cursor.execute(f"{statement} {otherwise} RETURNING id", values)
        keys: list[tuple[Any, ...]] = cursor.fetchall()
    return keys


def _expect(written: int, rows: Sequence[Model]) -> None:
    if written not in (-1, len(rows)):
        name = type(rows[0]).__name__
        raise RuntimeError(f"{len(rows)} rows of {name} were to be written, {written} were.")


def _as_json(rows: Sequence[Model], names: tuple[str, ...]) -> str:
    """Many rows as one value, so that a statement is the same for any number of them; PostgreSQL makes rows of it."""
    writers = _writers(type(rows[0]), names)
    columns = [_field(type(rows[0]), name).column for name in names]
    return _encode([dict(zip(columns, _values(row, writers), strict=True)) for row in rows])


def _in_json(value: Any) -> Any:
    """What PostgreSQL's own reading of a column's text takes for a value that JSON does not know."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return f"\\x{bytes(value).hex()}"
    # A document, as the driver wraps it.
    return value.obj


_encode = json.JSONEncoder(default=_in_json, check_circular=False).encode


def _kept_row[Row: Model](model: type[Row], values: Iterable[tuple[str, Any]]) -> Row:
    """What `from_db` makes of the values, without asking each column; nobody listens for the making of our models."""
    row = model.__new__(model)
    row.__dict__.update(values)
    row._state = ModelState()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    return row


@cache
def _defaults(model: type[Model]) -> tuple[dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...]]:
    """What each column of a new row holds, and what makes it where each row has its own."""
    fields = model._meta.concrete_fields
    makers = tuple(
        (str(each.attname), each.default) for each in fields if each.has_default() and callable(each.default)
    )
    own = {name for name, _ in makers}
    return {str(each.attname): each.get_default() for each in fields if each.attname not in own}, makers


def _note_kept(row: Model, key: int) -> None:
    row.pk = key
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def _values(row: Model, writers: Writers) -> list[Any]:
    database = connections[DEFAULT_DB_ALIAS]
    values = []
    # Rows here are whole: nothing of them is still to be fetched.
    held = row.__dict__
    for attribute, kind, prepare in writers:
        value = held[attribute]
        # Nothing is nothing in every kind of column.
        values.append(value if value is None or type(value) is kind else prepare(value, database))
    return values


@cache
def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return cast(Field[Any, Any], model._meta.get_field(name))


@cache
def _writers(model: type[Model], names: tuple[str, ...]) -> Writers:
    fields = [_field(model, name) for name in names]
    return tuple((str(each.attname), TAKEN_AS_IT_IS.get(type(each)), _preparing(each)) for each in fields)


def _preparing(field: Field[Any, Any]) -> Callable[..., Any]:
    if type(field) is models.DateTimeField:
        # What Django does beside this is for a time without its zone, and nobody here has one.
        return _written_moment
    # Nor has one of our documents an encoder of its own, or is an expression.
    return _written_document if type(field) is models.JSONField else field.get_db_prep_save


def _written_document(value: Any, database: Any) -> Any:
    return database.ops.adapt_json_value(value, None)


def _written_moment(value: datetime, database: Any) -> Any:
    if database.vendor == "sqlite" and value.tzinfo is UTC:
        return value.replace(tzinfo=None).isoformat(" ")
    return database.ops.adapt_datetimefield_value(value)


def _read_moment(value: datetime | None, *_: object) -> datetime | None:
    # As SQLite's driver has read it already; Django asks its settings for the zone each time.
    return value if value is None else value.replace(tzinfo=UTC)


def _quoted(model: type[Model], name: str) -> str:
    return connection.ops.quote_name(str(_field(model, name).column))


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> tuple[str, Writers]:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(f"{_quoted(model, name)} = %s" for name in names)
    statement = f"UPDATE {table} SET {columns} WHERE {connection.ops.quote_name('id')} = %s"  # noqa: S608 # our own names
    return statement, _writers(model, names)


@cache
def _update_of_many(model: type[Model], names: tuple[str, ...]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(f"{_quoted(model, name)} = given.{_quoted(model, name)}" for name in names)
    return f"UPDATE {table} SET {columns} FROM {_given(table)} given WHERE {table}.id = given.id"  # noqa: S608 # our own names


@cache
def _insertion_of_many(model: type[Model]) -> str:
    beginning, _, _ = _insertion(model)
    columns = ", ".join(_quoted(model, name) for name in _columns(model))
    return f"{beginning} SELECT {columns} FROM {_given(connection.ops.quote_name(model._meta.db_table))} given"  # noqa: S608 # our own names


def _given(table: str) -> str:
    """The rows of one JSON value (`_as_json`), of the kinds that the table's columns have."""
    return f"json_populate_recordset(NULL::{table}, %s::json)"


@cache
def _columns(model: type[Model]) -> tuple[str, ...]:
    """All but the key."""
    return tuple(field.name for field in model._meta.concrete_fields if not field.primary_key)


@cache
def _insertion(model: type[Model]) -> tuple[str, str, Writers]:
    """How a statement begins that inserts, the marks of one row, and what fills them: all but the key."""
    names = _columns(model)
    table, columns = connection.ops.quote_name(model._meta.db_table), ", ".join(_quoted(model, name) for name in names)
    return f"INSERT INTO {table} ({columns})", f"({', '.join(['%s'] * len(names))})", _writers(model, names)


@cache
def _selection(
    model: type[Model], exactly: tuple[str, ...], vendor: str, *, among: int = 0, waits: bool = True
) -> Selection:
    """Rows whose columns hold exactly one value each, or one of so many."""
    table = model._meta.db_table
    fields = model._meta.concrete_fields
    columns = ", ".join(_quoted(model, field.name) for field in fields)
    where = " AND ".join(f"{_quoted(model, name)} {_of(among, vendor)}" for name in exactly)
    statement = f"SELECT {columns} FROM {connection.ops.quote_name(table)} WHERE {where} ORDER BY id"  # noqa: S608 # as above
    if vendor != "sqlite":  # which locks the whole database when the transaction begins
        statement += " FOR NO KEY UPDATE" if waits else " FOR NO KEY UPDATE NOWAIT"
    converters = []
    for position, field in enumerate(fields):
        column = field.get_col(table)
        found = (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        if vendor == "sqlite" and type(field) is models.DateTimeField:
            found = (_read_moment,)
        if found:
            converters.append((position, found, column))
    return statement, [str(field.attname) for field in fields], tuple(converters)


def _of(among: int, vendor: str) -> str:
    if not among:
        return "= %s"
    return "= ANY(%s)" if vendor == "postgresql" else f"IN ({', '.join(['%s'] * among)})"


def _converted(row: Sequence[Any], converters: Converters) -> list[Any]:
    values = list(row)
    for position, found, column in converters:
        for convert in found:
            values[position] = convert(values[position], column, connection)
    return values
