"""What a Django user would pick instead: the admin over the items, as one writes it first, and tuned."""

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.functional import cached_property

from withdrawals.models import Item, User

COLUMNS = ("assetpay_id", "market_hash_name", "status", "price", "trade", "opened_at", "status_changed_at")
OFFSET_PAGE = 10_000


class StockAdmin(ModelAdmin[Item]):
    """Columns, a filter, a search and a date hierarchy: what the tutorials show."""

    list_display = COLUMNS
    list_filter = ("status",)
    search_fields = ("assetpay_id", "market_hash_name")
    date_hierarchy = "opened_at"
    list_per_page = 50


class UncountedPaginator(Paginator[Any]):
    """Counts nothing."""

    @cached_property
    def count(self) -> int:
        return 10_000_000


class TunedAdmin(ModelAdmin[Item]):
    """Without what costs: no hierarchy, no count, sorted by an index, its trade joined."""

    list_display = COLUMNS
    list_select_related = ("trade",)
    ordering = ("opened_at", "id")
    show_full_result_count = False
    paginator = UncountedPaginator
    list_per_page = 50

    def get_ordering(self, request: Any) -> tuple[str, ...]:
        return ("opened_at", "id")


def admin_page(kind: type[ModelAdmin[Item]], person: User, number: int = 1) -> HttpResponse:
    """One rendered page of the change list."""
    site = AdminSite(name="admin")
    site.register(Item, kind)
    person.is_superuser = person.is_staff = person.is_active = True
    request = RequestFactory().get("/admin/", {"p": str(number)} if number > 1 else {})
    request.user = person
    request.session = {}  # type: ignore[assignment] # nothing is kept in it
    response = site._registry[Item].changelist_view(request)
    return response.render()  # type: ignore[attr-defined] # a template response
