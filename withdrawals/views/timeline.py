"""The one timeline of a trade: clicks, calls, callbacks, reads, notes, and what each of them changed."""

from dataclasses import dataclass
from datetime import datetime

from withdrawals.models import Attempt, AuditEntry, Delivery, Note, Read, Trade

LENGTH = 200


@dataclass(frozen=True)
class Moment:
    """One line: what kind it is (`change`, `call`, `callback`, `read` or `note`), when, and the row that it shows."""

    kind: str
    at: datetime
    row: AuditEntry | Attempt | Delivery | Read | Note


def timeline(trade: Trade) -> tuple[list[Moment], bool]:
    """The latest moments of a trade, newest first, and whether there are more. Five queries, however many items."""
    # A note stands for itself; its entry in the log would say it again.
    entries = AuditEntry.objects.filter(trade=trade).exclude(action="note.written").select_related("item")
    attempts = Attempt.objects.filter(cancellation__item__trade=trade).select_related("cancellation__item")
    deliveries = Delivery.objects.filter(trade=trade).defer("body")
    reads = Read.objects.filter(trade=trade).defer("document")
    notes = Note.objects.filter(trade=trade).select_related("item", "author")
    moments = [
        *(Moment("change", row.at, row) for row in entries.order_by("-number")[: LENGTH + 1]),
        *(Moment("call", row.started_at, row) for row in attempts.order_by("-pk")[: LENGTH + 1]),
        *(Moment("callback", row.received_at, row) for row in deliveries.order_by("-pk")[: LENGTH + 1]),
        *(Moment("read", row.read_at, row) for row in reads.order_by("-pk")[: LENGTH + 1]),
        *(Moment("note", row.written_at, row) for row in notes.order_by("-pk")[: LENGTH + 1]),
    ]
    # Python's sort keeps what comes first among equals: of one moment, the change stands above its cause.
    moments.sort(key=lambda moment: moment.at, reverse=True)
    return moments[:LENGTH], len(moments) > LENGTH
