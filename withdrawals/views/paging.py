"""Pages by the last row seen, so that a long list costs the same everywhere and nothing is shown twice or left out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.db.models import DateTimeField, Model, Q, QuerySet
from django.utils.translation import gettext

from withdrawals.models.money import UsdField

PAGE_SIZE = 50
LARGEST_KEY = 2**63 - 1
# Ends a cursor that names the rows before its place, not those after it.
BACK = "~back"
MONEY = re.compile(r"-?[0-9]{1,13}\.[0-9]{4}")


# A value of the column that a list is ordered by, and a key.
Place = tuple[datetime | Decimal | int, int]


class BadCursor(ValueError):
    """The address names no place in this list."""


@dataclass(frozen=True)
class Page[Row: Model]:
    """Some rows of a list, in order; `next_cursor` is empty on the last page, `previous_cursor` on the first."""

    rows: list[Row]
    next_cursor: str
    is_first: bool
    previous_cursor: str = ""


def keyset_page[Row: Model](
    queryset: QuerySet[Row], *, by: str, newest_first: bool, cursor: str, size: int = PAGE_SIZE
) -> Page[Row]:
    """The page of `queryset` at `cursor` (empty for the first), ordered by the column `by`, then by key.

    A cursor names the rows after its place, or those before it; where fewer than a page lie before it, that is the
    first page, from the beginning. Raises BadCursor.
    """

    def read(goes_down: bool, place: Place | None) -> list[Row]:
        return list(ordered_from(queryset, by, goes_down, place)[: size + 1])

    value_of, kind = attrgetter(by), _kind(queryset, by)
    return page_at(read, kind=kind, value_of=value_of, newest_first=newest_first, cursor=cursor, size=size)


def page_at(
    read: Callable[[bool, Place | None], list[Any]],
    *,
    kind: type,
    value_of: Callable[[Any], Any],
    newest_first: bool,
    cursor: str,
    size: int = PAGE_SIZE,
) -> Page[Any]:
    """The same of whatever `read` reads: one row more than a page, downwards or not, from a place on.

    `value_of` tells of a row what the list is ordered by.
    """
    if not cursor:
        rows = read(newest_first, None)
        return Page(rows[:size], _cursor(rows[size - 1], value_of) if len(rows) > size else "", is_first=True)
    place, is_back = cursor.removesuffix(BACK), cursor.endswith(BACK)
    rows = read(newest_first != is_back, _parse(place, kind))
    has_more, rows = len(rows) > size, rows[:size]
    if not is_back:
        before = (_cursor(rows[0], value_of) if rows else place) + BACK
        return Page(rows, _cursor(rows[-1], value_of) if has_more else "", is_first=False, previous_cursor=before)
    if not has_more:
        return page_at(read, kind=kind, value_of=value_of, newest_first=newest_first, cursor="", size=size)
    rows.reverse()
    before = _cursor(rows[0], value_of) + BACK
    return Page(rows, _cursor(rows[-1], value_of), is_first=False, previous_cursor=before)


def ordered_from[Row: Model](queryset: QuerySet[Row], by: str, goes_down: bool, place: Place | None) -> QuerySet[Row]:
    """`queryset` in the order of `by`, then of the key; beyond a place where one is given."""
    sign = "-" if goes_down else ""
    ordered = queryset.order_by(f"{sign}{by}", f"{sign}pk")
    if place is None:
        return ordered
    step, (value, key) = "lt" if goes_down else "gt", place
    # The bound by itself, or SQLite would read the index from its beginning.
    return ordered.filter(Q((f"{by}__{step}e", value)), Q((f"{by}__{step}", value)) | Q((f"pk__{step}", key)))


def _cursor(row: Any, value_of: Callable[[Any], Any]) -> str:
    value = value_of(row)
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{value}~{row.pk}"


def _kind(queryset: QuerySet[Any], by: str) -> type:
    annotation = queryset.query.annotations.get(by)
    field = annotation.output_field if annotation is not None else queryset.model._meta.get_field(by)
    if isinstance(field, DateTimeField):
        return datetime
    return Decimal if isinstance(field, UsdField) else int


def _parse(cursor: str, kind: type) -> Place:
    value, _, key = cursor.partition("~")
    readers: dict[type, Callable[[str], datetime | Decimal | int]] = {datetime: _time, Decimal: _money}
    read = readers.get(kind, _number)
    try:
        return read(value), _number(key)
    except ValueError as error:
        raise BadCursor(gettext("This address names no place in the list.")) from error


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("cursors are in UTC and do not say so")
    return moment.replace(tzinfo=UTC)


def _money(text: str) -> Decimal:
    if not MONEY.fullmatch(text):
        raise ValueError("not an amount")
    return Decimal(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > LARGEST_KEY:
        raise ValueError("not a key")
    return int(text)
