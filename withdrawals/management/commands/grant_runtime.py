"""`manage.py grant_runtime ROLE`: what the web, the workers and the clock may do on PostgreSQL, and no more.

Run by the role that owns the tables, after every migrate. The runtime role then reads and writes rows, but can neither
change nor remove a line of the tables that never change, nor take their triggers away.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from withdrawals.models.audit_triggers import PROTECTED_TABLES


def statements(role: str, owner: str) -> list[str]:
    """The grants, in order. `role` and `owner` are quoted already."""
    protected = ", ".join(PROTECTED_TABLES)
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {protected} FROM {role}, PUBLIC",
        # The end of the chain moves with every entry, and stays one row.
        f"REVOKE INSERT, DELETE ON withdrawals_audithead FROM {role}",
        # Which migrations have run is the owner's to say.
        f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
        # What the next migration makes is reachable until this command runs again; nothing protected is new then.
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
        f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
    ]


class Command(BaseCommand):
    """Grants to a role that is there already; docs/audit-log.md says how it is made."""

    help = "Let a role run the desk on PostgreSQL without being able to change the audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, and whether only to show it."""
        parser.add_argument("role", help="the role that web, workers and clock log in as")
        parser.add_argument("--dry-run", action="store_true", help="show the statements and run none")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the grants in one transaction."""
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL has roles; on SQLite whoever can read the file can write it.")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = %s", [options["role"]])
            found = cursor.fetchone()
            if found is None:
                raise CommandError(f"There is no role {options['role']}. Make it first: CREATE ROLE … LOGIN PASSWORD …")
            owner, is_super = found
            if options["role"] == owner or is_super:
                raise CommandError("The role that owns the tables, or a superuser, cannot be kept from changing them.")
            quote = connection.ops.quote_name
            for statement in statements(quote(options["role"]), quote(owner)):
                if options["dry_run"]:
                    self.stdout.write(f"{statement};")
                else:
                    cursor.execute(statement)
        if not options["dry_run"]:
            self.stdout.write(f"{options['role']} may run the desk; the audit log it can only read and append to.")
