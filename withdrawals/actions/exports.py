"""Taking the audit log away. Each export is an entry of the log itself, and a whole one ends with it."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import AuditHead


def note_export(*, of: str, form: str, filters: str = "", origin: Origin, now: datetime) -> AuditHead:
    """Write down that `origin` takes rows away: of which list, as what, by which filters. Returns the head after it."""
    with transaction.atomic():
        after: dict[str, Value] = {"list": of, "form": form, "filters": filters[:300]}
        record([Fact("rows.exported", after=after)], origin=origin, now=now)
        return AuditHead.objects.get(pk=1)
