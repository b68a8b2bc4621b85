"""A note: what a person of the desk wants the next one to know of a trade, or of one item in it. It never changes."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from withdrawals.models.item import Item
from withdrawals.models.trade import Trade

LONGEST_NOTE = 2_000


class Note(models.Model):
    """One note, for staff only."""

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="notes")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, null=True, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    text = models.CharField(max_length=LONGEST_NOTE)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="note_says_something")]

    def __str__(self) -> str:
        return f"note {self.pk}"
