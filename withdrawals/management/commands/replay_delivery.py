"""`manage.py replay_delivery ID`: send stored callbacks through the corridor once more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import replay_delivery
from withdrawals.models import Delivery, Source


class Command(BaseCommand):
    """Says for each what changed, or with --dry-run what would."""

    help = "Replay stored callbacks, by our own number or by AssetPay's delivery id."

    def add_arguments(self, parser: CommandParser) -> None:
        """The deliveries."""
        parser.add_argument("deliveries", nargs="+", metavar="ID")
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        """One after the other, each in a transaction of its own."""
        origin = Origin(Source.COMMAND, name="replay_delivery")
        for wanted in options["deliveries"]:
            rows = (
                Delivery.objects.filter(pk=wanted) if wanted.isdigit() else Delivery.objects.filter(delivery_id=wanted)
            )
            delivery = rows.order_by("pk").first()
            if delivery is None:
                raise CommandError(f"There is no delivery {wanted}.")
            replayed = replay_delivery(
                delivery_id=delivery.pk, origin=origin, now=timezone.now(), dry_run=options["dry_run"]
            )
            changes = "; ".join(replayed.changes) or replayed.problem or "nothing changes"
            self.stdout.write(f"{delivery.delivery_id}: {replayed.verdict.label}: {changes}")
