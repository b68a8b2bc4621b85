"""Lines of the audit log and of a trade as text: made once for all to whom they look the same, and kept.

A line is found by the row that it shows, as the database gave it just now, and by who looks at it: nothing needs to be
invalidated, and a right to follow a link belongs to what finds it. Its template sees that row, these rights and the
zones, and nothing else of the page; a column that was not read is an error (`FETCH_RAISE`). Relative times are slots.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any

from django.db.models import FETCH_RAISE, QuerySet
from django.template.loader import get_template
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from withdrawals.models import AuditEntry
from withdrawals.models.prepared import Found, found_models
from withdrawals.views.access import DeskRequest
from withdrawals.views.rows import KeptText, LinePage, fill, kept_text

# Each is one or two kilobytes of text.
KEPT = 4_000
LINES: dict[Hashable, KeptText] = {}
OF_ENTRY = (
    "number",
    "at",
    "actor_id",
    "actor_name",
    "action",
    "trade_id",
    "item_id",
    "before",
    "after",
    "reason",
    "source",
    "cause",
    "request_id",
    "hash",
    "trade__assetpay_id",
    "item__assetpay_id",
    "item__name",
    "item__market_hash_name",
)


def entries() -> QuerySet[AuditEntry]:
    """Entries with everything that a line shows of them, and nothing more."""
    return AuditEntry.objects.select_related("trade", "item").only(*OF_ENTRY).fetch_mode(FETCH_RAISE)


def line_texts(
    template: str, found: Found[Any], *, request: DeskRequest, now: datetime, **more: Hashable
) -> list[SafeString]:
    """What `template` makes of each of these rows, in their order, for the person of this request.

    It is given `row` and `more`. In a page that is kept the relative times stay slots.
    """
    line = line_maker(template, request=request, now=now, **more)
    return [line(found, row) for row in found.rows]


def line_maker(
    template: str, *, request: DeskRequest, now: datetime, **more: Hashable
) -> Callable[[Found[Any], tuple[Any, ...]], SafeString]:
    """The same for one row of what was found at a time."""
    may_read = request.user.has_perm("withdrawals.read_document")
    look = (template, get_language(), get_current_timezone_name(), may_read, *more.items())
    is_kept = getattr(request, "is_kept", False)

    def line(found: Found[Any], row: tuple[Any, ...]) -> SafeString:
        kept = LINES.get((look, row))
        if kept is None:
            perms = {"withdrawals": {"read_document": may_read}}
            shown = {"row": found.model(row), "desk": LinePage(), "perms": perms, **more}
            kept = kept_text(get_template(template).render(shown))
            if len(LINES) >= KEPT:
                LINES.clear()
            LINES[look, row] = kept
        # What a template made.
        return SafeString(kept.text if is_kept else "".join(fill(kept.pieces, {}, now)))

    return line


def entry_texts(found: list[AuditEntry], *, request: DeskRequest, now: datetime, zone: Any) -> list[SafeString]:
    """The lines of these entries of the log, the newest first, with their times in `zone`."""
    keys = tuple(entry.pk for entry in found)
    if not keys:
        return []
    return line_texts("audit.html#audit-row", found_models(_of_keys, keys=keys), request=request, now=now, zone=zone)


def _of_keys(keys: tuple[int, ...]) -> QuerySet[AuditEntry]:
    return entries().filter(pk__in=keys).order_by("-number")
