"""How a list is laid out, as its address says: `sort` orders it, `hide` leaves columns out."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.translation import gettext

from withdrawals.models.words import Words


@dataclass(frozen=True)
class Order:
    """The order of a list: a name in the address, a column with an index, and its direction."""

    name: str
    by: str
    goes_down: bool


@dataclass(frozen=True)
class Heading:
    """A heading that orders the list: what `sort` becomes by following it, and `aria-sort` where it does so now."""

    turned: str
    aria: str


@dataclass(frozen=True)
class Column:
    """A column that can be left out: its name in the address, and what `hide` becomes by turning it on or off."""

    name: str
    label: Words
    is_hidden: bool
    turned: str | None


@dataclass(frozen=True)
class Layout:
    """The order and the columns of one list as it is shown; `problem` where the address names what there is not."""

    order: Order
    headings: dict[str, Heading]
    columns: tuple[Column, ...]
    problem: str

    @property
    def hidden(self) -> str:
        """The names of the columns that are left out, for `data-hide`."""
        return " ".join(column.name for column in self.columns if column.is_hidden)


def layout(
    query: QueryDict, *, usual: Order, orders: dict[str, str], columns: Sequence[tuple[str, Words]] = ()
) -> Layout:
    """What `query` asks for: `orders` maps names to columns of the database, `columns` names to headings."""
    asked = query.get("sort", "")
    name = asked.removeprefix("-")
    is_known = name in orders
    order = Order(name, orders[name], goes_down=asked.startswith("-")) if is_known else usual
    known = [each for each, _ in columns]
    hidden = [each for each in known if each in query.get("hide", "").split(",")]

    def without(column: str) -> str | None:
        return ",".join(each for each in known if (each in hidden) != (each == column)) or None

    problem = ""
    if asked and not is_known:
        problem = gettext("No list is ordered by “{name}”. This is the usual order.").format(name=name[:40])
    return Layout(
        order=order,
        headings={each: _heading(each, order) for each in orders},
        columns=tuple(Column(each, label, each in hidden, without(each)) for each, label in columns),
        problem=problem,
    )


def _heading(name: str, order: Order) -> Heading:
    if name != order.name:
        return Heading(name, "")
    return Heading(name, "descending") if order.goes_down else Heading(f"-{name}", "ascending")
