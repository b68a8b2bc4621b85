"""A saved view: the filters of a list under a name, for oneself or for the whole team."""

from typing import Any, Self

from django.conf import settings
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_lazy

from withdrawals.models.prepared import Counted, rows_of
from withdrawals.models.user import User


class SavedList(models.TextChoices):
    """Lists whose filters can be kept; the value is the name of the list's address."""

    ITEMS = "item_list", gettext_lazy("Items")
    TRADES = "trade_list", gettext_lazy("Trades")
    CANCELLATIONS = "cancellation_list", gettext_lazy("Cancellations")
    REFUNDS = "refund_list", gettext_lazy("Refunds")
    DELIVERIES = "delivery_list", gettext_lazy("Callbacks")
    AUDIT = "audit_list", gettext_lazy("Audit log")

    @property
    def permission(self) -> str:
        """What opens the list opens its views."""
        return "see_audit" if self is SavedList.AUDIT else "see_desk"


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    """Reads of saved views."""

    def seen_by(self, person: int) -> Self:
        """What the person with this key sees: the team's and their own."""
        return self.filter(Q(is_shared=True) | Q(owner=person))

    def of(self, saved_list: str, person: int) -> Self:
        """What they see above a list: the team's first."""
        return self.seen_by(person).filter(saved_list=saved_list).order_by("-is_shared", "name", "pk")


class SavedView(models.Model):
    """A name for the query string of a list."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="saved_views", db_index=False
    )
    saved_list = models.CharField(max_length=32, choices=SavedList)
    name = models.CharField(max_length=60)
    # Without a place in the list: a view begins at its beginning.
    query = models.CharField(max_length=1_000, blank=True, default="")
    is_shared = models.BooleanField(default=False)
    saved_at = models.DateTimeField()

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "saved_list", "name"], name="one_view_per_owner_and_name"),
            models.CheckConstraint(condition=Q(saved_list__in=SavedList.values), name="view_list_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def removal_refusal(self, person: User) -> str:
        """Why this person may not take it away, or nothing."""
        if person.pk == self.owner_id or (self.is_shared and person.may("manage_people")):
            return ""
        return gettext("Only {who} or an admin can remove this view.").format(who=self.owner)


COLUMNS = tuple(field.attname for field in SavedView._meta.concrete_fields)


def seen_views(saved_list: SavedList, person: User) -> list[SavedView]:
    """What this person sees above a list; of each view's owner no more than key and e-mail."""
    views = []
    seen = views_seen(saved_list, person)
    for *columns, email in rows_of(seen.makes, **seen.values):
        view = SavedView.from_db(connection.alias, COLUMNS, columns)
        view.owner = User(pk=view.owner_id, email=email)
        views.append(view)
    return views


def views_seen(saved_list: SavedList, person: User) -> Counted:
    """The same, to be counted."""
    return Counted(_seen, (), {"saved_list": saved_list.value, "person": person.pk})


def _seen(saved_list: str, person: int) -> QuerySet[SavedView, Any]:
    return SavedView.objects.of(saved_list, person).values_list(*COLUMNS, "owner__email")
