"""`manage.py export_audit`: the whole audit log as JSON lines, for `scripts/verify_export.py`, or as CSV for people."""

from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.exports import note_export
from withdrawals.models import AuditEntry, AuditHead, Source
from withdrawals.models.audit_export import csv_lines, json_lines


class Command(BaseCommand):
    """Writes to a new file, or to standard output. The export is an entry of the log."""

    help = "Export the whole audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and in which form."""
        parser.add_argument("--output", default="-", help="a file that is not there yet; standard output without it")
        parser.add_argument("--form", choices=["jsonl", "csv"], default="jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the log down, and say how far it went where standard output is free."""
        now = timezone.now()
        if options["output"] == "-":
            self._write(self.stdout, options["form"], now=now)
            return
        try:
            # Never over another export: that may be the only true one.
            with Path(options["output"]).open("x", encoding="utf-8", newline="") as out:
                head = self._write(OutputWrapper(out, ending=""), options["form"], now=now)
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror}.") from error
        self.stdout.write(f"{head.number} entries exported to {options['output']}; the head is {head.hash}.")

    def _write(self, out: OutputWrapper, form: str, *, now: datetime) -> AuditHead:
        head = note_export(of="audit_list", form=form, origin=Origin(Source.COMMAND, name="export_audit"), now=now)
        entries = AuditEntry.objects.filter(number__lte=head.number)
        for text in csv_lines(entries) if form == "csv" else json_lines(head, now=now):
            out.write(text, ending="")
        return head
