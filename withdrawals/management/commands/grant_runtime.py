"""`manage.py grant_runtime ROLE`: what the web, the workers and the clock may do on PostgreSQL, and no more.

Run by the role that owns the tables, after every migrate. The runtime role then reads and writes rows, but can neither
change nor remove a line of the tables that never change, nor take their triggers away. With `--login FILE` the role of
the DATABASE_URL in that file is made first, or given the password that stands there.
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection, transaction
from django.db.backends.utils import CursorWrapper

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
    """Grants to a role that is there already, or that `--login` makes; docs/audit-log.md tells of both."""

    help = "Let a role run the desk on PostgreSQL without being able to change the audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, and whether only to show it."""
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("role", nargs="?", help="the role that web, workers and clock log in as")
        whom.add_argument(
            "--login", type=Path, metavar="FILE", help="a file with their DATABASE_URL: its role is made where missing"
        )
        parser.add_argument("--dry-run", action="store_true", help="show the statements and run none")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the grants in one transaction."""
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL has roles; on SQLite whoever can read the file can write it.")
        role, password = _login(options["login"]) if options["login"] else (options["role"], "")
        with transaction.atomic(), connection.cursor() as cursor:
            if password and not options["dry_run"]:
                _make(cursor, role, password)
            owner = _owner_over(cursor, role)
            quote = connection.ops.quote_name
            for statement in statements(quote(role), quote(owner)):
                if options["dry_run"]:
                    self.stdout.write(f"{statement};")
                else:
                    cursor.execute(statement)
        if not options["dry_run"]:
            self.stdout.write(f"{role} may run the desk; the audit log it can only read and append to.")


def _login(file: Path) -> tuple[str, str]:
    """The role and its password in the DATABASE_URL that lies in `file`. Raises CommandError, without what it read."""
    try:
        url = urlsplit(file.read_text().strip())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read ({type(error).__name__}).") from error
    if not url.username or not url.password:
        raise CommandError(f"{file} holds no address with a role and its password: postgres://ROLE:PASSWORD@HOST/NAME")
    return unquote(url.username), unquote(url.password)


def _owner_over(cursor: CursorWrapper, role: str) -> str:
    """Who runs this command, the owner of the tables. Raises CommandError for a role that no grant would bind."""
    cursor.execute(
        "SELECT current_user, rolsuper OR rolcreaterole OR pg_has_role(rolname, current_user, 'MEMBER')"
        " FROM pg_roles WHERE rolname = %s",
        [role],
    )
    found: tuple[str, bool] | None = cursor.fetchone()
    if found is None:
        raise CommandError(f"There is no role {role}. Make it first: CREATE ROLE … LOGIN PASSWORD …")
    owner, is_mighty = found
    if is_mighty:
        raise CommandError(
            "The role that owns the tables, one that may become it or make others, or a superuser, cannot be kept "
            "from changing them."
        )
    return owner


def _make(cursor: CursorWrapper, role: str, password: str) -> None:
    """Make the role, or give it this password: only its SCRAM verifier travels, so no log of the server shows it."""
    assert isinstance(connection.connection, psycopg.Connection)  # noqa: S101 # PostgreSQL is what the caller asked for
    sealed = connection.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    quoted = connection.ops.quote_name(role)
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is not None:
        _owner_over(cursor, role)  # nobody's password is changed here but that of a role without power
        verb = "ALTER"
    else:
        verb = "CREATE"
    try:
        # A verifier is base64 with $ and :, nothing that could end the quotes.
        cursor.execute(f"{verb} ROLE {quoted} LOGIN PASSWORD '{sealed}'")
    except ProgrammingError as error:
        raise CommandError(f"This role may not make {role}: make it by hand, then name it without --login.") from error
