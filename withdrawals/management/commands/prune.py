"""`manage.py prune`: forget old callbacks' bodies and finished task rows; never evidence of refunds, never the log."""

from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from withdrawals.actions.audit import Origin
from withdrawals.actions.retention import forget_bodies
from withdrawals.models import Delivery, Source

NAME = "manage.py prune"


class Command(BaseCommand):
    """Repeatable; what it emptied cannot be brought back except from a backup."""

    help = "Forget the bodies of old callbacks that no refund, no item and no person rests on, and old task rows."

    def add_arguments(self, parser: CommandParser) -> None:
        """How old is old, and whether to do it."""
        parser.add_argument("--days", type=int, default=400, help="keep what came in the last so many days (400)")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what was forgotten, or would be."""
        now = timezone.now()
        before = now - timedelta(days=max(options["days"], 30))
        if options["dry_run"]:
            bodies = Delivery.objects.forgettable(before).count()
            tasks = DBTaskResult.objects.finished().filter(finished_at__lte=now - timedelta(days=1)).count()
            self.stdout.write(f"Would forget {bodies} bodies from before {before:%d %b %Y} and {tasks} task rows.")
            return
        forgotten = forget_bodies(before=before, origin=Origin(Source.COMMAND, name=NAME), now=now)
        call_command("prune_db_task_results", min_age_days=1, failed_min_age_days=7, verbosity=0)
        self.stdout.write(f"Forgot {forgotten} bodies from before {before:%d %b %Y}, and finished task rows.")
