"""`manage.py one_time_link EMAIL`: let somebody who forgot the password set a new one."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import PersonRefused, renew_access
from withdrawals.models import Source


class Command(BaseCommand):
    """Prints a link that works once; the second factor stays unless it is reset."""

    help = "Print a one-time link by which an existing person sets a new password."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, and whether the second factor is lost too."""
        parser.add_argument("email")
        parser.add_argument("--reset-second-factor", action="store_true", help="also forget every second factor")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link, or say in one line why not."""
        try:
            path = renew_access(
                email=options["email"],
                forget_factors=options["reset_second_factor"],
                origin=Origin(Source.COMMAND, name="one_time_link"),
                now=timezone.now(),
            )
        except PersonRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"One-time link to set a password: {settings.DESK_ORIGIN}{path}")
