"""`manage.py import_trades REF…`: bring trades in by AssetPay id or external id."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.trades import import_trades
from withdrawals.assetpay.errors import AssetPayError, ToldToWait
from withdrawals.gateway import REFS_PER_READ, CannotAsk, is_ref
from withdrawals.models import Source

BAR = 30
LONGEST_ID = 128
MOST_SHOWN = 5


class Command(BaseCommand):
    """Reads each trade from AssetPay and mirrors it."""

    help = "Bring trades in by id or external id; `-` reads them from stdin, one per line."

    def add_arguments(self, parser: CommandParser) -> None:
        """The ids."""
        parser.add_argument("refs", nargs="+", metavar="REF")
        parser.add_argument("--dry-run", action="store_true", help="only count the ids")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import in batches, with a progress bar."""
        given = sys.stdin.read().splitlines() if options["refs"] == ["-"] else options["refs"]
        refs = list(dict.fromkeys(ref for line in given if (ref := line.strip())))
        unfit = [ref for ref in refs if not is_ref(ref) or len(ref) > LONGEST_ID]
        if unfit:
            shown = ", ".join(repr(ref[:60]) for ref in unfit[:MOST_SHOWN])
            raise CommandError(f"Nothing was asked for. {len(unfit)} of {len(refs)} cannot be ids: {shown}")
        if options["dry_run"]:
            self.stdout.write(f"Would ask AssetPay for {len(refs)} trades.")
            return
        origin = Origin(Source.COMMAND, name="import_trades")
        found = 0
        for start in range(0, len(refs), REFS_PER_READ):
            batch = refs[start : start + REFS_PER_READ]
            try:
                found += self._import(batch, origin)
            except (AssetPayError, CannotAsk, ValueError) as error:
                raise CommandError(
                    f"After {start} of {len(refs)} asked for, {found} found: {error}\n"
                    "It may be run again with the same ids: what is here already stays as it is."
                ) from error
            self._show(min(start + REFS_PER_READ, len(refs)), len(refs), found)

    def _show(self, asked: int, of: int, found: int) -> None:
        """How far it is: a bar that grows in place on a terminal, a line for each batch anywhere else."""
        bar = "█" * (BAR * asked // of) + "░" * (BAR - BAR * asked // of)
        line = f"{bar} {asked:,} of {of:,} asked for, {found:,} found."
        is_terminal = self.stdout.isatty()
        self.stdout.write(f"\r{line}" if is_terminal else line, ending="" if is_terminal and asked < of else "\n")
        self.stdout.flush()

    def _import(self, batch: Sequence[str], origin: Origin) -> int:
        """Import one batch, as often as AssetPay only asks to wait; how many trades it knew."""
        while True:
            try:
                return len(import_trades(batch, origin=origin, now=timezone.now()))
            except ToldToWait as wait:
                self.stdout.write(f"AssetPay asks to wait {wait.seconds:.0f} s.")
                time.sleep(wait.seconds)
