"""`manage.py verify_audit`: walk the whole audit chain, and name the first entry that does not fit."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from withdrawals.models.audit import verify_chain


class Command(BaseCommand):
    """Ends with status 1 where the chain is broken."""

    help = "Verify the audit log's chain of hashes."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many entries hold, or which is the first that does not."""
        verified = verify_chain()
        if verified.problem:
            raise CommandError(verified.problem)
        self.stdout.write(f"{verified.entries} entries verified; the head is {verified.head}.")
