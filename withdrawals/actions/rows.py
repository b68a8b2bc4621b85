"""Rows of the busiest path, past the ORM's query compiler, which costs more there than the database does.

The statements are those that the ORM would make, with the same conversions both ways; `tests/actions/test_rows.py`
holds them together for every column of every model that passes here.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

from django.db import connection
from django.db.models import Field, Model

Converters = tuple[tuple[int, tuple[Callable[..., Any], ...], Any], ...]


def read_locked[Row: Model](model: type[Row], **exactly: Any) -> list[Row]:
    """The rows whose columns hold exactly these values, by key, locked until the transaction ends.

    Locked without their key, as everywhere here, so that a reference to a row need not wait for its writer.
    """
    statement, fields, converters = _selection(model, tuple(exactly), connection.vendor)
    values = [_prepared(model, name, value) for name, value in exactly.items()]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchall()
    return [model.from_db(connection.alias, fields, _converted(row, converters)) for row in found]


def write_columns(rows: Sequence[Model], names: Sequence[str]) -> None:
    """Write the named columns of rows that exist, in one round trip. Raises RuntimeError where a row is gone."""
    if not rows or not names:
        return
    model = type(rows[0])
    values = [
        [*(_prepared(model, name, getattr(row, _attribute(model, name))) for name in names), row.pk] for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_update(model, tuple(names)), values)
        if cursor.rowcount not in (-1, len(rows)):
            raise RuntimeError(f"{len(rows)} rows of {model.__name__} were to be written, {cursor.rowcount} were.")


def append_rows(rows: Sequence[Model]) -> None:
    """Insert new rows, in one round trip. Their keys are not told."""
    if not rows:
        return
    model = type(rows[0])
    names = _columns(model)
    values = [[_prepared(model, name, getattr(row, _attribute(model, name))) for name in names] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(_insert(model), values)


def _prepared(model: type[Model], name: str, value: Any) -> Any:
    return _field(model, name).get_db_prep_save(value, connection)


@cache
def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return cast(Field[Any, Any], model._meta.get_field(name))


@cache
def _attribute(model: type[Model], name: str) -> str:
    return str(_field(model, name).attname)


@cache
def _columns(model: type[Model]) -> tuple[str, ...]:
    """Every column but the key, which the database gives."""
    return tuple(field.name for field in model._meta.concrete_fields if not field.primary_key)


def _quoted(model: type[Model], name: str) -> str:
    return connection.ops.quote_name(str(_field(model, name).column))


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> str:
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(f"{_quoted(model, name)} = %s" for name in names)
    return f"UPDATE {table} SET {columns} WHERE {connection.ops.quote_name('id')} = %s"  # noqa: S608 # our own names


@cache
def _insert(model: type[Model]) -> str:
    table, names = connection.ops.quote_name(model._meta.db_table), _columns(model)
    columns, marks = ", ".join(_quoted(model, name) for name in names), ", ".join(["%s"] * len(names))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 # our own names


@cache
def _selection(model: type[Model], exactly: tuple[str, ...], vendor: str) -> tuple[str, list[str], Converters]:
    """The statement, the names of its columns, and what turns each value into what the model holds."""
    table = model._meta.db_table
    fields = model._meta.concrete_fields
    columns = ", ".join(_quoted(model, field.name) for field in fields)
    where = " AND ".join(f"{_quoted(model, name)} = %s" for name in exactly)
    statement = f"SELECT {columns} FROM {connection.ops.quote_name(table)} WHERE {where} ORDER BY id"  # noqa: S608 # as above
    if vendor != "sqlite":  # which locks the whole database when the transaction begins
        statement += " FOR NO KEY UPDATE"
    converters = []
    for position, field in enumerate(fields):
        column = field.get_col(table)
        found = (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        if found:
            converters.append((position, found, column))
    return statement, [str(field.attname) for field in fields], tuple(converters)


def _converted(row: Sequence[Any], converters: Converters) -> list[Any]:
    values = list(row)
    for position, found, column in converters:
        for convert in found:
            values[position] = convert(values[position], column, connection)
    return values
