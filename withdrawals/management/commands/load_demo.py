"""`manage.py load_demo`: the people of the demo. Its trades come from the sandbox, by signed callbacks."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import create_person
from withdrawals.models import Role, Source, User

PASSWORD = "withdraw-skins-1"  # noqa: S105 # of the demo, printed on every start


class Command(BaseCommand):
    """Makes one account for each role, once, and prints the log-ins."""

    help = "Make the demo's accounts (DEMO only) and print their log-ins."

    def add_arguments(self, parser: CommandParser) -> None:
        """No arguments but the dry run."""
        parser.add_argument("--dry-run", action="store_true", help="make nobody")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse anywhere but in the demo: these passwords are known to everybody."""
        if not settings.DEMO:
            raise CommandError("load_demo makes accounts with a known password; it runs only with DEMO=true.")
        now = timezone.now()
        origin = Origin(Source.COMMAND, name="load_demo")
        for role in Role:
            email = f"{role.value}@demo.example"
            if not options["dry_run"] and not User.objects.filter(email=email).exists():
                create_person(email=email, role=role, password=PASSWORD, origin=origin, now=now)
            self.stdout.write(f"  {email:<24} {PASSWORD}")
