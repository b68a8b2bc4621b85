"""Statements that Django writes once and that are then asked again and again, with other values.

To write a statement costs Django more than the database needs to answer it. It stays Django's: `rows_of` has it
written twice with stand-ins in the place of the values, and so learns where each value goes. PostgreSQL, which takes
longer to plan a statement than to answer it, plans it once too.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple, cast

from django.db import connection
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators

Value = datetime | int | str | tuple[int, ...] | tuple[str, ...]
# A value's name and kind, and how many of it there are where it is a tuple.
Form = tuple[str, type, int | None]
Makes = Callable[..., QuerySet[Any, Any]]
STATEMENTS = 500
# Those of which PostgreSQL does not keep one plan.
PLANNED_ANEW: set[Makes] = set()
# How a value stands in its parameter: as it is, or as what is looked for within, at the beginning or at the end.
AS_IT_IS, *LIKE = ("{}", "%{}%", "{}%", "%{}")


class Statement(NamedTuple):
    """SQL, its parameters, which of them are values (by number, and in what form), and what turns a column into what
    Python holds.
    """

    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, int, str], ...]
    converters: tuple[tuple[int, tuple[Callable[..., Any], ...], Any], ...]
    # Makes a model of one row, where the queryset was one of models.
    makes: Callable[[tuple[Any, ...]], Any] | None = None
    # Of such a model, without those that hang on it.
    columns: tuple[str, ...] = ()

    @property
    def seeks_text(self) -> bool:
        """Whether it looks for a text, or for words, within others: how that is found best hangs on the text."""
        return " @@ " in self.sql or any(form != AS_IT_IS for *_, form in self.places)


def planned_anew[**P, Rows: QuerySet[Any, Any]](makes: Callable[P, Rows]) -> Callable[P, Rows]:
    """What this makes finds a few rows or half of a table, as its values are: for each, PostgreSQL plans it anew.

    All others keep one plan, whatever their values; so this stands where a bound alone decides how much is read.
    """
    PLANNED_ANEW.add(makes)
    return makes


class Found[Row: Model](NamedTuple):
    """Rows of models as the database's driver has them, which can be compared and hashed; models only on asking."""

    rows: tuple[tuple[Any, ...], ...]
    statement: Statement | None

    def model(self, row: tuple[Any, ...]) -> Row:
        """One of the rows as a model, another one each time."""
        if self.statement is None or self.statement.makes is None:
            raise TypeError("These are no rows of models.")
        made: Row = self.statement.makes(converted(row, self.statement))
        return made

    def column(self, name: str) -> int:
        """Where in each row this column of the model stands, as the driver has it: see `as_moment`."""
        return self.statement.columns.index(name) if self.statement else 0

    def models(self) -> list[Row]:
        """All of them."""
        return [self.model(row) for row in self.rows]


def found_models[Row: Model](makes: Callable[..., QuerySet[Row]], *shape: Hashable, **values: Value) -> Found[Row]:
    """What `makes(*shape, **values)` finds, a queryset of models with what it selects beside them; no prefetching."""
    rows, statement = raw_rows_of(makes, *shape, **values)
    return Found(tuple([tuple(row) for row in rows]), statement)


def rows_of(makes: Makes, *shape: Hashable, **values: Value) -> list[tuple[Any, ...]]:
    """The rows of `makes(*shape, **values)`, a `values_list`.

    `makes` is asked once for each `shape`, so its statement hangs on nothing else. It passes each value on just as it
    is given, so that it is found again as a parameter; RuntimeError where it does not. A tuple may have any length
    but none.
    """
    found, statement = raw_rows_of(makes, *shape, **values)
    return [converted(row, statement) for row in found] if statement.converters else found


def raw_rows_of(makes: Makes, *shape: Hashable, **values: Value) -> tuple[list[tuple[Any, ...]], Statement]:
    """The same as the database's driver has them; `converted` makes of each what Python holds."""
    forms = tuple(_form(name, value) for name, value in values.items())
    statement = _written(makes, shape, forms, connection.vendor)
    plans_anew = statement.seeks_text or makes in PLANNED_ANEW
    with connection.cursor() if plans_anew else planned_once() as cursor:
        cursor.execute(statement.sql, _filled(statement, _flat(values)))
        return cursor.fetchall(), statement


class _MarkedOnce(SQLiteCursorWrapper):
    """A cursor of Django's that remembers how SQLite's driver wants a statement."""

    def convert_query(self, query: str, *, param_names: None = None) -> str:
        return _marked(query)


@lru_cache(maxsize=STATEMENTS)
def _marked(query: str) -> str:
    marked: str = SQLiteCursorWrapper.convert_query(cast(Any, None), query)
    return marked


def planned_once() -> CursorWrapper:
    """A cursor whose statements PostgreSQL keeps for its session, with one plan, once they have come twice.

    Values go beside the statement then, not in its text. SQLite's driver keeps the latest by itself; Django would look
    through each for its marks, each time.
    """
    cursor = connection.cursor()
    if connection.vendor == "sqlite":
        cursor.cursor = connection.connection.cursor(factory=_MarkedOnce)
    else:
        # Only there is its driver needed.
        from django.db.backends.postgresql.base import ServerBindingCursor  # noqa: PLC0415

        cursor.cursor = ServerBindingCursor(connection.connection)  # type: ignore[call-arg] # the stubs know the older driver's
    return cursor


class Counted(NamedTuple):
    """What `rows_of` takes, of which no more is asked than how many rows it finds."""

    makes: Makes
    shape: tuple[Hashable, ...]
    values: dict[str, Value]


def count_each(counted: Sequence[Counted]) -> list[int]:
    """How many rows each of these finds, in one statement."""
    columns, parameters = counting(counted)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}", parameters)
        return list(cursor.fetchone())


def counting(counted: Sequence[Counted]) -> tuple[str, list[Any]]:
    """The columns of a statement that say how many rows each of these finds, and their parameters.

    Whoever has it planned once counts nothing that is to be planned anew.
    """
    columns: list[str] = []
    parameters: list[Any] = []
    for makes, shape, values in counted:
        forms = tuple(_form(name, value) for name, value in values.items())
        statement = _written(makes, shape, forms, connection.vendor)
        columns.append(f"(SELECT COUNT(*) FROM ({statement.sql}) found)")  # noqa: S608 # Django's own
        parameters += _filled(statement, _flat(values))
    return ", ".join(columns), parameters


def _filled(statement: Statement, given: list[Any]) -> list[Any]:
    """The parameters of a statement with these values in their places."""
    parameters = list(statement.parameters)
    for place, number, form in statement.places:
        value = given[number]
        parameters[place] = value if form == AS_IT_IS else form.format(connection.ops.prep_for_like_query(value))
    return parameters


def converted(row: Sequence[Any], statement: Statement) -> tuple[Any, ...]:
    """One row of `statement` as Python holds it."""
    values = list(row)
    for column, converters, expression in statement.converters:
        value = values[column]
        for convert in converters:
            value = convert(value, expression, connection)
        values[column] = value
    return tuple(values)


def as_moment(value: datetime | str | None) -> datetime | None:
    """What the driver has of a moment, as Python holds it: `converted` for thousands of them at once."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    # SQLite keeps UTC without saying so.
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _flat(values: dict[str, Value]) -> list[Any]:
    """Each value as the database takes it, one after the other."""
    flat: list[Any] = []
    for value in values.values():
        if isinstance(value, tuple):
            flat += value
        else:
            flat.append(connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value)
    return flat


def _form(name: str, value: Value) -> Form:
    if isinstance(value, tuple):
        return name, type(value[0]), len(value)
    return name, type(value), None


@lru_cache(maxsize=STATEMENTS)
def _written(makes: Makes, shape: tuple[Hashable, ...], forms: tuple[Form, ...], vendor: str) -> Statement:
    first, second = (_stand_ins(forms, turn) for turn in (1, 2))
    sql, parameters, converters, model_of, columns = _compiled(makes(*shape, **first))
    _, others, *_ = _compiled(makes(*shape, **second))
    flat, flat_others = _flat(first), _flat(second)
    found: dict[Any, tuple[int, str]] = {}
    for number, each in enumerate(flat):
        found |= {each: (number, AS_IT_IS)} | {form.format(each): (number, form) for form in LIKE}
    # A list among them, such as of keys of JSON, is no value.
    known = [(place, each) for place, each in enumerate(parameters) if isinstance(each, Hashable)]
    places = tuple((place, *found[each]) for place, each in known if each in found)
    statement = Statement(sql, tuple(parameters), places, converters, model_of, columns)
    # A value that was changed on its way would stand in the statement as it was the first time.
    if _filled(statement, flat_others) != list(others):
        raise RuntimeError(f"{makes} does not pass its values on as they are.")
    return statement if vendor == "sqlite" else _with_constants(statement)


def _with_constants(statement: Statement) -> Statement:
    """The same with all that are no values in its text, as Django writes them for PostgreSQL anyway.

    A plan that is kept knows no parameter, so it would not see that an index holds just the rows with this constant.
    """
    places = {place: (number, form) for place, number, form in statement.places}
    written: list[str] = []
    kept: list[Any] = []
    moved: list[tuple[int, int, str]] = []
    number_of_mark = count()
    for part in re.split("(%%|%s)", statement.sql):
        if part != "%s":
            written.append(part)
        elif (place := next(number_of_mark)) in places:
            moved.append((len(kept), *places[place]))
            kept.append(statement.parameters[place])
            written.append(part)
        else:
            literal = connection.ops.compose_sql("%s", [statement.parameters[place]])  # type: ignore[attr-defined] # PostgreSQL's
            written.append(literal.replace("%", "%%"))
    return statement._replace(sql="".join(written), parameters=tuple(kept), places=tuple(moved))


def _stand_ins(forms: tuple[Form, ...], turn: int) -> dict[str, Value]:
    """Values that occur nowhere else, other ones at each turn; their case and their ends too, which a search reads."""
    made: dict[str, Any] = {}
    for number, (name, kind, length) in enumerate(forms):
        one = [_stand_in(kind, turn, 1_000 * number + place) for place in range(length or 1)]
        made[name] = one[0] if length is None else tuple(one)
    return made


def _stand_in(kind: type, turn: int, number: int) -> datetime | int | str:
    if issubclass(kind, datetime):
        return datetime(2500 + turn, 1, 1, tzinfo=UTC) + timedelta(minutes=number, microseconds=turn)
    return f"{turn} Stand-In {number:06}{turn}" if kind is str else turn * 10**15 + number


def _compiled(rows: QuerySet[Any, Any]) -> tuple[str, Sequence[Any], Any, Any, tuple[str, ...]]:
    compiler = rows.query.get_compiler(connection=connection)
    sql, parameters = compiler.as_sql()
    columns = [column for column, *_ in compiler.select]
    converters = compiler.get_converters(columns).items()
    is_model = issubclass(rows._iterable_class, ModelIterable)
    model_of, names = _maker(rows, compiler) if is_model else (None, ())
    by_number = tuple((number, tuple(each), column) for number, (each, column) in converters)
    return sql, parameters, by_number, model_of, names


def _maker(rows: QuerySet[Any, Any], compiler: Any) -> tuple[Callable[[tuple[Any, ...]], Any], tuple[str, ...]]:
    """What makes a model of one row, the same that `ModelIterable` does with each; and which columns it has."""
    klass, mode = compiler.klass_info, rows._fetch_mode  # type: ignore[attr-defined] # the stubs are older
    first, last = klass["select_fields"][0], klass["select_fields"][-1] + 1
    names = [column.target.attname for column, *_ in compiler.select[first:last]]
    populators = get_related_populators(klass, compiler.select, rows.db, mode)
    annotations = tuple(compiler.annotation_col_map.items())

    def make(row: tuple[Any, ...]) -> Any:
        made = klass["model"].from_db(rows.db, names, row[first:last], fetch_mode=mode)
        for populator in populators:
            populator.populate(row, made)
        for name, column in annotations:
            setattr(made, name, row[column])
        return made

    return make, tuple([""] * first + names)
