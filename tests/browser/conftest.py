"""A desk in the middle of its day, behind a real server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.axe import Axe
from tests.browser.scenery import Scenery, make_scenery
from tests.factories import PASSWORD
from withdrawals.models import User

LogIn = Callable[[Page, str], None]

# How long a page may take is measured by `make bench`; here it is asked what becomes of it, also on a busy machine.
expect.set_options(timeout=20_000)


@pytest.fixture
def scenery(transactional_db: None) -> Scenery:
    """Trades, cancellations, refunds and callbacks in every state."""
    return make_scenery()


@pytest.fixture
def log_in(live_server: LiveServer) -> LogIn:
    """This page's browser holds the session of somebody who has logged in, and shows nothing yet."""

    def hand_over_a_session(page: Page, email: str) -> None:
        client = Client()
        client.force_login(User.objects.get(email=email))
        session = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": session.key, "value": session.value, "url": live_server.url}])

    return hand_over_a_session


@pytest.fixture(scope="session")
def axe() -> Axe:
    """One for all tests of a process: what it has seen in one of them it need not see in the next."""
    return Axe()


def log_in_through_the_form(page: Page, live_server: LiveServer, email: str) -> None:
    """As anybody does; ends at the overview."""
    page.goto(f"{live_server.url}/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}/")


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
