"""Filters of the lists, from the query string. An id finds its row whatever else is set."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy

from withdrawals.assetpay.callbacks import Kind
from withdrawals.models import (
    AuditEntry,
    Batch,
    BatchState,
    Cancellation,
    CancellationState,
    Delivery,
    Item,
    Refund,
    RefundState,
    Role,
    Source,
    Trade,
    Verdict,
)
from withdrawals.models.audit_role import acted_as
from withdrawals.models.pasted import read_pasted

DATE_INPUT = forms.DateInput(attrs={"type": "date"})
TIME_INPUT = forms.TimeInput(attrs={"type": "time"})
UTC_ZONE = ZoneInfo("UTC")
ZONES = (
    "UTC", "Europe/London", "Europe/Lisbon", "Europe/Berlin", "Europe/Warsaw", "Europe/Kyiv", "Europe/Istanbul",
    "Europe/Moscow", "Asia/Dubai", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
    "Pacific/Auckland", "America/Sao_Paulo", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles",
)  # fmt: skip
LAST_MOMENT = datetime.max.replace(tzinfo=UTC, second=0, microsecond=0)
NEEDS_A_PERSON = "person"
GIVEN_UP = "stuck"
KIND_UNKNOWN = "unknown"
KINDS = [
    *((kind.value, capfirst(gettext_lazy(kind.replace("_", " ")))) for kind in Kind),
    (KIND_UNKNOWN, gettext_lazy("Kind unknown")),
]
CHANGED_SOMETHING = "changed"
MARKED_BY: dict[str, dict[str, Any]] = {
    "late": {"is_late": True},
    "repeated": {"times_received__gt": 1},
    "direct": {"is_copy": False},
    "conflict": {"conflicts_with__isnull": False},
}
MARKS = [
    (CHANGED_SOMETHING, gettext_lazy("that changed something")),
    ("late", gettext_lazy("that came late")),
    ("repeated", gettext_lazy("that came more than once")),
    ("direct", gettext_lazy("straight from AssetPay")),
    ("conflict", gettext_lazy("with another's id")),
]


def trades_for(text: str) -> QuerySet[Trade]:
    """Trades for whatever was pasted: an id of theirs or of an item in them, the tail of one, or an item's name."""
    pasted = read_pasted(text)
    items, _ = Item.objects.search(text)
    own = Trade.objects.with_ids(pasted.ids).values("pk").union(Trade.objects.with_ends(pasted.ends).values("pk"))
    return Trade.objects.filter(pk__in=own.union(items.order_by().values("trade")))


def stuck_or_unknown() -> QuerySet[Cancellation]:
    """Cancellations that nothing moves any more by itself: given up by the workers, or of unknown outcome."""
    return Cancellation.objects.stuck() | Cancellation.objects.outcome_unknown()


class SearchedSet(django_filters.FilterSet):  # type: ignore[misc] # django-filter ships no types
    """A list with a search box `q`, which is looked at first."""

    q = django_filters.CharFilter(max_length=200, label=gettext_lazy("Search"), method="leave")
    cursor = django_filters.CharFilter(max_length=60, label=gettext_lazy("Place in the list"), method="leave")
    is_found_by_id = False

    def leave(self, queryset: QuerySet[Any], name: str, value: object) -> QuerySet[Any]:
        """Neither narrows the list by itself."""
        return queryset

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """As django-filter does, but for an id, which alone decides."""
        text = self.form.cleaned_data.get("q", "").strip()
        if text:
            by_id = self.with_id(queryset, text)
            if by_id.exists():
                self.is_found_by_id = True
                return by_id
            queryset = self.with_text(queryset, text)
        return self.narrow(super().filter_queryset(queryset))

    def narrow(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What else the list leaves out, unless an id was asked for."""
        return queryset

    def with_id(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """The rows that `text` names exactly."""
        return queryset.none()

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """The rows in which `text` occurs."""
        return queryset.none()


class ItemLinkedSet(SearchedSet):
    """A list of rows that belong to an item."""

    def with_id(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By an id or the tail of an id of the item, its trade or its customer."""
        items, is_id = Item.objects.search(text)
        return queryset.filter(item__in=items) if is_id else queryset.none()

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the item's name."""
        return queryset.filter(item__in=Item.objects.search(text)[0])


class CancellationFilter(ItemLinkedSet):
    """`/cancellations/`."""

    state = django_filters.ChoiceFilter(
        choices=[
            (NEEDS_A_PERSON, gettext_lazy("Needs a person")),
            (GIVEN_UP, gettext_lazy("Given up")),
            *CancellationState.choices,
        ],
        label=gettext_lazy("State"),
        empty_label=gettext_lazy("Any state"),
        method="in_state",
    )

    class Meta:
        model = Cancellation
        fields: list[str] = []

    def in_state(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """One state, or all that the workers gave up, with those of which nobody knows the outcome or without."""
        if value == NEEDS_A_PERSON:
            return queryset.filter(pk__in=stuck_or_unknown().values("pk"))
        if value == GIVEN_UP:
            return queryset.filter(pk__in=Cancellation.objects.stuck().values("pk"))
        return queryset.filter(state=value)

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the item's name or by who asked."""
        by_name = Q(item__in=Item.objects.search(text)[0])
        return queryset.filter(by_name | Q(requested_by__email__icontains=text))


class BatchFilter(SearchedSet):
    """`/batches/`."""

    state = django_filters.ChoiceFilter(
        choices=BatchState.choices, label=gettext_lazy("State"), empty_label=gettext_lazy("Any state")
    )

    class Meta:
        model = Batch
        fields: list[str] = []

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By who asked, why, or what was chosen."""
        found = Q(requested_by__email__icontains=text) | Q(reason__icontains=text) | Q(selection__icontains=text)
        return queryset.filter(found)


class RefundFilter(ItemLinkedSet):
    """`/refunds/`: one state at a time, `due` where the address names none."""

    class Meta:
        model = Refund
        fields: list[str] = []

    def __init__(self, *args: Any, state: RefundState, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state = state

    def narrow(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """One state, unless an id was asked for."""
        return queryset.filter(state=self.state)

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the item's name or the payout's reference."""
        return queryset.filter(Q(item__in=Item.objects.search(text)[0]) | Q(reference__icontains=text))


class MoneyFilter(ItemLinkedSet):
    """`/refunds/money/`: refunds in any state."""

    class Meta:
        model = Refund
        fields: list[str] = []

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the item's name or the payout's reference."""
        return queryset.filter(Q(item__in=Item.objects.search(text)[0]) | Q(reference__icontains=text))


class TradeFilter(SearchedSet):
    """`/trades/`."""

    class Meta:
        model = Trade
        fields: list[str] = []

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By anything that leads to a trade."""
        return queryset.filter(pk__in=trades_for(text).values("pk"))


class DeliveryFilter(SearchedSet):
    """`/deliveries/`."""

    verdict = django_filters.ChoiceFilter(
        choices=[(NEEDS_A_PERSON, gettext_lazy("Needs a person")), *Verdict.choices],
        label=gettext_lazy("Verdict"),
        empty_label=gettext_lazy("Any verdict"),
        method="with_verdict",
    )
    kind = django_filters.ChoiceFilter(
        choices=KINDS, label=gettext_lazy("Kind"), empty_label=gettext_lazy("Any kind"), method="of_kind"
    )
    mark = django_filters.ChoiceFilter(
        choices=MARKS, label=gettext_lazy("Only those"), empty_label=gettext_lazy("All"), method="with_mark"
    )

    class Meta:
        model = Delivery
        fields: list[str] = []

    def of_kind(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """One kind, or those of which nobody knows what they are."""
        return queryset.filter(kind="" if value == KIND_UNKNOWN else value)

    def with_mark(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Those about which something is special."""
        if value == CHANGED_SOMETHING:
            return queryset.exclude(changes=[])
        return queryset.filter(**MARKED_BY[value])

    def with_verdict(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """One verdict, or all that need a person."""
        if value == NEEDS_A_PERSON:
            return queryset.filter(pk__in=Delivery.objects.needing_a_person().values("pk"))
        return queryset.filter(verdict=value)

    def with_id(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the delivery's own id, or the id of what it speaks of."""
        return queryset.filter(Q(delivery_id=text) | Q(subject_id=text) | Q(trade__in=Trade.objects.search(text)))

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the tail of an id."""
        return queryset.filter(Q(delivery_id__iendswith=text) | Q(subject_id__iendswith=text))


class ZoneField(forms.CharField):
    """The name of a time zone, such as Europe/Lisbon; UTC where none is given."""

    widget = forms.TextInput(attrs={"list": "zones", "placeholder": "UTC", "autocomplete": "off"})

    def clean(self, value: Any) -> ZoneInfo:
        """The zone. A name that nobody gave to one is refused, as whatever else leads out of the zones' folder."""
        name = super().clean(value) or "UTC"
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise forms.ValidationError(gettext("There is no such time zone. Write it like Europe/Lisbon.")) from error


class ZoneFilter(django_filters.Filter):  # type: ignore[misc] # django-filter ships no types
    """By which zone the days and times beside it are meant."""

    field_class = ZoneField


class AuditForm(forms.Form):
    """What the days and times of the log's filters mean together."""

    def clean(self) -> dict[str, Any]:
        """A time of day belongs to a day."""
        found: dict[str, Any] = super().clean() or {}
        for end in ("from", "to"):
            if found.get(f"time_{end}") and not found.get(f"date_{end}") and not self.errors.get(f"date_{end}"):
                self.add_error(f"date_{end}", gettext("A time of day needs its day."))
        return found


class AuditFilter(SearchedSet):
    """`/audit/`. Days are calendar days of the zone, both ends included; a time at the end includes its minute."""

    person = django_filters.CharFilter(
        max_length=254, field_name="actor_name", lookup_expr="icontains", label=gettext_lazy("Person")
    )
    role = django_filters.ChoiceFilter(
        choices=Role.choices,
        label=gettext_lazy("Role at the time"),
        empty_label=gettext_lazy("Any role"),
        method="of_role",
    )
    action = django_filters.ChoiceFilter(
        label=gettext_lazy("Action"), empty_label=gettext_lazy("Any action"), lookup_expr="exact"
    )
    source = django_filters.ChoiceFilter(
        choices=Source.choices, label=gettext_lazy("Door"), empty_label=gettext_lazy("Any door")
    )
    item = django_filters.CharFilter(max_length=200, label=gettext_lazy("Item (id)"), method="of_item")
    trade = django_filters.CharFilter(max_length=200, label=gettext_lazy("Trade (id)"), method="of_trade")
    cause = django_filters.CharFilter(
        max_length=64, label=gettext_lazy("Cause (such as delivery:12)"), method="by_cause"
    )
    date_from = django_filters.DateFilter(method="from_day", label=gettext_lazy("From"), widget=DATE_INPUT)
    time_from = django_filters.TimeFilter(method="leave", label=gettext_lazy("From, time of day"), widget=TIME_INPUT)
    date_to = django_filters.DateFilter(method="to_day", label=gettext_lazy("To"), widget=DATE_INPUT)
    time_to = django_filters.TimeFilter(method="leave", label=gettext_lazy("To, time of day"), widget=TIME_INPUT)
    zone = ZoneFilter(label=gettext_lazy("Time zone"), method="leave")

    class Meta:
        model = AuditEntry
        fields: list[str] = []
        form = AuditForm

    def __init__(self, *args: Any, actions: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["action"].extra["choices"] = actions

    @property
    def chosen_zone(self) -> ZoneInfo:
        """The zone that the days are meant in, and in which the list shows its times."""
        zone: ZoneInfo = self.form.cleaned_data.get("zone") or UTC_ZONE
        return zone

    def of_role(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By people who had this role when they acted."""
        return queryset.filter(acted_as(Role(value)))

    def of_item(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By any id of an item."""
        return queryset.filter(item__in=Item.objects.search(value)[0])

    def of_trade(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By any id of a trade: what was said of it and of its items."""
        return queryset.filter(trade__in=Trade.objects.search(value.strip()))

    def by_cause(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """One delivery, read or attempt; or all of a kind."""
        kind, _, key = value.strip().partition(":")
        return queryset.filter(cause=value.strip()) if key else queryset.filter(cause__startswith=f"{kind}:")

    def from_day(self, queryset: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """From the beginning of the day on, or from its time."""
        start = self.form.cleaned_data.get("time_from") or time.min
        return queryset.filter(at__gte=_moment(value, start, self.chosen_zone))

    def to_day(self, queryset: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """The whole last day too, or the whole minute of its time."""
        end: time | None = self.form.cleaned_data.get("time_to")
        if end is not None:
            last = _moment(value, end.replace(second=0), self.chosen_zone)
            return queryset.filter(at__lt=last + timedelta(minutes=1)) if last < LAST_MOMENT else queryset
        if value == date.max:
            return queryset
        return queryset.filter(at__lt=_moment(value + timedelta(days=1), time.min, self.chosen_zone))

    def with_id(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the number of an entry (#12), AssetPay's id of a trade or item, any other id that leads to them, or our
        own number of a trade.
        """
        number = text.removeprefix("#")
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        if text.startswith("#") and is_number:
            return queryset.filter(number=int(number))
        items, is_id = Item.objects.search(text)
        found = Q(trade__in=Trade.objects.search(text))
        if is_id:
            # An item's id brings what was said of that item, a trade's id all that was said of the trade.
            found |= Q(item__in=items)
        if is_number:
            found |= Q(trade_id=int(number))
        return queryset.filter(found)

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By person or action."""
        return queryset.filter(Q(actor_name__icontains=text) | Q(action__icontains=text))


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A wall clock's time as UTC; where the clock is set back, the first of the two."""
    try:
        return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
    except OverflowError:
        # The ends of the calendar, seen from the other side of the world.
        return datetime.min.replace(tzinfo=UTC) if day.year == 1 else LAST_MOMENT
