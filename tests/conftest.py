"""What every test can rely on, and what `make soak` tells of the long ones."""

import fcntl
import gc
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlparse

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker
from xdist.scheduler import LoadScopeScheduling

from tests.canaries import shown_in
from tests.faults.door import NOTES
from tests.running.processes import migrate
from withdrawals.models.audit_triggers import drop_triggers
from withdrawals.models.first_rows import make_first_rows
from withdrawals.views.fresh import MADE

TOLD = "told"
# Objects that may lie about before the collector looks: the tests have the memory, and not the time.
GARBAGE_AT_ONCE = 50_000
# SQLite's database after its migrations.
CLEAN = sqlite3.connect(":memory:", check_same_thread=False)
MADE_BY_DJANGO = {"django_content_type", "auth_permission", "django_migrations", "django_site"}
# Whoever came to one of these last would work on it alone, while the other processes have nothing left to do.
LONGEST_FIRST = (
    "test_screens_axe",
    "test_roles",
    "test_live_lists",
    "test_machines",
    "test_world",
    "test_hostile_text",
    "test_scale",
    "test_for_everybody",
    "test_clock",
    "test_cancelling",
    "test_load",
    "test_kills",
    "test_money",
    "test_web",
    "test_log_in",
    "test_worklist",
    "test_documents",
)
# Their tests share nothing that is dear to make, so that several processes take them on at once.
SPREAD = (
    "test_screens_axe",
    "test_live_lists",
    "test_roles",
    "test_world",
    "test_for_everybody",
    "test_scale",
    "test_clock",
    "test_worklist",
    "test_keys",
)
# Debian's Chromium, as root, without looking for its maker's hosts.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what drives a browser before markers are chosen from; let the modules that take long begin."""
    for item in items:
        if {"page", "context", "new_context", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("browser")
    yield
    # What is loaded by now stays to the end; the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AT_ONCE)
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


class ByModule(LoadScopeScheduling):
    """A module stays in one process, for what its tests share, unless it is named in SPREAD."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module.endswith(tuple(f"/{name}.py" for name in SPREAD)) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """Which process runs what."""
    return ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Whatever a test did, what it wrote to its log and its output shows no secret (F72)."""
    report: pytest.TestReport = yield  # type: ignore[misc] # a wrapper is sent what the others return
    shown = shown_in("".join(text for _, text in report.sections)) if report.passed else []
    if shown:
        report.outcome = "failed"
        report.longrepr = f"The log or the output shows {', '.join(shown)}."
    return report


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Where several processes share the work, the migrations run once, and each begins with a copy of what they made.

    Django still asks whether one is missing.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    place = settings.DATABASES["default"]["TEST"]
    with (Path(os.environ["TEST_FOLDER"]) / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if connection.vendor == "sqlite":
            shutil.copy(migrated_file(), place["NAME"])
        else:
            place["TEMPLATE"] = migrated_on_the_server()


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb: bool) -> bool:
    """A copied file is there before Django asks for one; the folder goes with the run."""
    return django_db_keepdb or (connection.vendor == "sqlite" and "PYTEST_XDIST_WORKER" in os.environ)


def migrated_file() -> Path:
    """SQLite's database after all migrations, made by whoever asks first."""
    file = Path(os.environ["TEST_FOLDER"]) / "migrated.sqlite3"
    if not file.exists():
        making = file.with_suffix(".making")
        migrate("--skip-checks", DATABASE_URL=f"sqlite:///{making}")
        making.rename(file)
    return file


def migrated_on_the_server() -> str:
    """The name of the same on PostgreSQL; `pytest_unconfigure` takes it away."""
    name = name_of_migrated()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            server.execute(f'CREATE DATABASE "{name}_making"')  # type: ignore[call-overload] # the name is ours
            url = urlparse(os.environ["DATABASE_URL"])._replace(path=f"/{name}_making").geturl()
            migrate("--skip-checks", DATABASE_URL=url)
            server.execute(f'ALTER DATABASE "{name}_making" RENAME TO "{name}"')  # type: ignore[call-overload]
    return name


def name_of_migrated() -> str:
    """Two runs may share one server."""
    return f"test_{Path(os.environ['TEST_FOLDER']).name}_migrated"


def pytest_configure() -> None:
    """Told to stop (`tests/postgres.py`), the first process tidies up as after Ctrl+C."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The server may outlive the run."""
    asked = Path(os.environ.get("TEST_FOLDER", os.devnull)) / "migrated.lock"
    if "PYTEST_XDIST_WORKER" not in os.environ and asked.exists() and connection.vendor == "postgresql":
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
            for name in (name_of_migrated(), f"{name_of_migrated()}_making"):
                server.execute(f'DROP DATABASE IF EXISTS "{name}"')  # type: ignore[call-overload] # the name is ours


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Keep a copy of SQLite's database as the migrations left it."""
    if connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            connection.ensure_connection()
            connection.connection.backup(CLEAN)


@pytest.fixture(scope="session", autouse=True)
def emptied_tables_are_made_ready_again() -> Iterator[None]:
    """A transactional test ends with a flush, which the audit triggers would refuse and which takes the first rows.

    The flush itself ends with post_migrate, which puts the triggers back; that takes forty times as long as SQLite's
    copy.
    """
    flush = TransactionTestCase._fixture_teardown

    def empty_and_restore(test: TransactionTestCase) -> None:
        forgotten = end_forgotten_transactions()
        if connection.vendor == "sqlite":
            put_copy_in_place()
            cache.clear()
        else:
            if may_delete_all():
                delete_rows()
            else:
                drop_triggers(connection)
                flush(test)
            restore_rows()
        assert forgotten == [], "a transaction was left open"

    with mock.patch.object(TransactionTestCase, "_fixture_teardown", empty_and_restore):
        yield


def put_copy_in_place() -> None:
    """Let SQLite's database be as after its migrations; whoever holds its lock for ten seconds fails the test."""
    deadline = time.monotonic() + 10

    def give_up(status: int, *_: int) -> None:
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} and time.monotonic() > deadline:
            raise TimeoutError("the database is locked")

    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as place:
        place.execute("PRAGMA synchronous=OFF")
        # Numbers go on, as everywhere: what this process remembers of a row must not meet another one.
        numbers = place.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        CLEAN.backup(place, progress=give_up, sleep=0.05)
        with place:
            place.execute("DELETE FROM sqlite_sequence")
            place.executemany("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", numbers)


def may_delete_all() -> bool:
    """Whether we are PostgreSQL's superuser."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def delete_rows() -> None:
    """Empty the tables as a flush does, but for what Django itself makes after migrations.

    A flush truncates every table with its indexes: a quarter of a second after each test, three times as long as this.
    """
    tables = [name for name in connection.introspection.table_names() if name not in MADE_BY_DJANGO]
    quoted = [connection.ops.quote_name(name) for name in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor foreign keys speak up
        filled = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in quoted)  # noqa: S608 # our own names
        cursor.execute(" UNION ALL ".join(filled))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608 # as above


def end_forgotten_transactions() -> list[str]:
    """The last statements of those who stand in a transaction and do nothing, on PostgreSQL; each is ended.

    It would hold its locks, and fail every test after the one that left it.
    """
    if connection.vendor == "sqlite":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT query, pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND starts_with(state, 'idle in transaction') AND state_change < now() - interval '3 s'"
        )
        return [query for query, _ in cursor.fetchall()]


def restore_rows() -> None:
    """The rows that the migrations made; and what the cache's table keeps is forgotten, as no model owns it."""
    with transaction.atomic():
        make_first_rows(apps, using=connection.alias)
        cache.clear()


@pytest.fixture(autouse=True)
def no_page_of_an_earlier_test() -> None:
    """Numbers and keys begin anew with a test, so a version of the desk comes back that never would in life."""
    MADE.clear()


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """Where a process that a test starts finds the database of the test; goes into its DATABASE_URL."""
    return address_of_database()


def address_of_database() -> str:
    """As the fixture `database_url`, for what outlives one test."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{place['NAME']}"
    return f"postgres://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/{place['NAME']}"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, or the one CHROMIUM names; Playwright's own where there is neither.

    The one without a window first: the same engine, for two thirds of the work.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    place = {"executable_path": found} if found else {}
    return {**browser_type_launch_args, **place, "args": CHROMIUM_ARGUMENTS}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Of a long run, keep its size and what it told, also where it failed: a seed brings the failure back."""
    NOTES.clear()
    try:
        return (yield)
    finally:
        if item.get_closest_marker("soak"):
            given = getattr(getattr(item, "callspec", None), "params", {})
            sizes = [f"{name} {value:,}" for name, value in given.items() if type(value) is int]
            item.user_properties.append((TOLD, ", ".join(dict.fromkeys([*sizes, *NOTES]))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each long run: how much, from which seed, how long, and its own figures."""
    runs = [
        (report, told)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, told in report.user_properties
        if name == TOLD
    ]
    if runs:
        terminalreporter.section("what the long runs did")
    for report, told in runs:
        terminalreporter.line(
            f"{report.nodeid.partition('::')[2]}: {report.outcome} in {report.duration:.0f} s, {told}"
        )
