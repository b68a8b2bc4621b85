"""Django's admin: a read-only look at our tables, for whoever holds the server. Never a door round the actions."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.db.models import Model

from withdrawals.models import (
    Attempt,
    AuditEntry,
    Cancellation,
    Delivery,
    Item,
    Read,
    Refund,
    RefundEntry,
    RejectedCall,
    Trade,
    User,
)

# The admin's own log-in form knows no throttle and no second factor; this desk's does.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


@admin.register(Attempt, AuditEntry, Cancellation, Item, Read, Refund, RefundEntry, RejectedCall, Trade)
class LookAdmin(admin.ModelAdmin[Any]):
    """Looking only, by key; lists neither count nor sort by what no index holds."""

    # Raw documents have pages of their own, which mask the trade link's token and are noted in the log.
    exclude = ("document", "client_trade_url")
    ordering = ("-pk",)
    show_full_result_count = False
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """No filter in the address: `password__startswith` would tell what is not shown, sign by sign."""
        return False

    def has_add_permission(self, request: Any) -> bool:
        """Rows come from actions."""
        return False

    def has_change_permission(self, request: Any, obj: Model | None = None) -> bool:
        """Rows change by actions."""
        return False

    def has_delete_permission(self, request: Any, obj: Model | None = None) -> bool:
        """Rows stay."""
        return False


@admin.register(Delivery)
class DeliveryAdmin(LookAdmin):
    """Without the bodies, for the same reason."""

    exclude = ("body", "signature")


@admin.register(User)
class PersonAdmin(LookAdmin):
    """People are managed at `/people/`, where each step asks for a fresh proof and is noted."""

    fields = ("email", "is_active", "is_staff", "is_superuser", "groups", "last_login", "date_joined")
    list_display = ("email", "is_active", "last_login")
    search_fields = ("email",)
