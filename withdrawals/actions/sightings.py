"""Counting what AssetPay says beyond its documents. Nothing else follows from it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F

from withdrawals.assetpay.errors import AssetPayError
from withdrawals.assetpay.verdicts import EXPECTED_KEYS
from withdrawals.models import Sighting
from withdrawals.models.sighting import ERROR_KEY


def note_sightings(names: Iterable[str], *, now: datetime) -> None:
    """Count each name as often as it is given, within the caller's transaction if there is one.

    Sorted, and after the caller's audit entries, so that two callers never wait for each other in a ring.
    """
    counted = Counter(name[:200] for name in names)
    if not counted:
        return
    with transaction.atomic():
        for name, times in sorted(counted.items()):
            seen = Sighting.objects.filter(name=name).update(times_seen=F("times_seen") + times, last_seen_at=now)
            if not seen:
                Sighting.objects.bulk_create(
                    [Sighting(name=name, times_seen=times, first_seen_at=now, last_seen_at=now)],
                    update_conflicts=True,
                    unique_fields=["name"],
                    update_fields=["last_seen_at"],
                )


def note_error_key(error: Exception, *, now: datetime) -> None:
    """Count the key of an answer that says no, where it is none that we expect; whatever else went wrong has none."""
    if isinstance(error, AssetPayError) and error.key and error.key not in EXPECTED_KEYS:
        note_sightings([f"{ERROR_KEY}{error.key}"], now=now)
