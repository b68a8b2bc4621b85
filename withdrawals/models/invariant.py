"""An invariant: something that must hold in the tables at any time, and when it was last looked at."""

from django.db import models


class InvariantResult(models.Model):
    """What the last look at one invariant found; `rows` names the first that break it."""

    name = models.CharField(max_length=64, unique=True)
    checked_at = models.DateTimeField()
    broken = models.PositiveIntegerField()
    rows = models.JSONField(default=list)
    # Since when it has been broken; null while it holds.
    broken_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.broken or 'holds'}"
