"""Anchors: the head of the audit log as it was sent elsewhere, so that a rewritten log shows."""

from collections.abc import Iterable
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from withdrawals.models.audit_chain import Anchor


class AnchorPlace(models.TextChoices):
    """Where an anchor goes."""

    FILE = "file", gettext_lazy("File")
    EMAIL = "email", gettext_lazy("Mail")
    SLACK = "slack", gettext_lazy("Slack")


class AuditAnchorQuerySet(models.QuerySet["AuditAnchor"]):
    """Reads of anchors."""

    def last_at(self, place: AnchorPlace) -> "AuditAnchor | None":
        """The last one that this place took."""
        return self.filter(place=place).order_by("-sent_at", "-pk").first()

    def after(self, number: int) -> Self:
        """Those of entries after `number`."""
        return self.filter(number__gt=number).order_by("number", "pk")

    def as_sent(self) -> Iterable[Anchor]:
        """What a walk along the chain compares with."""
        for number, digest, place in self.values_list("number", "hash", "place").iterator(chunk_size=5_000):
            yield Anchor(number, digest, f"sent to {AnchorPlace(place).label.lower()}")


class AuditAnchor(models.Model):
    """One head that a place took. Made after the sending, and like the log it never changes.

    Somebody who owns the database can rewrite these rows too; the file, the mails and the Slack channel they cannot.
    """

    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    place = models.CharField(max_length=8, choices=AnchorPlace)
    sent_at = models.DateTimeField()

    objects = AuditAnchorQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers that send at one moment send the same thing twice, and it is kept once.
            models.UniqueConstraint(fields=["place", "number", "hash"], name="one_anchor_per_place_and_head"),
            models.CheckConstraint(condition=Q(place__in=AnchorPlace.values), name="anchor_place_known"),
        ]
        indexes = [
            models.Index(fields=["number"], name="anchor_by_number"),
            models.Index(fields=["place", "-sent_at"], name="anchor_by_place"),
        ]

    def __str__(self) -> str:
        return f"anchor of {self.number} in {self.place}"
