"""The database: what a migration leaves in it, the same after a test that emptied it; and when it is on the disk."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, transaction
from django.db.models import Model, UniqueConstraint
from django.utils import timezone

from tests.faults.door import runs, tell
from withdrawals.actions.audit import Origin
from withdrawals.actions.people import create_person
from withdrawals.models import AuditEntry, AuditHead, Delivery, Item, Role, SendBudget, Source, Trade, User
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


def begun_with(model: type[Model]) -> set[str]:
    """The first columns of all indexes of more than one column that hold every row."""
    meta = model._meta
    uniques = [each for each in meta.constraints if isinstance(each, UniqueConstraint)]
    lists = [list(each.fields) for each in (*meta.indexes, *uniques) if not each.condition]
    return {str(meta.get_field(names[0].lstrip("-")).column) for names in lists if len(names) > 1}


def in_the_database() -> Iterator[tuple[type[Model], dict[str, Any]]]:
    """Each model, and the indexes and constraints that its table has, by name."""
    for model in apps.get_app_config("withdrawals").get_models():
        with connection.cursor() as cursor:
            yield model, connection.introspection.get_constraints(cursor, model._meta.db_table)


@pytest.mark.django_db
def test_every_index_and_constraint_that_a_model_names_is_in_the_database() -> None:
    missing = []
    for model, known in in_the_database():
        missing += [each.name for each in (*model._meta.indexes, *model._meta.constraints) if each.name not in known]

    assert missing == []


@pytest.mark.django_db
def test_no_column_has_an_index_of_its_own_where_another_one_begins_with_it() -> None:
    twice = []
    for model, known in in_the_database():
        partial = {each.name for each in model._meta.indexes if each.condition}
        only_find = [
            each for name, each in known.items() if each["index"] and not each["unique"] and name not in partial
        ]
        alone = {each["columns"][0] for each in only_find if len(each["columns"]) == 1}
        twice += [f"{model.__name__}: {column}" for column in alone & begun_with(model)]

    assert twice == []


@pytest.mark.django_db
def test_no_row_of_a_callback_pays_for_a_search_that_nobody_makes() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Django makes indexes for LIKE on PostgreSQL alone")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
            " WHERE relname LIKE %s AND indrelid::regclass::text = ANY(%s)",
            [r"%\_like", [model._meta.db_table for model in (Trade, Item, Delivery, AuditEntry)]],
        )
        found = [column for (column,) in cursor.fetchall()]

    # The log is read by the beginning of an action.
    assert found == ["action"]


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
