"""`manage.py replay_delivery ID`: send stored callbacks through the corridor once more.

An ID is AssetPay's, whatever it looks like; our own number is named with `--number`.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import replay_delivery
from withdrawals.models import Delivery, Source


class Command(BaseCommand):
    """Says for each what changed, or with --dry-run what would."""

    help = "Replay stored callbacks, by AssetPay's delivery id or by our own number."

    def add_arguments(self, parser: CommandParser) -> None:
        """The deliveries."""
        parser.add_argument("deliveries", nargs="*", metavar="ID", help="AssetPay's delivery id")
        parser.add_argument(
            "--number", dest="numbers", action="append", type=int, default=[], metavar="N", help="our own number"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        """One after the other, each in a transaction of its own."""
        origin = Origin(Source.COMMAND, name="replay_delivery")
        wanted = [("delivery_id", each) for each in options["deliveries"]]
        wanted += [("pk", each) for each in options["numbers"]]
        if not wanted:
            raise CommandError("Say which: AssetPay's delivery id, or --number and our own.")
        for column, name in wanted:
            delivery = Delivery.objects.filter(**{column: name}).order_by("pk").first()
            if delivery is None:
                hint = "" if column == "pk" or not name.isdecimal() else f" Our own number would be --number {name}."
                raise CommandError(f"There is no delivery {name}.{hint}")
            replayed = replay_delivery(
                delivery_id=delivery.pk, origin=origin, now=timezone.now(), dry_run=options["dry_run"]
            )
            changes = "; ".join(replayed.changes) or replayed.problem or "nothing changes"
            self.stdout.write(f"{delivery.delivery_id}: {replayed.verdict.label}: {changes}")
