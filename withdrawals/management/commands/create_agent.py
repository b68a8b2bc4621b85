"""`manage.py create_agent EMAIL --role ROLE`: a new account, with a password from stdin or a one-time link."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from withdrawals.actions.audit import Origin
from withdrawals.actions.people import PersonRefused, create_person, one_time_path
from withdrawals.models import Role, Source


class Command(BaseCommand):
    """Makes a person of the desk."""

    help = "Make an account. Without a password piped into stdin, a one-time link to set one is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        """E-mail and role."""
        parser.add_argument("email")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--dry-run", action="store_true", help="check everything, make nobody")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the account, or say in one line why not."""
        now = timezone.now()
        password = None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n") or None
        role = Role(options["role"])
        try:
            with transaction.atomic():
                person = create_person(
                    email=options["email"],
                    role=role,
                    password=password,
                    origin=Origin(Source.COMMAND, name="create_agent"),
                    now=now,
                )
                transaction.set_rollback(options["dry_run"])
        except PersonRefused as error:
            raise CommandError(str(error)) from error
        if options["dry_run"]:
            self.stdout.write(f"Would make {person.email} as {role.value}.")
            return
        self.stdout.write(f"{person.email} can work as {role.value}.")
        if password is None:
            self.stdout.write(f"One-time link to set a password: {settings.DESK_ORIGIN}{one_time_path(person)}")
