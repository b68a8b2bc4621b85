"""The drill: a backup taken while callbacks come in, the database lost, restored, verified and reconciled."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask, deliver, item_of, news, person
from tests.running.processes import merchant_of
from tests.wire import item_document
from withdrawals.models import AuditHead, Delivery

PROJECT = Path(__file__).resolve().parents[2]
is_sqlite = connection.vendor == "sqlite"


def script(*arguments: str, database_url: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
        "DATABASE_URL": database_url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        arguments, cwd=PROJECT, env=environment | changed, capture_output=True, text=True, check=False
    )


@contextmanager
def another_database(database_url: str, folder: Path) -> Iterator[str]:
    """An empty place on the same server, or in the folder."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{folder}/restored.sqlite3"
        return
    place = urlsplit(database_url)
    name = f"{place.path[1:]}_restored"
    with psycopg.connect(urlunsplit(place._replace(scheme="postgresql", path="/postgres")), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload] # the name is ours
        try:
            yield urlunsplit(place._replace(path=f"/{name}"))
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload] # as above


@contextmanager
def leading_to(url: str) -> Iterator[None]:
    """Our own connection leads to another database meanwhile."""
    ours = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = url.partition("sqlite:///")[2] or url.rpartition("/")[2]
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = ours


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox() as running:
        yield running


def test_what_was_acknowledged_is_there_after_a_backup_and_its_restore(
    database_url: str, tmp_path: Path, sandbox: RunningSandbox
) -> None:
    made = [sandbox.control.make_trade(age_seconds=3_600, announce=False) for _ in range(3)]
    now = timezone.now()
    for trade in made:
        deliver(news(trade["id"], items=[item_document(trade["items"][0]["id"], status="pending")]), now=now)
    ask(item_of(made[0]["id"], made[0]["items"][0]["id"]), actor=person(), now=now)
    acknowledged = set(Delivery.objects.values_list("delivery_id", flat=True))
    head = AuditHead.objects.get().number
    file = tmp_path / "backup"
    done, stop = [], Event()

    def go_on() -> None:
        try:
            while not stop.is_set():
                deliver(news(f"meanwhile-{len(done)}"), now=timezone.now())
                done.append(1)
        finally:
            connection.close()

    busy = Thread(target=go_on)
    busy.start()
    try:
        backup = script("scripts/backup.sh", database_url=database_url, FILE=str(file))
    finally:
        stop.set()
        busy.join()
    assert (backup.returncode, backup.stdout) == (0, f"{file}\n"), backup.stderr
    assert done
    # What AssetPay did after the backup was taken.
    for trade in made:
        sandbox.control.change_item(trade["id"], trade["items"][0]["id"], status="completed", announce=False)

    with another_database(database_url, tmp_path) as restored_url:
        restored = script("scripts/restore.sh", database_url=restored_url, FILE=str(file))
        assert restored.returncode == 0, restored.stderr
        assert int(restored.stdout.split(" entries verified")[0].split()[-1]) >= head

        keys = merchant_of(sandbox)
        read = script(sys.executable, "manage.py", "reconcile", "--once", database_url=restored_url, **keys)
        assert read.stdout == "3 trades changed.\n", read.stderr
        show = (
            "from withdrawals.models import Delivery; from withdrawals.models.audit_chain import verify_chain; "
            "print(*Delivery.objects.values_list('delivery_id', flat=True)); print(verify_chain().problem or 'holds')"
        )
        listed = script(sys.executable, "manage.py", "shell", "-v0", "-c", show, database_url=restored_url)
        deliveries, chain = listed.stdout.splitlines()
        assert acknowledged <= set(deliveries.split())
        assert chain == "holds"

        again = script("scripts/restore.sh", database_url=restored_url, FILE=str(file))
        if is_sqlite:
            assert "is kept as" in again.stdout
        else:
            assert again.returncode == 1
            assert "make an empty one" in again.stderr


def test_a_restore_says_what_is_wrong_with_the_file(database_url: str, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nothing of a database " * 100)
    with another_database(database_url, tmp_path) as restored_url:
        missing = script("scripts/restore.sh", database_url=restored_url, FILE=str(tmp_path / "nowhere"))
        damaged = script("scripts/restore.sh", database_url=restored_url, FILE=str(nonsense))
        unnamed = script("scripts/restore.sh", database_url=restored_url)

    for refused in (missing, damaged, unnamed):
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr


@pytest.mark.skipif(is_sqlite, reason="SQLite has no roles")
def test_a_backup_of_a_desk_with_two_roles_is_restored_where_only_one_of_them_is(
    database_url: str, tmp_path: Path
) -> None:
    role, file = f"desk_runtime_{os.getpid()}", tmp_path / "backup"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN")
        try:
            call_command("grant_runtime", role)
            assert script("scripts/backup.sh", database_url=database_url, FILE=str(file)).returncode == 0
        finally:
            cursor.execute(f"DROP OWNED BY {role}")
            cursor.execute(f"DROP ROLE {role}")

    with another_database(database_url, tmp_path) as restored_url:
        restored = script("scripts/restore.sh", database_url=restored_url, FILE=str(file))

    assert restored.returncode == 0, restored.stderr


@pytest.mark.skipif(not is_sqlite, reason="PostgreSQL is restored into an empty database only")
def test_a_restore_does_not_take_the_database_from_under_a_running_desk(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/live.sqlite3"
    script(sys.executable, "manage.py", "migrate", "-v0", database_url=url)
    file = tmp_path / "backup"
    assert script("scripts/backup.sh", database_url=url, FILE=str(file)).returncode == 0

    with closing(sqlite3.connect(tmp_path / "live.sqlite3", isolation_level=None)) as desk:
        # Idle between two requests, as a web process is most of the time.
        desk.execute("SELECT count(*) FROM withdrawals_trade").fetchone()
        refused = script("scripts/restore.sh", database_url=url, FILE=str(file))

    assert refused.returncode == 1
    assert "stop it first" in refused.stderr
