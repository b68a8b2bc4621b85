"""Presence: who has an item's dialog or its trade's page open right now. It is shown, expires, and locks nobody out."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

# A browser says so every 10 s; one that crashed is gone well within a minute.
PRESENT_FOR = timedelta(seconds=45)


class PresenceQuerySet(models.QuerySet["Presence"]):
    """Reads of presences."""

    def of_others(self, person: int, *, since: datetime) -> Self:
        """Everybody but the person with this key who was there after `since`, in the order of their e-mails."""
        return self.filter(seen_at__gt=since).exclude(person=person).order_by("person__email")

    def places(self) -> models.QuerySet["Presence", tuple[int | None, int, str]]:
        """The item (None for the whole trade), the trade and the person's e-mail of each."""
        return self.values_list("item_id", "trade_id", "person__email")


class Presence(models.Model):
    """One person at one item, or at a whole trade where `item` is null. Not history: it is deleted when it is over."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    trade = models.ForeignKey("withdrawals.Trade", on_delete=models.CASCADE, related_name="+")
    item = models.ForeignKey("withdrawals.Item", on_delete=models.CASCADE, null=True, related_name="+")
    seen_at = models.DateTimeField()

    objects = PresenceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "item"], condition=Q(item__isnull=False), name="one_presence_per_item"
            ),
            models.UniqueConstraint(fields=["person", "trade"], condition=Q(item=None), name="one_presence_per_trade"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} at {self.item_id or self.trade_id}"
