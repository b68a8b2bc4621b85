"""What every test can rely on."""

import os
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection, transaction
from django.test import TransactionTestCase

from tests.canaries import shown_in
from withdrawals.models.audit_triggers import drop_triggers
from withdrawals.models.first_rows import make_first_rows

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives a browser, before markers are chosen from."""
    for item in items:
        if {"page", "context", "new_context", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Whatever a test did, what it wrote to its log and its output shows no secret (F72)."""
    report: pytest.TestReport = yield  # type: ignore[misc] # a wrapper is sent what the others return
    shown = shown_in("".join(text for _, text in report.sections)) if report.passed else []
    if shown:
        report.outcome = "failed"
        report.longrepr = f"The log or the output shows {', '.join(shown)}."
    return report


@pytest.fixture(scope="session", autouse=True)
def emptied_tables_are_made_ready_again() -> Iterator[None]:
    """A transactional test ends with a flush, which the audit triggers would refuse and which takes the first rows.

    The flush itself ends with post_migrate, and that puts the triggers back.
    """
    flush = TransactionTestCase._fixture_teardown

    def empty_and_restore(test: TransactionTestCase) -> None:
        drop_triggers(connection)
        flush(test)
        restore_rows()

    with mock.patch.object(TransactionTestCase, "_fixture_teardown", empty_and_restore):
        yield


def restore_rows() -> None:
    """The rows that the migrations made; and what the cache's table keeps is forgotten, as no model owns it."""
    with transaction.atomic():
        make_first_rows(apps, using=connection.alias)
        cache.clear()


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """Where a process that a test starts finds the database of the test; goes into its DATABASE_URL."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{place['NAME']}"
    return f"postgres://{place['USER']}:{place['PASSWORD']}@{place['HOST']}:{place['PORT']}/{place['NAME']}"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, or the one CHROMIUM names; Playwright's own where there is neither."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    place = {"executable_path": found} if found else {}
    return {**browser_type_launch_args, **place, "args": CHROMIUM_ARGUMENTS}
