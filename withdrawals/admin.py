"""Django's admin: accounts, and a read-only look at the tables. Never a door round the actions."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
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


class PersonCreationForm(AdminUserCreationForm[User]):
    """A new person, by e-mail."""

    class Meta:
        model = User
        fields = ("email",)


@admin.register(User)
class PersonAdmin(UserAdmin[User]):
    """People by e-mail; roles are groups."""

    add_form = PersonCreationForm
    ordering = ("email",)
    list_display = ("email", "is_active", "last_login")
    list_filter = ("groups", "is_active")
    search_fields = ("email",)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "usable_password", "password1", "password2")}),)
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ("groups",)

    def has_delete_permission(self, request: Any, obj: Model | None = None) -> bool:
        """People are switched off, never deleted: history keeps its subjects."""
        return False


@admin.register(Attempt, AuditEntry, Cancellation, Item, Read, Refund, RefundEntry, RejectedCall, Trade)
class LookAdmin(admin.ModelAdmin[Any]):
    """Looking only, by key; lists neither count nor sort by what no index holds."""

    ordering = ("-pk",)
    show_full_result_count = False
    list_per_page = 50

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
    """Without the bodies, which have a page of their own that masks what must be masked."""

    exclude = ("body", "signature")
