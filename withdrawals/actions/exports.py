"""Taking rows, a case or the log itself out of the desk: an entry in the log, before the first byte leaves."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import AuditHead, Item
from withdrawals.models.masking import mask_tokens


def note_export(*, of: str, form: str, filters: str = "", origin: Origin, now: datetime) -> AuditHead:
    """Write down that `origin` takes rows away: of which list, as what, by which filters. Returns the head after it.

    The filters are kept whole, so that an auditor can tell which rows these were; gunicorn takes no longer address than
    4 KiB. An export of the whole log ends with this entry.
    """
    with transaction.atomic():
        after: dict[str, Value] = {"list": of, "form": form, "filters": mask_tokens(filters)}
        record([Fact("rows.exported", after=after)], origin=origin, now=now)
        return AuditHead.objects.get(pk=1)


def note_case_file(*, item: Item, sha256: str, origin: Origin, now: datetime) -> None:
    """Write down that `origin` made the case file of an item (its trade loaded), with the file's own hash."""
    with transaction.atomic():
        record([Fact("case.exported", item=item, after={"sha256": sha256})], origin=origin, now=now)
