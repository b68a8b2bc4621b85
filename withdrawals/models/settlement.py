"""A settlement: a person's word that a cancellation whose end never came was not done."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

from withdrawals.models.cancellation import Cancellation


class SettledAs(models.TextChoices):
    """What a person may settle. "Done" is not among them: only AssetPay's word ends an item undone."""

    NOT_DONE = "not_done", gettext_lazy("Not done")


class Settlement(models.Model):
    """One decision, with the evidence for it or a second person; each cancellation is settled at most once.

    Without evidence it is a proposal until somebody else approves it.
    """

    cancellation = models.OneToOneField(Cancellation, on_delete=models.PROTECT, related_name="settlement")
    outcome = models.CharField(max_length=16, choices=SettledAs, default=SettledAs.NOT_DONE)
    note = models.TextField()
    # What showed that the item was still open after the last request; empty where a second person stands for it.
    evidence = models.CharField(max_length=300, blank=True, default="")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=SettledAs.values), name="settled_as_known"),
            models.CheckConstraint(
                condition=Q(settled_at=None) | ~Q(evidence="") | Q(approved_by__isnull=False),
                name="settled_by_evidence_or_two_people",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=F("proposed_by")), name="nobody_approves_their_own_word"
            ),
        ]

    def __str__(self) -> str:
        return f"settlement of cancellation {self.cancellation_id}"
