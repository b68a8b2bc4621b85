"""Pages by the last row seen, so that a long list costs the same everywhere and nothing is shown twice or left out."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import DateTimeField, Model, Q, QuerySet

PAGE_SIZE = 50
LARGEST_KEY = 2**63 - 1


class BadCursor(ValueError):
    """The address names no place in this list."""


@dataclass(frozen=True)
class Page[Row: Model]:
    """Some rows of a list, in order; `next_cursor` is empty on the last page."""

    rows: list[Row]
    next_cursor: str
    is_first: bool


def keyset_page[Row: Model](
    queryset: QuerySet[Row], *, by: str, newest_first: bool, cursor: str, size: int = PAGE_SIZE
) -> Page[Row]:
    """The page of `queryset` after `cursor` (empty for the first), ordered by the column `by`, then by key.

    Raises BadCursor.
    """
    sign, step = ("-", "lt") if newest_first else ("", "gt")
    ordered = queryset.order_by(f"{sign}{by}", f"{sign}pk")
    if cursor:
        value, key = _parse(cursor, is_time=isinstance(queryset.model._meta.get_field(by), DateTimeField))
        # The bound by itself, or SQLite would read the index from its beginning.
        ordered = ordered.filter(Q((f"{by}__{step}e", value)), Q((f"{by}__{step}", value)) | Q((f"pk__{step}", key)))
    rows = list(ordered[: size + 1])
    next_cursor = _cursor(rows[size - 1], by) if len(rows) > size else ""
    return Page(rows[:size], next_cursor, is_first=not cursor)


def _cursor(row: Model, by: str) -> str:
    value = getattr(row, by)
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{value}~{row.pk}"


def _parse(cursor: str, *, is_time: bool) -> tuple[datetime | int, int]:
    value, _, key = cursor.partition("~")
    try:
        return _time(value) if is_time else _number(value), _number(key)
    except ValueError as error:
        raise BadCursor("This address names no place in the list.") from error


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("cursors are in UTC and do not say so")
    return moment.replace(tzinfo=UTC)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > LARGEST_KEY:
        raise ValueError("not a key")
    return int(text)
