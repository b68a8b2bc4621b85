"""A saved view: the filters of a list under a name, for oneself or for the whole team."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext, gettext_lazy

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

    def of(self, saved_list: SavedList, person: User) -> Self:
        """What this person sees above a list: the team's first, then their own."""
        visible = Q(is_shared=True) | Q(owner=person)
        found = self.filter(visible, saved_list=saved_list).select_related("owner")
        return found.order_by("-is_shared", "name", "pk")


class SavedView(models.Model):
    """A name for the query string of a list."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="saved_views")
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
