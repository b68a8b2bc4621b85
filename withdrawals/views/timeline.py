"""The one timeline of a trade: clicks, calls, callbacks, reads, notes, and what each of them changed.

As many of the latest moments as a reader looks at, and of the older ones all that must not be overlooked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db.models import FETCH_RAISE, Q, QuerySet
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone

from withdrawals.models import Attempt, AttemptOutcome, AuditEntry, Delivery, Note, Read, Verdict
from withdrawals.models.prepared import Counted, Found, as_moment, found_models
from withdrawals.templatetags.timeline import MONEY, days_ago
from withdrawals.views.access import DeskRequest
from withdrawals.views.kept_lines import entries, line_maker

# A screen or two.
SHORT = 50
# Of each kind, where everything is asked for.
MOST = 1_000
# What may be left out of a short timeline: the ordinary course of things, and nothing that is not named here.
ORDINARY = (
    "batch.drafted",
    "batch.started",
    "cancellation.accepted",
    "cancellation.armed",
    "cancellation.confirmed",
    "cancellation.rearmed",
    "cancellation.requested",
    "cancellation.rescheduled",
    "cancellation.sending",
    "case.exported",
    "delivery.replayed",
    "document.read",
    "item.appeared",
    "item.changed",
    "trade.appeared",
    "trade.changed",
)
Makes = Callable[..., QuerySet[Any]]


class Kind(NamedTuple):
    """One kind of moment: its name, what it is read by, which of it no timeline leaves out, and what says when."""

    name: str
    rows: Makes
    weighty: Makes | None
    at: str
    key: str = "id"


def _entries(trade: int) -> QuerySet[AuditEntry]:
    # A note stands for itself; its entry in the log would say it again.
    return entries().filter(trade=trade).exclude(action="note.written").order_by("-number")


def _weighty_entries(trade: int) -> QuerySet[AuditEntry]:
    # A price that changed is money, whatever it is called.
    return _entries(trade).filter(~Q(action__in=ORDINARY) | Q(before__has_any_keys=sorted(MONEY)))[: MOST + 1]


def _attempts(trade: int) -> QuerySet[Attempt]:
    attempts = Attempt.objects.filter(cancellation__item__trade=trade).select_related("cancellation__item")
    shown = (
        "number", "started_at", "answered_at", "outcome", "http_status", "key", "message", "answer_request_id",
        "request_id", "cancellation__number", "cancellation__item__assetpay_id", "cancellation__item__name",
        "cancellation__item__market_hash_name",
    )  # fmt: skip
    return attempts.only(*shown).fetch_mode(FETCH_RAISE).order_by("-pk")


def _weighty_attempts(trade: int) -> QuerySet[Attempt]:
    return _attempts(trade).exclude(outcome=AttemptOutcome.ACCEPTED)[: MOST + 1]


def _deliveries(trade: int) -> QuerySet[Delivery]:
    deliveries = Delivery.objects.filter(trade=trade)
    return (
        deliveries.only("verdict", "delivery_id", "received_at", "times_received")
        .fetch_mode(FETCH_RAISE)
        .order_by("-pk")
    )


def _weighty_deliveries(trade: int) -> QuerySet[Delivery]:
    return _deliveries(trade).exclude(verdict=Verdict.APPLIED)[: MOST + 1]


def _reads(trade: int) -> QuerySet[Read]:
    return Read.objects.filter(trade=trade).only("trade_id", "route", "read_at").fetch_mode(FETCH_RAISE).order_by("-pk")


def _notes(trade: int) -> QuerySet[Note]:
    notes = Note.objects.filter(trade=trade).select_related("item", "author")
    shown = ("text", "written_at", "item__assetpay_id", "item__name", "item__market_hash_name", "author__email")
    return notes.only(*shown).fetch_mode(FETCH_RAISE).order_by("-pk")


def _all_notes(trade: int) -> QuerySet[Note]:
    return _notes(trade)[: MOST + 1]


# In the order in which they stand at one moment: the change above its cause.
KINDS = (
    Kind("change", _entries, _weighty_entries, "at", "number"),
    Kind("call", _attempts, _weighty_attempts, "started_at"),
    Kind("callback", _deliveries, _weighty_deliveries, "received_at"),
    Kind("read", _reads, None, "read_at"),
    Kind("note", _notes, _all_notes, "written_at"),
)


NOTHING: Found[Any] = Found((), None)


def _latest(kind: int, length: int, trade: int) -> QuerySet[Any]:
    return KINDS[kind].rows(trade)[: length + 1]


def _every(kind: int, trade: int) -> QuerySet[Any, Any]:
    # Without an order, for which PostgreSQL would read them, and without a limit, for which SQLite may look through all
    # there are of any trade. So an index alone answers.
    return KINDS[kind].rows(trade).order_by().values_list("pk")


@dataclass(frozen=True)
class Moment:
    """One line: what kind it is (`change`, `call`, `callback`, `read` or `note`), when, and the row that it shows."""

    kind: str
    at: datetime
    found: Found[Any]
    row: tuple[Any, ...]
    key: int


@dataclass(frozen=True)
class Timeline:
    """What was read of a trade's timeline: of each kind the latest, and all that is not to be left out."""

    latest: tuple[Found[Any], ...]
    weighty: tuple[Found[Any] | None, ...]
    is_whole: bool

    @property
    def facts(self) -> tuple[Any, ...]:
        """Everything that it shows."""
        return tuple([found.rows for found in (*self.latest, *self.weighty) if found]), self.is_whole

    @property
    def length(self) -> int:
        """How many of the latest moments stand in it."""
        return MOST if self.is_whole else SHORT

    def moments(self) -> tuple[list[Moment], bool]:
        """What stands in it, newest first, and whether something was left out."""
        latest = list(_moments(self.latest))
        # Python's sort keeps what comes first among equals.
        latest.sort(key=lambda moment: moment.at, reverse=True)
        shown = latest[: self.length]
        there = {(moment.kind, moment.key) for moment in shown}
        older = [moment for moment in _moments(self.weighty) if (moment.kind, moment.key) not in there]
        everything = sorted([*shown, *older], key=lambda moment: moment.at, reverse=True)
        known = {(moment.kind, moment.key) for moment in everything}
        return everything, any((moment.kind, moment.key) not in known for moment in latest) or self._is_cut

    @property
    def _is_cut(self) -> bool:
        # All notes are there.
        return any(
            len(found.rows) > self.length for kind, found in zip(KINDS, self.latest, strict=True) if kind.name != "note"
        )

    @property
    def is_silent(self) -> bool:
        """Whether even something that must not be overlooked was too much."""
        return any(found is not None and len(found.rows) > MOST for found in self.weighty)

    def days(self, *, request: DeskRequest, now: datetime) -> tuple[list[tuple[str, SafeString]], bool]:
        """The lines under the days that people think in, and whether something was left out."""
        moments, has_more = self.moments()
        line_of = {
            kind.name: line_maker("trade.html#timeline-line", request=request, now=now, kind=kind.name)
            for kind in KINDS
        }
        zone, words_of = get_current_timezone(), dict[date, str]()
        days: list[tuple[str, list[SafeString]]] = []
        for moment in moments:
            day = moment.at.astimezone(zone).date()
            if day not in words_of:
                words_of[day] = days_ago(moment.at, now)
            words = words_of[day]
            if not days or days[-1][0] != words:
                days.append((words, []))
            days[-1][1].append(line_of[moment.kind](moment.found, moment.row))
        # What a template made.
        return [(words, SafeString("".join(lines))) for words, lines in days], has_more


def kinds_there(trade: int) -> list[Counted]:
    """How much there is of each kind but the first, to be counted; every trade has changed, since it appeared."""
    return [Counted(_every, (number,), {"trade": trade}) for number in range(1, len(KINDS))]


def timeline(trade: int, *, is_whole: bool, there: Sequence[int]) -> Timeline:
    """The timeline of a trade, in nine statements at most however long it is; all of it, as far as `MOST`, where
    `is_whole`. `there` is what was counted of `kinds_there`: of what there is none, none is asked for.
    """
    length, many = MOST if is_whole else SHORT, (1, *there)
    latest = tuple(
        [found_models(_latest, number, length, trade=trade) if any_ else NOTHING for number, any_ in enumerate(many)]
    )
    # Nothing is overlooked where nothing is left out.
    is_short = sum(len(found.rows) for found in latest) <= length
    weighty = [kind.weighty if any_ and not is_short else None for kind, any_ in zip(KINDS, many, strict=True)]
    return Timeline(latest, tuple([found_models(makes, trade=trade) if makes else None for makes in weighty]), is_whole)


def _moments(found: tuple[Found[Any] | None, ...]) -> Iterator[Moment]:
    for kind, rows in zip(KINDS, found, strict=True):
        if rows is None or not rows.rows:
            continue
        at, key = rows.column(kind.at), rows.column(kind.key)
        for row in rows.rows:
            moment = as_moment(row[at])
            assert moment is not None  # noqa: S101 # no moment is without its time
            yield Moment(kind.name, moment, rows, row, row[key])
