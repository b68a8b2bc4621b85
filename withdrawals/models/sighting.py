"""A sighting: something of AssetPay's that none of its documents names, counted until somebody looks."""

from django.db import models

# What stands before an error key, in the name of its sighting.
ERROR_KEY = "error.key="


class Sighting(models.Model):
    """One unknown key, status, enum value or error key, with how often and from when to when it was seen."""

    name = models.CharField(max_length=200, unique=True)
    times_seen = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name
