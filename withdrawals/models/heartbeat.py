"""A heartbeat: when a process of a kind last showed that it lives, so that every web can say so."""

from django.db import models
from django.utils.translation import gettext_lazy


class Beating(models.TextChoices):
    """Whose heart is listened to."""

    CLOCK = "clock", gettext_lazy("Clock")
    WORKER = "worker", gettext_lazy("Worker")


class Heartbeat(models.Model):
    """The last sign of life of any process of one kind, on any machine."""

    name = models.CharField(max_length=16, unique=True, choices=Beating)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%H:%M:%S}"
