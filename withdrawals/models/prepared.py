"""Statements that Django writes once and that are then asked again and again, with other values.

To write a statement costs Django more than the database needs to answer it. It stays Django's: `rows_of` has it
written twice with stand-ins in the place of the values, and so learns where each value goes.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

Value = datetime | int | str | tuple[int, ...]
Makes = Callable[..., QuerySet[Any, Any]]
STATEMENTS = 500


class Statement(NamedTuple):
    """SQL, its parameters, which of them are values (by number), and what turns a column into what Python holds."""

    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]
    converters: tuple[tuple[int, tuple[Callable[..., Any], ...], Any], ...]


def rows_of(makes: Makes, *shape: Hashable, **values: Value) -> list[tuple[Any, ...]]:
    """The rows of `makes(*shape, **values)`, a `values_list`.

    `makes` is asked once for each `shape`, so its statement hangs on nothing else. It passes each value on just as it
    is given, so that it is found again as a parameter; RuntimeError where it does not. A tuple of keys may have any
    length but none.
    """
    found, statement = raw_rows_of(makes, *shape, **values)
    return [converted(row, statement) for row in found] if statement.converters else found


def raw_rows_of(makes: Makes, *shape: Hashable, **values: Value) -> tuple[list[tuple[Any, ...]], Statement]:
    """The same as the database's driver has them; `converted` makes of each what Python holds."""
    lengths = tuple((name, len(value) if isinstance(value, tuple) else 0) for name, value in values.items())
    kinds = tuple(type(value) for value in values.values())
    statement = _written(makes, shape, lengths, kinds, connection.vendor)
    given = _flat(values)
    parameters = list(statement.parameters)
    for place, number in statement.places:
        parameters[place] = given[number]
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, parameters)
        return cursor.fetchall(), statement


def converted(row: Sequence[Any], statement: Statement) -> tuple[Any, ...]:
    """One row of `statement` as Python holds it."""
    values = list(row)
    for column, converters, expression in statement.converters:
        value = values[column]
        for convert in converters:
            value = convert(value, expression, connection)
        values[column] = value
    return tuple(values)


def _flat(values: dict[str, Value]) -> list[Any]:
    """Each value as the database takes it, one after the other."""
    flat: list[Any] = []
    for value in values.values():
        if isinstance(value, tuple):
            flat += value
        else:
            flat.append(connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value)
    return flat


@lru_cache(maxsize=STATEMENTS)
def _written(
    makes: Makes,
    shape: tuple[Hashable, ...],
    lengths: tuple[tuple[str, int], ...],
    kinds: tuple[type, ...],
    vendor: str,
) -> Statement:
    first, second = (_stand_ins(lengths, kinds, turn) for turn in (1, 2))
    sql, parameters, converters = _compiled(makes(*shape, **first))
    _, others, _ = _compiled(makes(*shape, **second))
    flat, flat_others = _flat(first), _flat(second)
    places = [(place, flat.index(each)) for place, each in enumerate(parameters) if each in flat]
    expected = list(parameters)
    for place, number in places:
        expected[place] = flat_others[number]
    # A value that was changed on its way would stand in the statement as it was the first time.
    if expected != list(others):
        raise RuntimeError(f"{makes} does not pass its values on as they are.")
    return Statement(sql, tuple(parameters), tuple(places), converters)


def _stand_ins(lengths: tuple[tuple[str, int], ...], kinds: tuple[type, ...], turn: int) -> dict[str, Value]:
    """Values that occur nowhere else, other ones at each turn; their case and their ends too, which a search reads."""
    made: dict[str, Value] = {}
    for number, ((name, length), kind) in enumerate(zip(lengths, kinds, strict=True)):
        key = turn * 10**15 + number * 10**9
        moment = datetime(2500 + turn, 1, 1, tzinfo=UTC) + timedelta(days=number, microseconds=turn)
        if kind is tuple:
            made[name] = tuple(range(key, key + length))
        else:
            made[name] = (
                moment if issubclass(kind, datetime) else f"Stand-In {key} {turn}{number:03}" if kind is str else key
            )
    return made


def _compiled(rows: QuerySet[Any, Any]) -> tuple[str, Sequence[Any], Any]:
    compiler = rows.query.get_compiler(connection=connection)
    sql, parameters = compiler.as_sql()
    columns = [column for column, *_ in compiler.select]
    converters = compiler.get_converters(columns).items()
    return sql, parameters, tuple((number, tuple(each), column) for number, (each, column) in converters)
