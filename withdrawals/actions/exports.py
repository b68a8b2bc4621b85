"""Taking rows or a case out of the desk: an entry in the log, before the first byte leaves."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Item


def note_export(*, rows: str, filtered_by: str, origin: Origin, now: datetime) -> None:
    """Write down that `origin` exports a list ("refunds"), and by which filter (the query string)."""
    with transaction.atomic():
        fact = Fact("rows.exported", after={"list": rows, "filter": filtered_by[:500]})
        record([fact], origin=origin, now=now)


def note_case_file(*, item: Item, sha256: str, origin: Origin, now: datetime) -> None:
    """Write down that `origin` made the case file of an item (its trade loaded), with the file's own hash."""
    with transaction.atomic():
        record([Fact("case.exported", item=item, after={"sha256": sha256})], origin=origin, now=now)
