"""A desk in the middle of its day, behind a real server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.scenery import Scenery, make_scenery
from tests.factories import PASSWORD

LogIn = Callable[[Page, str], None]

# How long a page may take is measured by `make bench`; here it is asked what becomes of it, also on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture
def scenery(transactional_db: None) -> Scenery:
    """Trades, cancellations, refunds and callbacks in every state."""
    return make_scenery()


@pytest.fixture
def log_in(live_server: LiveServer) -> LogIn:
    """Through the form, as anybody does."""

    def through_the_form(page: Page, email: str) -> None:
        page.goto(f"{live_server.url}/accounts/login/")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{live_server.url}/")

    return through_the_form


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser itself objects to: scripts that fail, and whatever the content security policy forbids."""
    heard: list[str] = []

    def listen(message: Any) -> None:
        # A refusal of ours (409, 422) or a missing page is an answer, not a fault of the page.
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            heard.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: heard.append(str(error)))
    yield heard
    assert heard == []
