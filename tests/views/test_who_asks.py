"""A session is read together with whoever used it last, and who that was decides nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.factories import UserFactory
from tests.views.conftest import LogIn
from withdrawals import accounts
from withdrawals.accounts import OWNERS, SessionStore
from withdrawals.models import Role, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def mira() -> User:
    """Whose session it is."""
    return UserFactory(role=Role.AGENT)


@pytest.fixture
def key(mira: User, log_in: LogIn) -> str:
    """Of her session, which she has used."""
    browser = log_in(mira)
    assert browser.get("/now/").status_code == 200
    return str(browser.session.session_key)


def asks(key: str) -> Client:
    """A browser with this session."""
    browser = Client()
    browser.cookies["session"] = key
    return browser


def test_from_its_second_use_on_session_and_person_are_one_statement(
    key: str, mira: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert OWNERS[key] == mira.pk

    with django_assert_num_queries(1):
        store = SessionStore(key)
        assert store[SESSION_KEY] == str(mira.pk)
        person = store.person(mira.pk)

    assert person == mira
    assert person.get_all_permissions() == User.objects.get(pk=mira.pk).get_all_permissions()


def test_the_first_use_in_a_process_asks_twice(
    key: str, mira: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    OWNERS.clear()

    with django_assert_num_queries(2):
        store = SessionStore(key)
        assert store.person(int(store[SESSION_KEY])) == mira

    assert {key: mira.pk} == OWNERS


@pytest.mark.parametrize("is_there", [True, False])
def test_whoever_used_it_last_is_nobody_where_the_session_names_another(key: str, mira: User, is_there: bool) -> None:
    OWNERS[key] = UserFactory(role=Role.ADMIN).pk if is_there else 10**9
    store = SessionStore(key)

    # Its own answer, before whatever else looks at a signature.
    assert store[SESSION_KEY] == str(mira.pk)
    assert store.person(mira.pk) == mira
    OWNERS[key] = 10**9
    assert asks(key).get("/items/").context["user"] == mira
    assert asks(key).get("/people/").status_code == 403
    assert OWNERS[key] == mira.pk


def test_what_changes_about_its_owner_holds_at_the_next_request(key: str, mira: User) -> None:
    mira.groups.set([Group.objects.get(name=Role.AUDITOR.value)])
    assert asks(key).get("/audit/").status_code == 200

    User.objects.filter(pk=mira.pk).update(is_active=False)
    assert asks(key).get("/now/").status_code == 302


def ends(sessions: QuerySet[Session]) -> None:
    """Its time is over."""
    sessions.update(expire_date=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("end", [ends, QuerySet.delete])
def test_a_session_that_ended_opens_nothing_though_its_owner_is_known(
    key: str, end: Callable[[QuerySet[Session]], object]
) -> None:
    end(Session.objects.filter(session_key=key))

    assert key in OWNERS
    assert dict(SessionStore(key).items()) == {}
    assert asks(key).get("/now/").status_code == 302


def test_a_session_whose_text_was_changed_opens_nothing_though_its_owner_is_known(key: str) -> None:
    kept = Session.objects.get(session_key=key)
    kept.session_data = kept.session_data[:-2] + ("aa" if kept.session_data[-2:] != "aa" else "bb")
    kept.save()

    assert asks(key).get("/now/").status_code == 302


def test_no_more_owners_are_known_than_there_is_room_for(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_OWNERS", 3)
    OWNERS.clear()

    for _ in range(7):
        assert log_in(UserFactory()).get("/now/").status_code == 200

    assert len(OWNERS) <= 3
