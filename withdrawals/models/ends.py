"""The ends of an id as indexed expressions: few ids share one, so a tail, a head or a whole id is found at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import CharField, Func, Q, QuerySet
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLCompiler

from withdrawals.models.pasted import SHORTEST_HEAD, SHORTEST_TAIL


class Tail(Func):
    """The last four characters, in lower case. Written without parameters, or SQLite would not use the index."""

    arity = 1
    template = f"LOWER(SUBSTR(%(expressions)s, -{SHORTEST_TAIL}))"
    output_field = CharField()

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """SUBSTR counts otherwise there."""
        return self.as_sql(compiler, connection, template=f"LOWER(RIGHT(%(expressions)s, {SHORTEST_TAIL}))", **context)


class Head(Func):
    """The first eight characters, in lower case."""

    arity = 1
    template = f"LOWER(SUBSTR(%(expressions)s, 1, {SHORTEST_HEAD}))"
    output_field = CharField()


def ends_like(ends: Sequence[tuple[str, str]]) -> Q:
    """The condition that `assetpay_id` begins and ends like one of `ends`, over the aliases `tail` and `head`."""
    found = Q(pk__in=[])
    for head, tail in ends:
        one = Q()
        if head:
            one &= Q(head=head[:SHORTEST_HEAD].lower(), assetpay_id__istartswith=head)
        if tail:
            one &= Q(tail=tail[-SHORTEST_TAIL:].lower(), assetpay_id__iendswith=tail)
        found |= one
    return found


class Ids(NamedTuple):
    """Whole ids as they were written, in lower case, and their tails."""

    written: tuple[str, ...]
    lower: tuple[str, ...]
    tails: tuple[str, ...]


def read_ids(ids: Sequence[str]) -> Ids:
    """These ids in each way that they are looked for."""
    lower = tuple(each.lower() for each in ids)
    return Ids(tuple(ids), lower, tuple(dict.fromkeys(each[-SHORTEST_TAIL:] for each in lower)))


def with_own_id(rows: QuerySet[Any, Any], ids: Ids) -> QuerySet[Any, Any]:
    """Those of `rows` whose `assetpay_id` is one of these, in whatever case, found by their tails."""
    found: QuerySet[Any, Any] = rows.alias(tail=Tail("assetpay_id"), lower_id=Lower("assetpay_id"))
    return found.filter(tail__in=ids.tails, lower_id__in=ids.lower)


def keys_of_any(*rows: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    """The keys of all of these: a union, since an OR across columns or tables makes a planner read everything."""
    first, *others = (each.values("pk") for each in rows)
    return first.union(*others, all=True)
