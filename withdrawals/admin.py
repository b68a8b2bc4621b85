"""Django's admin: accounts, and a read-only look at the tables. Never a door round the actions."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import note_person_saved
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
    Source,
    Trade,
    User,
)

# The admin's own log-in form knows no throttle and no second factor; this desk's does.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


# Roles and what they may do are made by a migration, from one table in the code.
admin.site.unregister(Group)


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

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        """Roles are saved last, in the admin's one transaction; then the log learns what this person may do now."""
        super().save_related(request, form, formsets, change)
        note_person_saved(
            person=form.instance,
            changed=form.changed_data,
            origin=Origin(Source.SCREEN, actor=request.user),
            now=timezone.now(),
        )

    def user_change_password(self, request: Any, id: str, form_url: str = "") -> Any:
        """A password set for somebody else is in the log too."""
        answer = super().user_change_password(request, id, form_url)
        if request.method == "POST" and answer.status_code == 302:
            with transaction.atomic():
                note_person_saved(
                    person=User.objects.get(pk=id),
                    changed=["password"],
                    origin=Origin(Source.SCREEN, actor=request.user),
                    now=timezone.now(),
                )
        return answer

    def has_delete_permission(self, request: Any, obj: Model | None = None) -> bool:
        """People are switched off, never deleted: history keeps its subjects."""
        return False


@admin.register(Attempt, AuditEntry, Cancellation, Item, Read, Refund, RefundEntry, RejectedCall, Trade)
class LookAdmin(admin.ModelAdmin[Any]):
    """Looking only, by key; lists neither count nor sort by what no index holds."""

    # Raw documents have pages of their own, which mask the trade link's token and are noted in the log.
    exclude = ("document", "client_trade_url")
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
    """Without the bodies, for the same reason."""

    exclude = ("body", "signature")
