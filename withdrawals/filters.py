"""Filters of the lists, from the query string. An id finds its row whatever else is set."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet

from withdrawals.models import (
    AuditEntry,
    Cancellation,
    CancellationState,
    Delivery,
    Item,
    Refund,
    RefundState,
    Source,
    Trade,
    Verdict,
)

DATE_INPUT = forms.DateInput(attrs={"type": "date"})
NEEDS_A_PERSON = "person"


def trades_for(text: str) -> QuerySet[Trade]:
    """Trades for whatever was pasted: an id of theirs or of an item in them, the tail of one, or an item's name."""
    items, _ = Item.objects.search(text)
    found = Q(pk__in=Trade.objects.search(text).values("pk")) | Q(pk__in=items.values("trade"))
    if len(text) >= 4:
        found |= Q(assetpay_id__iendswith=text)
    return Trade.objects.filter(found)


class SearchedSet(django_filters.FilterSet):  # type: ignore[misc] # django-filter ships no types
    """A list with a search box `q`, which is looked at first."""

    q = django_filters.CharFilter(max_length=200, label="Search", method="leave")
    cursor = django_filters.CharFilter(max_length=60, label="Place in the list", method="leave")
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

    state = django_filters.ChoiceFilter(choices=CancellationState.choices, label="State", empty_label="Any state")

    class Meta:
        model = Cancellation
        fields: list[str] = []

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By the item's name or by who asked."""
        by_name = Q(item__in=Item.objects.search(text)[0])
        return queryset.filter(by_name | Q(requested_by__email__icontains=text))


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
        choices=[(NEEDS_A_PERSON, "Needs a person"), *Verdict.choices],
        label="Verdict",
        empty_label="Any verdict",
        method="with_verdict",
    )

    class Meta:
        model = Delivery
        fields: list[str] = []

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


class AuditFilter(SearchedSet):
    """`/audit/`. Days are calendar days in UTC, both ends included."""

    action = django_filters.ChoiceFilter(label="Action", empty_label="Any action", lookup_expr="exact")
    person = django_filters.CharFilter(max_length=254, field_name="actor_name", lookup_expr="icontains", label="Person")
    source = django_filters.ChoiceFilter(choices=Source.choices, label="Door", empty_label="Any door")
    date_from = django_filters.DateFilter(method="from_day", label="From (UTC)", widget=DATE_INPUT)
    date_to = django_filters.DateFilter(method="to_day", label="To (UTC)", widget=DATE_INPUT)

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def __init__(self, *args: Any, actions: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["action"].extra["choices"] = actions

    def from_day(self, queryset: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """From midnight on."""
        return queryset.filter(at__gte=_midnight(value))

    def to_day(self, queryset: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """The whole last day too."""
        return queryset if value == date.max else queryset.filter(at__lt=_midnight(value + timedelta(days=1)))

    def with_id(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By AssetPay's id of a trade or item, any other id that leads to them, or our own number of a trade."""
        items, is_id = Item.objects.search(text)
        found = Q(trade__in=Trade.objects.search(text))
        if is_id:
            # An item's id brings what was said of that item, a trade's id all that was said of the trade.
            found |= Q(item__in=items)
        if text.isascii() and text.isdigit() and len(text) < 19:
            found |= Q(trade_id=int(text))
        return queryset.filter(found)

    def with_text(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """By person or action."""
        return queryset.filter(Q(actor_name__icontains=text) | Q(action__icontains=text))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
