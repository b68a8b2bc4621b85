"""The merchant's wallet at AssetPay, as the clock reads it."""

from typing import Self

from django.db import models
from django.db.models import Q

from withdrawals.models.money import UsdField


class WalletQuerySet(models.QuerySet["WalletReading"]):
    """Reads of readings."""

    def latest_answer(self) -> Self:
        """The last reading that AssetPay answered."""
        return self.filter(failure="").order_by("-last_read_at", "-pk")


class WalletReading(models.Model):
    """What `GET /v1/wallets/me/balance` said from `read_at` to `last_read_at`; `failure` where it said nothing.

    The same answer again moves only `last_read_at`, so the table grows with changes, not with time.
    """

    read_at = models.DateTimeField()
    last_read_at = models.DateTimeField(db_index=True)
    balance = UsdField(null=True)
    pending_balance = UsdField(null=True)
    escrow_balance = UsdField(null=True)
    currency = models.CharField(max_length=16, blank=True, default="")
    failure = models.CharField(max_length=300, blank=True, default="")

    objects = WalletQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(failure="")
                | Q(balance__isnull=False, pending_balance__isnull=False, escrow_balance__isnull=False),
                name="wallet_reading_has_balances_or_a_failure",
            ),
        ]

    def __str__(self) -> str:
        return f"wallet at {self.last_read_at}"
