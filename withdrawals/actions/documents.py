"""Reading raw documents. They hold what customers would not want told, so every reading is an entry in the log."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Trade


def note_document_read(*, document: str, trade: Trade | None, origin: Origin, now: datetime) -> None:
    """Write down that `origin` read a raw document: "delivery:12" or "trade"."""
    with transaction.atomic():
        record([Fact("document.read", trade=trade, after={"document": document})], origin=origin, now=now)
