"""The overview's charts: each is a table first, from which the browser draws."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, TruncDay, TruncHour
from django.utils.dates import MONTHS_3
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models import Cancellation, CancellationState, Delivery, Refund, RefundState, SendPermit
from withdrawals.models.prepared import Makes, as_moment, planned_anew, raw_rows_of, rows_of
from withdrawals.models.usual import lengths, percentile
from withdrawals.models.words import Words
from withdrawals.templatetags.desk import LENGTHS, TONES, usd_or_zero

# Of more than these only the latest count; the chart says so.
LATEST = 2_000


@dataclass(frozen=True)
class Range:
    """How far back the charts look: its name in the address, its words, its length, and how long one step is."""

    name: str
    label: Words
    length: timedelta
    step: timedelta


RANGES = (
    Range("24h", gettext_lazy("24 hours"), timedelta(hours=24), timedelta(hours=1)),
    Range("7d", gettext_lazy("7 days"), timedelta(days=7), timedelta(days=1)),
    Range("30d", gettext_lazy("30 days"), timedelta(days=30), timedelta(days=1)),
)
RANGE_BY_NAME = {each.name: each for each in RANGES}

STEPS = (
    (gettext_lazy("up to 10 s"), timedelta(seconds=10)),
    (gettext_lazy("up to 1 min"), timedelta(minutes=1)),
    (gettext_lazy("up to 5 min"), timedelta(minutes=5)),
    (gettext_lazy("up to 15 min"), timedelta(minutes=15)),
    (gettext_lazy("up to 1 h"), timedelta(hours=1)),
    (gettext_lazy("up to 6 h"), timedelta(hours=6)),
    (gettext_lazy("longer"), timedelta.max),
)


@dataclass(frozen=True)
class Bar:
    """One bar: its label, its height, the height in words, and its look."""

    label: Words
    height: int | Decimal
    words: str
    tone: str = "busy"


@dataclass(frozen=True)
class Chart:
    """A titled row of bars; `said` is the sentence that they come to, `empty` what would be here."""

    name: str
    title: str
    measure: str
    bars: Sequence[Bar]
    said: str
    empty: str

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(bar.height for bar in self.bars)


@dataclass(frozen=True)
class ChartFacts:
    """All that the charts show, as it was read; spans are as the driver has them."""

    shown: Range
    outcomes: tuple[tuple[str, int], ...]
    refunds: tuple[tuple[str, int, Decimal | None], ...]
    undone: tuple[tuple[Any, Any], ...]
    lag: tuple[tuple[Any, Any], ...]
    sent: tuple[tuple[datetime, int], ...]
    first: datetime
    limit: int


def chart_facts(shown: Range, now: datetime) -> ChartFacts:
    """What the charts show, in five queries, however much there is."""
    since, name = now - shown.length, shown.name
    first = _step_start(since, shown.step) + shown.step
    return ChartFacts(
        shown=shown,
        outcomes=tuple(rows_of(_asked, since=since)),
        refunds=tuple(rows_of(_opened, since=since)),
        undone=_spans(_undone, since),
        lag=_spans(_received, since),
        sent=tuple(rows_of(_sent, name, first=first)),
        first=first,
        limit=settings.ASSETPAY_CANCELS_PER_MINUTE,
    )


def charts(facts: ChartFacts, counting: int) -> tuple[Chart, ...]:
    """All five of what was read; `counting` sendings count against the limit now."""
    undone = _spread(
        "undone",
        gettext("Time from ask to undone"),
        gettext("Cancellations"),
        facts.undone,
        gettext("How long it takes from the click until the item has come back."),
    )
    lag = _spread(
        "lag",
        gettext("Callback lag"),
        gettext("Callbacks"),
        facts.lag,
        gettext("How old AssetPay's callbacks are when they arrive."),
    )
    return _outcomes(dict(facts.outcomes)), _refunds(facts.refunds), undone, lag, _sendings(facts, counting)


@planned_anew
def _asked(since: datetime) -> QuerySet[Cancellation, Any]:
    asked = Cancellation.objects.filter(requested_at__gte=since).order_by()
    # By what no index is in the order of: SQLite would else walk all cancellations that there are, state by state.
    return asked.annotate(outcome=Coalesce("state", Value(""))).values_list("outcome").annotate(Count("pk"))


@planned_anew
def _opened(since: datetime) -> QuerySet[Refund, Any]:
    opened = Refund.objects.filter(state__in=RefundState.values, opened_at__gte=since)
    return opened.order_by().values_list("state").annotate(Count("pk"), Sum("amount"))


@planned_anew
def _undone(since: datetime) -> QuerySet[Cancellation, Any]:
    undone = Cancellation.objects.filter(requested_at__gte=since, state=CancellationState.CONFIRMED)
    return undone.order_by("-requested_at", "-pk").values_list("requested_at", "ended_at")[:LATEST]


@planned_anew
def _received(since: datetime) -> QuerySet[Delivery, Any]:
    received = Delivery.objects.filter(received_at__gte=since).order_by("-received_at", "-pk")
    return received.values_list("signed_at", "received_at")[:LATEST]


@planned_anew
def _sent(name: str, first: datetime) -> QuerySet[SendPermit, Any]:
    truncate = TruncHour if RANGE_BY_NAME[name].step < timedelta(days=1) else TruncDay
    sent = SendPermit.objects.filter(counts_until__gte=first, reserved_at__gte=first)
    return sent.order_by().annotate(step=truncate("reserved_at", tzinfo=UTC)).values_list("step").annotate(Count("pk"))


def _spans(makes: Makes, since: datetime) -> tuple[tuple[Any, Any], ...]:
    found, _ = raw_rows_of(makes, since=since)
    return tuple([tuple(row) for row in found])


def _outcomes(counts: dict[str, int]) -> Chart:
    bars = tuple(
        Bar(state.label, counts.get(state, 0), str(counts.get(state, 0)), TONES.get(state, "quiet"))
        for state in CancellationState
    )
    undone = counts.get(CancellationState.CONFIRMED, 0)
    ended = undone + counts.get(CancellationState.OVERTAKEN, 0)
    said = gettext("{count} asked for; of {ended} that AssetPay ended, {undone} came back undone.").format(
        count=sum(counts.values()), ended=ended, undone=undone
    )
    return Chart(
        "outcomes",
        gettext("Cancellations by outcome"),
        gettext("Cancellations"),
        bars,
        said,
        gettext("Every cancel that somebody asks for counts here by what became of it."),
    )


def _refunds(opened: tuple[tuple[str, int, Decimal | None], ...]) -> Chart:
    sums = {state: (count, total or Decimal(0)) for state, count, total in opened}
    bars = []
    for state in RefundState:
        count, total = sums.get(state, (0, Decimal(0)))
        bars.append(
            Bar(
                state.label,
                total,
                gettext("{total} in {count}").format(total=usd_or_zero(total), count=count),
                TONES.get(state, "good" if state == RefundState.CONFIRMED else "quiet"),
            )
        )
    total = sum((total for _count, total in sums.values()), Decimal(0))
    said = gettext("{count} opened, {total} together.").format(
        count=sum((count for count, _total in sums.values())), total=usd_or_zero(total)
    )
    return Chart(
        "refunds",
        gettext("Refunds by state and value"),
        gettext("US dollars"),
        tuple(bars),
        said,
        gettext("What is owed for items that ended undelivered counts here by what became of it."),
    )


def _spread(name: str, title: str, measure: str, spans: Iterable[tuple[Any, Any]], empty: str) -> Chart:
    took = lengths((as_moment(start), as_moment(end)) for start, end in spans)
    counts = Counter(next(label for label, most in STEPS if length <= most) for length in took)
    bars = tuple(
        Bar(label, counts[label], str(counts[label]), "good" if most <= timedelta(minutes=5) else "note")
        for label, most in STEPS
    )
    of = gettext("the latest {count}").format(count=f"{LATEST:,}") if len(took) == LATEST else str(len(took))
    half, most = span_words(percentile(took, 50)), span_words(percentile(took, 90))
    said = gettext("Half within {half}, nine of ten within {most}, of {of}.").format(half=half, most=most, of=of)
    return Chart(name, title, measure, bars, said, empty)


def _sendings(facts: ChartFacts, counting: int) -> Chart:
    shown, limit, counts = facts.shown, facts.limit, dict(facts.sent)
    steps = [facts.first + number * shown.step for number in range(int(shown.length / shown.step))]
    bars = tuple(Bar(_step_words(step, shown), counts.get(step, 0), str(counts.get(step, 0))) for step in steps)
    unit = gettext("an hour") if shown.step < timedelta(days=1) else gettext("a day")
    most = int(limit * shown.step / timedelta(minutes=1))
    used = gettext("{counting} of {limit} a minute are in use now").format(counting=counting, limit=limit)
    said = gettext("{used}; {count} were sent, of at most {most} {unit} (times in UTC).").format(
        used=used, count=sum(counts.values()), most=f"{most:,}", unit=unit
    )
    return Chart(
        "sendings",
        gettext("Sending budget"),
        gettext("Cancels sent"),
        bars,
        said,
        gettext("Each cancel that leaves for AssetPay counts here against its limit."),
    )


def _step_start(moment: datetime, step: timedelta) -> datetime:
    start = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return start if step < timedelta(days=1) else start.replace(hour=0)


def _step_words(step: datetime, shown: Range) -> str:
    if shown.step < timedelta(days=1):
        return f"{step:%H:%M}"
    return f"{step:%d} {str(MONTHS_3[step.month]).title()}"


def span_words(length: timedelta) -> str:
    """A length in one unit, rounded up, so that it never promises too much."""
    seconds = length.total_seconds()
    size, words = next((size, words) for size, words in LENGTHS if seconds >= 2 * size or size == 1)
    return str(words).format(count=f"{-(-seconds // size):.0f}")
