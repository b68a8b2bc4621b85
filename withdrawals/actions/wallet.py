"""Reading the merchant's wallet by the clock, so that a page never has to ask AssetPay."""

import logging
from datetime import datetime

from django.db import transaction
from django.tasks import task
from django.utils import timezone

from withdrawals import gateway
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.models import WalletReading
from withdrawals.models.money import UsdField

log = logging.getLogger(__name__)


@task
def read_wallet() -> int:
    """Ask AssetPay for the wallet and keep what it says; 1 where that is news. Run twice, it asks twice."""
    return int(note_wallet(now=timezone.now()))


def note_wallet(*, now: datetime) -> bool:
    """Read the wallet and keep the answer, or the failure, with its time; whether it differs from the last.

    Figures of AssetPay's, not facts of ours: no audit entry.
    """
    values: dict[str, object] = {"balance": None, "pending_balance": None, "escrow_balance": None, "currency": ""}
    failure = ""
    try:
        wallet = gateway.fetch_wallet()
    except (AssetPayError, gateway.CannotAsk) as error:
        log.warning("reading the wallet failed: %s", error)
        failure = str(error)[:300] or type(error).__name__
    else:
        values = {
            "balance": UsdField.round(wallet.balance),
            "pending_balance": UsdField.round(wallet.pending_balance),
            "escrow_balance": UsdField.round(wallet.escrow_balance),
            "currency": wallet.currency[:16],
        }
    values["failure"] = failure
    with transaction.atomic():
        last = WalletReading.objects.order_by("-last_read_at", "-pk").first()
        if last is not None and all(getattr(last, name) == value for name, value in values.items()):
            last.last_read_at = now
            last.save(update_fields=["last_read_at"])
            return False
        WalletReading.objects.create(read_at=now, last_read_at=now, **values)
    return True
