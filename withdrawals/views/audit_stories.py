"""Everything that the log says about one item, one trade or one person, in one place."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from withdrawals.models import AuditEntry, Cancellation, Item, Refund, Trade, User
from withdrawals.views.access import DeskRequest, needs
from withdrawals.views.audit import audit_filter, entries_for_rows
from withdrawals.views.kept_lines import entry_texts
from withdrawals.views.lists import render_list

# Every step of a cancellation and of a refund, and what the item came to; not each price that was reported.
TOLD = Q(action__startswith="cancellation.") | Q(action__startswith="refund.") | Q(action__startswith="item.")
MOST_ITEMS = 100


@dataclass
class ItemStory:
    """Who cancelled this, on what evidence, and who confirmed the money."""

    item: Item
    cancelling: list[AuditEntry] = field(default_factory=list)
    evidence: list[AuditEntry] = field(default_factory=list)
    money: list[AuditEntry] = field(default_factory=list)

    @property
    def cancellations(self) -> list[Cancellation]:
        """Every request, the last one first."""
        return sorted(self.item.cancellations.all(), key=lambda each: -each.number)

    @property
    def refund(self) -> Refund | None:
        """What became of the money."""
        return getattr(self.item, "refund", None)

    def tell(self, entry: AuditEntry) -> None:
        """Put an entry where it belongs."""
        if entry.action.startswith("cancellation."):
            self.cancelling.append(entry)
        elif entry.action.startswith("refund."):
            self.money.append(entry)
        elif "status" in entry.after:
            self.evidence.append(entry)


def item_stories(items: QuerySet[Item]) -> list[ItemStory]:
    """The stories of these items, in four queries however many they are."""
    requests = Cancellation.objects.select_related("requested_by")
    loaded = (
        items.select_related(
            "trade", "status_delivery", "status_read", "refund__confirmed_by", "refund__evidence_delivery",
            "refund__evidence_read",
        )
        .defer("document", "trade__document", "status_delivery__body", "refund__evidence_delivery__body",
               "status_read__document", "refund__evidence_read__document")
        .prefetch_related(Prefetch("cancellations", requests))
        .order_by("position", "pk")[:MOST_ITEMS]
    )  # fmt: skip
    stories = {item.pk: ItemStory(item) for item in loaded}
    for entry in _told_of(stories):
        stories[entry.item_id or 0].tell(entry)
    return list(stories.values())


def _told_of(items: Iterable[int]) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(TOLD, item__in=list(items)).order_by("number")


@require_safe
@needs("see_audit")
def audit_item(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /audit/items/<pk>/: who cancelled it, on what evidence, who confirmed the money, and every entry."""
    item = get_object_or_404(Item.objects.select_related("trade").defer("document", "trade__document"), pk=pk)
    entries = entries_for_rows().filter(item=item)
    return _story(request, entries, about=item, trade=item.trade, stories=item_stories(Item.objects.filter(pk=pk)))


@require_safe
@needs("see_audit")
def audit_trade(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /audit/trades/<pk>/: the same of each item of a trade, and every entry of them all."""
    trade = get_object_or_404(Trade.objects.defer("document"), pk=pk)
    stories = item_stories(Item.objects.filter(trade=trade))
    return _story(request, entries_for_rows().filter(trade=trade), about=trade, trade=trade, stories=stories)


@require_safe
@needs("see_audit")
def audit_person(request: DeskRequest, pk: int) -> HttpResponse:
    """GET /audit/people/<pk>/: what a person did, and what was done to their account."""
    person = get_object_or_404(User.objects.prefetch_related("groups"), pk=pk)
    done_to = AuditEntry.objects.filter(action__startswith="person.", after__email=person.email)
    entries = entries_for_rows().filter(Q(actor=person) | Q(pk__in=done_to.values("pk")))
    figures = AuditEntry.objects.filter(actor=person).values("action").annotate(count=Count("pk")).order_by("-count")
    return _story(request, entries, about=person, person=person, figures=figures)


def _story(request: DeskRequest, entries: QuerySet[AuditEntry], **context: Any) -> HttpResponse:
    filters = audit_filter(request.GET, entries)
    zone = filters.chosen_zone if filters.form.is_valid() else None
    return render_list(
        request,
        "audit_story.html",
        filters,
        by="number",
        to_rows=lambda found: entry_texts(found, request=request, now=timezone.now(), zone=zone),
        zone=zone,
        **context,
    )
