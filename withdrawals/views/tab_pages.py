"""One page of a tab of the worklist, or of what is named so in it: read by statements that are written once."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from withdrawals.models import Item
from withdrawals.models.item import cancel_window
from withdrawals.models.item_names import Named, named_like
from withdrawals.models.prepared import Counted, Statement, converted, count_each, raw_rows_of
from withdrawals.views.paging import PAGE_SIZE, Page, Place, ordered_from, page_at
from withdrawals.views.rows import BEFORE_ALL, SHOWN, Facts
from withdrawals.views.worklist import COUNTED, TAB_BY_NAME, TABS, Items, Tab, up_to_counted


class TabPage(NamedTuple):
    """A page of a whole tab in the order of age; its rows as the driver has them, until `facts` makes more of them."""

    page: Page[Any]
    statement: Statement

    def facts(self) -> list[Any]:
        """The rows as `facts_of` has them."""
        return [Facts._make(converted(row, self.statement)) for row in self.page.rows]


def tab_page(
    tab: Tab,
    *,
    goes_down: bool,
    cursor: str,
    now: datetime,
    keys: tuple[int, ...] = (),
    named: Named | None = None,
) -> TabPage:
    """The page at `cursor`, of those items that are named so, or that of the items with these keys, by a statement that
    is written once.

    Raises BadCursor.
    """
    values: dict[str, Any] = tab_values(now, named) | ({"keys": keys} if keys else {})
    index = named.by if named else ""
    statements = []

    def read(goes_down: bool, place: Place | None) -> list[Any]:
        at: dict[str, Any] = {} if place is None else dict(zip(("value", "key"), place, strict=True))
        found, statement = raw_rows_of(_tab_rows, tab.name, index, goes_down, place is not None, **values, **at)
        statements.append(statement)
        return [Facts._make(row) for row in found]

    def opened_at(row: Any) -> datetime:
        moment: datetime = Facts._make(converted(row, statements[-1])).opened_at
        return moment

    page = page_at(read, kind=datetime, value_of=opened_at, newest_first=goes_down, cursor=cursor)
    return TabPage(page, statements[-1])


def tab_values(now: datetime, named: Named | None) -> dict[str, Any]:
    """What a statement over a tab is asked with; of what was typed only what there is."""
    asked = {"asked": named.asked, "words": named.words} if named else {}
    return {"opened_by": now - cancel_window()} | {name: value for name, value in asked.items() if value}


def of_tab(name: str, index: str, opened_by: datetime, asked: str = "", words: tuple[str, ...] = ()) -> Items:
    """The items of a tab, of those that are named so."""
    return named_like(TAB_BY_NAME[name].holds(opened_by + cancel_window()), Named(index, asked, words))


def _tab_rows(
    name: str,
    index: str,
    goes_down: bool,
    has_place: bool,
    opened_by: datetime,
    keys: tuple[int, ...] = (),
    value: datetime = BEFORE_ALL,
    key: int = 0,
    **named: Any,
) -> QuerySet[Item, Any]:
    items = Item.objects.filter(pk__in=keys) if keys else of_tab(name, index, opened_by, **named)
    place = (value, key) if has_place else None
    return ordered_from(items, "opened_at", goes_down, place).values_list(*SHOWN)[: PAGE_SIZE + 1]


def count_named(named: Named, now: datetime) -> list[str]:
    """How many items that are named so each tab holds, in one statement: exact as far as anybody would read."""
    values = tab_values(now, named)
    asked = [Counted(_counted, (tab.name, named.by), values) for tab in TABS]
    return [up_to_counted(number) for number in count_each(asked)]


def _counted(name: str, index: str, **values: Any) -> QuerySet[Item, Any]:
    return of_tab(name, index, **values).order_by().values_list("pk")[: COUNTED + 1]
