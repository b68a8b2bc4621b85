"""`manage.py reconcile`: read open trades back from AssetPay now."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.trades import reconcile
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.gateway import CannotAsk
from withdrawals.models import Trade


class Command(BaseCommand):
    """The clock does this by itself; this is for a person who wants it now."""

    help = "Read every trade that has not ended back from AssetPay, and merge what is new."

    def add_arguments(self, parser: CommandParser) -> None:
        """Once, or for ever."""
        parser.add_argument("--once", action="store_true", help="read back once, then end")
        parser.add_argument("--dry-run", action="store_true", help="only count the trades that would be read")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, say how many changed, and with neither flag start over after RECONCILE_SECONDS."""
        if options["dry_run"]:
            self.stdout.write(f"Would read {Trade.objects.worth_reading(timezone.now()).count()} trades.")
            return
        while True:
            try:
                changed = reconcile(now=timezone.now())
                self.stdout.write(f"{changed} trades changed.")
            except (AssetPayError, CannotAsk) as error:
                if options["once"]:
                    raise CommandError(str(error)) from error
                self.stderr.write(str(error))
            if options["once"]:
                return
            time.sleep(settings.RECONCILE_SECONDS)
