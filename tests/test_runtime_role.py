"""F74 on PostgreSQL: the role that the desk runs as can append to the audit log, and every other way in is refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.tampering import write
from withdrawals.models import AuditEntry
from withdrawals.models.audit_chain import verify_chain

PROJECT = Path(__file__).resolve().parent.parent
# Roles belong to the whole server, which the processes of a test run share.
ROLE = f"desk_runtime_{os.getpid()}"
pytestmark = pytest.mark.django_db(transaction=True)

TAMPERING = [
    "UPDATE withdrawals_auditentry SET actor_name = 'nobody' WHERE number = 1",
    "DELETE FROM withdrawals_auditentry WHERE number = 3",
    "TRUNCATE withdrawals_auditentry",
    "TRUNCATE withdrawals_auditentry CASCADE",
    "INSERT INTO withdrawals_auditentry SELECT * FROM withdrawals_auditentry WHERE number = 1"
    " ON CONFLICT (number) DO UPDATE SET actor_name = 'nobody'",
    "ALTER TABLE withdrawals_auditentry DISABLE TRIGGER ALL",
    "ALTER TABLE withdrawals_auditentry DISABLE TRIGGER withdrawals_auditentry_no_update",
    "DROP TRIGGER withdrawals_auditentry_no_update ON withdrawals_auditentry",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "DROP FUNCTION refuse_change() CASCADE",
    "SET session_replication_role = replica",
    f"ALTER TABLE withdrawals_auditentry OWNER TO {ROLE}",
    "ALTER TABLE withdrawals_auditentry RENAME TO gone",
    "DROP TABLE withdrawals_auditentry",
    "CREATE RULE gone AS ON UPDATE TO withdrawals_auditentry DO INSTEAD NOTHING",
    "SET ROLE postgres",
    "CREATE TABLE withdrawals_shadow (id int)",
    "DELETE FROM withdrawals_audithead",
    "INSERT INTO withdrawals_audithead (id, number, hash) VALUES (2, 0, '')",
    "UPDATE withdrawals_refundentry SET amount = 1",
    "DELETE FROM withdrawals_refundentry",
    "UPDATE withdrawals_auditanchor SET number = 1",
    "DELETE FROM withdrawals_auditanchor",
    "DELETE FROM django_migrations",
]


@pytest.fixture
def as_runtime(database_url: str) -> Iterator[str]:
    """The address by which the runtime role logs in, after the owner has granted to it."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no roles")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'made-up'")
    call_command("grant_runtime", ROLE)
    place = connection.settings_dict
    try:
        yield f"postgres://{ROLE}:made-up@{place['HOST']}:{place['PORT']}/{place['NAME']}"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {ROLE}")
            cursor.execute(f"DROP ROLE {ROLE}")


def manage(url: str, *arguments: str, typed: str = "", is_refused: bool = False) -> str:
    """A command of the desk in a process of its own, as whoever `url` says."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        cwd=PROJECT,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == is_refused, done.stderr
    return done.stdout + done.stderr


def test_f74_the_runtime_role_is_refused_every_way_of_tampering(as_runtime: str) -> None:
    write(3)
    passed = []
    with psycopg.connect(as_runtime, autocommit=True) as runtime:
        # PostgreSQL answers with a warning alone, and grants nothing.
        runtime.execute(f"GRANT UPDATE, DELETE ON withdrawals_auditentry TO {ROLE}")
        for statement in TAMPERING:
            try:
                runtime.execute(statement)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException):
                continue
            passed.append(statement)

    assert passed == []
    assert (AuditEntry.objects.count(), verify_chain().problem) == (3, "")


def test_f74_control_the_owner_can_switch_the_triggers_off(as_runtime: str) -> None:
    write(3)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE withdrawals_auditentry DISABLE TRIGGER ALL")
        cursor.execute("UPDATE withdrawals_auditentry SET actor_name = 'nobody' WHERE number = 2")
        cursor.execute("ALTER TABLE withdrawals_auditentry ENABLE TRIGGER ALL")

    assert verify_chain().problem.startswith("Entry 2 was edited")


def test_the_desk_works_as_the_runtime_role_and_the_check_is_content(as_runtime: str, database_url: str) -> None:
    made = manage(as_runtime, "create_agent", "mira@desk.example", "--role", "agent", typed="withdraw-skins-1\n")
    # The settings of the tests are no settings for production, so the command ends with 1 for either role.
    ask = ("check", "--deploy", "--database", "default")
    checked = manage(as_runtime, *ask, is_refused=True)
    verified = manage(as_runtime, "verify_audit")
    of_owner = manage(database_url, *ask, is_refused=True)

    assert "mira@desk.example" in made
    assert "1 entries verified" in verified
    assert "withdrawals.W002" not in checked
    assert "withdrawals.W002" in of_owner


@pytest.mark.parametrize("role", ["nobody_is_called_so", "postgres"])
def test_grants_are_refused_where_they_would_promise_nothing(role: str, database_url: str) -> None:
    with pytest.raises(CommandError):
        call_command("grant_runtime", role)


def test_a_dry_run_shows_the_grants_and_makes_none(as_runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}")

    call_command("grant_runtime", ROLE, "--dry-run")

    assert "REVOKE UPDATE, DELETE, TRUNCATE" in capsys.readouterr().out
    with psycopg.connect(as_runtime) as runtime, pytest.raises(psycopg.errors.InsufficientPrivilege):
        runtime.execute("SELECT 1 FROM withdrawals_auditentry")
