"""People at their browsers."""

from collections.abc import Callable

import pytest
from django.test import Client

from tests.factories import UserFactory
from withdrawals.models import Role, User

LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None) -> LogIn:
    """A browser in which somebody of this role (or this person) is logged in; `htmx=True` speaks as HTMX does."""

    def open_browser(who: Role | User = Role.AGENT, *, htmx: bool = False) -> Client:
        person = who if isinstance(who, User) else UserFactory(role=who)
        browser = Client(headers={"HX-Request": "true"} if htmx else None)
        browser.force_login(person)
        return browser

    return open_browser


@pytest.fixture
def agent(log_in: LogIn) -> Client:
    """An agent's browser."""
    return log_in(Role.AGENT)


@pytest.fixture
def supervisor(log_in: LogIn) -> Client:
    """A supervisor's browser."""
    return log_in(Role.SUPERVISOR)
