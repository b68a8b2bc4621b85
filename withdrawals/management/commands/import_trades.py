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
from withdrawals.gateway import REFS_PER_READ, CannotAsk
from withdrawals.models import Source


class Command(BaseCommand):
    """Reads each trade from AssetPay and mirrors it."""

    help = "Bring trades in by id or external id; `-` reads them from stdin, one per line."

    def add_arguments(self, parser: CommandParser) -> None:
        """The ids."""
        parser.add_argument("refs", nargs="+", metavar="REF")
        parser.add_argument("--dry-run", action="store_true", help="only count the ids")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import in batches, saying how far it is."""
        refs = sys.stdin.read().split() if options["refs"] == ["-"] else options["refs"]
        refs = list(dict.fromkeys(refs))
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
                raise CommandError(f"After {found} trades: {error}") from error
            self.stdout.write(f"{min(start + REFS_PER_READ, len(refs))} of {len(refs)} asked for, {found} found.")

    def _import(self, batch: Sequence[str], origin: Origin) -> int:
        """Import one batch, as often as AssetPay only asks to wait; how many trades it knew."""
        while True:
            try:
                return len(import_trades(batch, origin=origin, now=timezone.now()))
            except ToldToWait as wait:
                self.stdout.write(f"AssetPay asks to wait {wait.seconds:.0f} s.")
                time.sleep(wait.seconds)
