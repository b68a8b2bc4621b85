"""How reading back from AssetPay goes: one row, so that every process and the alarms see the same."""

from django.db import models
from django.db.models import Q


class ReadState(models.Model):
    """When reads last worked, when and how they last failed."""

    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_read_state")]

    def __str__(self) -> str:
        return self.failure or "reads work"
