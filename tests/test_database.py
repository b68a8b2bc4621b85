"""The database of the tests is as a migration leaves it, before and after a test that empties it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from tests.faults.door import runs, tell
from withdrawals.actions.audit import Origin
from withdrawals.actions.people import create_person
from withdrawals.models import AuditEntry, AuditHead, Role, SendBudget, Source, User
from withdrawals.models.audit_triggers import missing_triggers

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("turn", ["first", "second"])
@pytest.mark.django_db(transaction=True)
def test_every_transactional_test_finds_the_first_rows_and_the_triggers(turn: str) -> None:
    assert AuditHead.objects.get(pk=1).number == 0
    assert SendBudget.objects.filter(pk=1).exists()
    assert set(Group.objects.values_list("name", flat=True)) == {role.value for role in Role}
    assert missing_triggers(connection) == []
    assert not User.objects.exists()

    create_person(
        email="a@example.com",
        role=Role.AGENT,
        password=None,
        origin=Origin(Source.COMMAND, name="test"),
        now=timezone.now(),
    )

    assert AuditEntry.objects.count() == 1
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all().delete()


@pytest.mark.django_db(transaction=True)
def test_a_process_of_its_own_meets_the_test_in_the_database(database_url: str) -> None:
    User.objects.create_user("b@example.com")
    ask = (
        "import django; django.setup(); from withdrawals.models import User; "
        "print(User.objects.get().email); User.objects.create_user('c@example.com')"
    )

    environment = os.environ | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    asked = subprocess.run(
        [sys.executable, "-c", ask], env=environment, cwd=PROJECT, check=True, capture_output=True, text=True
    )

    assert asked.stdout.strip() == "b@example.com"
    assert User.objects.filter(email="c@example.com").exists()


def test_f30_every_commit_is_on_the_disk_before_it_is_answered(tmp_path: Path) -> None:
    """A kill does not lose what the system still holds; a power cut would. The product's settings, not the tests'."""
    ask = (
        "import django; django.setup(); from django.db import connection; cursor = connection.cursor(); "
        "print(*[cursor.execute('PRAGMA ' + name).fetchone()[0] for name in ('journal_mode', 'synchronous')])"
    )
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/desk.sqlite3",
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
    }

    asked = subprocess.run(
        [sys.executable, "-c", ask], env=environment, cwd=PROJECT, check=True, capture_output=True, text=True
    )

    assert asked.stdout.split() == ["wal", "2"]  # 2 is FULL


COMMITS = """
import sys

import django

django.setup()
from django.db import connection

with connection.cursor() as cursor:
    cursor.execute(sys.argv[1])
    cursor.execute("CREATE TABLE written (number integer)")
    for number in range(int(sys.argv[2])):
        cursor.execute("INSERT INTO written VALUES (%s)", [number])
"""


def times_on_the_disk(folder: Path, pragma: str, commits: int) -> int:
    """How often a process of the desk waited for the disk while it committed so often, counted by the system."""
    calls = folder / "calls"
    watch = ["strace", "-f", "-o", str(calls), "-e", "trace=fsync,fdatasync"]
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{folder}/desk.sqlite3",
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
    }
    command = [*watch, sys.executable, "-c", COMMITS, pragma, str(commits)]
    subprocess.run(command, env=environment, cwd=PROJECT, check=True)
    return calls.read_text().count("sync(")


@pytest.mark.any_database
@pytest.mark.skipif(not shutil.which("strace"), reason="strace counts the calls")
@pytest.mark.parametrize("commits", runs(100, 1_000)[1:])
def test_f30_the_disk_is_waited_for_at_each_commit(tmp_path_factory: pytest.TempPathFactory, commits: int) -> None:
    as_shipped, normal = (
        times_on_the_disk(tmp_path_factory.mktemp("f30"), pragma, commits)
        for pragma in ("PRAGMA synchronous", "PRAGMA synchronous=NORMAL")
    )

    tell(f"{as_shipped:,} waits for the disk; with NORMAL, the control, {normal:,}")
    assert as_shipped >= commits
    assert normal < commits / 10
