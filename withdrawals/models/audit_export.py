"""The audit log as text: JSON lines that prove themselves to `scripts/verify_export.py`, and CSV for people."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from django.db.models import QuerySet

from withdrawals.models.audit import AuditEntry, AuditHead
from withdrawals.models.audit_anchor import AuditAnchor
from withdrawals.models.audit_chain import CONTENT, FIRST_OF_ALL

FORMAT = "assetpay-admin audit log, version 1"
CHUNK = 1_000
CSV_COLUMNS = {
    "number": "No.",
    "at": "When (UTC)",
    "actor_name": "Who",
    "action": "What",
    "trade__assetpay_id": "Trade",
    "item__assetpay_id": "Item",
    "before": "Before",
    "after": "After",
    "reason": "Reason",
    "source": "Door",
    "cause": "Cause",
    "request_id": "Request",
    "hash": "SHA-256",
}
# What a spreadsheet takes for the beginning of a formula, in any width, with or without blanks before it.
FORMULA_SIGNS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
BLANKS = " \xa0\u3000\u200b\ufeff"


def json_lines(head: AuditHead, *, now: datetime) -> Iterator[str]:
    """The whole log up to `head`, a chunk of lines at a time, with the anchors that are kept here."""
    start = {"format": FORMAT, "exported_at": _iso(now), "head": {"number": head.number, "hash": head.hash}}
    yield _line(start)
    for anchor in AuditAnchor.objects.filter(number__lte=head.number).order_by("number", "pk").iterator(CHUNK):
        kept = {"number": anchor.number, "hash": anchor.hash, "place": anchor.place, "sent_at": _iso(anchor.sent_at)}
        yield _line({"anchor": kept})
    names = (*CONTENT, "hash")
    entries = AuditEntry.objects.filter(number__lte=head.number).values_list(*names)
    # From the very first: an entry that somebody put before number 1 must show.
    number = FIRST_OF_ALL
    while rows := list(entries.filter(number__gt=number).order_by("number")[:CHUNK]):
        found = [dict(zip(names, row, strict=True)) for row in rows]
        number = found[-1]["number"]
        yield "".join(_line(row | {"at": _iso(row["at"])}) for row in found)
    yield _line({"end": True})


def csv_lines(entries: QuerySet[AuditEntry], *, mark: str = "") -> Iterator[str]:
    """These entries, the newest first, a chunk of lines at a time; `mark` comes before them.

    Cells that look like formulas are made text.
    """
    yield mark + _csv([list(CSV_COLUMNS.values())])
    rows = entries.order_by("-number").values_list(*CSV_COLUMNS)
    last: int | None = None
    while chunk := list((rows if last is None else rows.filter(number__lt=last))[:CHUNK]):
        last = chunk[-1][0]
        yield _csv([[_cell(value) for value in row] for row in chunk])


def _line(content: Mapping[str, object]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, dict):
        value = "; ".join(f"{name}: {each}" for name, each in value.items() if each not in (None, ""))
    return plain_text("" if value is None else str(value))


def plain_text(text: str) -> str:
    """A text as a cell that no spreadsheet runs."""
    text = text.replace("\x00", "")
    return f"'{text}" if text.lstrip(BLANKS).startswith(FORMULA_SIGNS) else text
