"""A read: one answer of AssetPay's API to our question about a trade, kept where it changed something."""

from dataclasses import dataclass

from django.db import models

from withdrawals.models.delivery import Delivery


class Route(models.TextChoices):
    """Which of AssetPay's addresses was asked."""

    SECURE = "secure", "GET /secure/trades"
    CLIENT = "client", "GET /client/trades"


class Read(models.Model):
    """Evidence of the same rank as a verified delivery: we asked AssetPay itself, over TLS."""

    trade = models.ForeignKey("withdrawals.Trade", on_delete=models.PROTECT, related_name="reads")
    route = models.CharField(max_length=16, choices=Route)
    read_at = models.DateTimeField()
    body_sha256 = models.CharField(max_length=64)
    document = models.TextField()

    def __str__(self) -> str:
        return f"read {self.pk}"


@dataclass(frozen=True)
class Evidence:
    """How we know what a trade looks like: a verified delivery, or our own read. Exactly one of them."""

    delivery: Delivery | None = None
    read: Read | None = None

    def __post_init__(self) -> None:
        if (self.delivery is None) == (self.read is None):
            raise ValueError("Evidence is one delivery or one read.")

    @property
    def sha256(self) -> str:
        """Hash of the bytes that said so, in hex."""
        if self.delivery is not None:
            return self.delivery.body_sha256
        return self.read.body_sha256 if self.read is not None else ""

    @property
    def cause(self) -> str:
        """What the audit log names as the cause."""
        if self.delivery is not None:
            return f"delivery:{self.delivery.pk}"
        return f"read:{self.read.pk}" if self.read is not None else ""
