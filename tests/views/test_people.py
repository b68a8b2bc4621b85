"""The screen where admins manage people."""

import re

import pytest
from django.test import Client

from tests.factories import UserFactory
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import AuditEntry, Role, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def admin(log_in: LogIn) -> Client:
    """An admin's browser."""
    return log_in(Role.ADMIN)


def test_the_list_shows_role_state_and_factor_of_everybody(admin: Client) -> None:
    UserFactory(email="gone@desk.example", is_active=False)
    UserFactory(email="new@desk.example", role=Role.AUDITOR, password="!")

    body = text(admin.get("/people/"))

    assert "gone@desk.example" in body
    assert all(word in body for word in ("Switched off", "Open", "auditor", "not yet", "never", "(you)"))


def test_the_list_asks_the_database_no_more_for_more_people(
    admin: Client, django_assert_max_num_queries: object
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(40) as asked:  # type: ignore[operator]
            admin.get("/people/")
        return len(asked.captured_queries)

    # Whose session it is, is known from its second use on.
    queries()
    few = queries()
    for _ in range(5):
        UserFactory()

    assert queries() == few


def test_an_invitation_opens_the_account_once(admin: Client) -> None:
    page = text(admin.post("/people/invite/", {"email": "Mira@desk.example", "role": "supervisor"}))
    link = re.search(r"https?://[^/]+(/accounts/password/reset/key/\S+?/)<", page)
    assert link is not None
    browser = Client()
    form = browser.get(link[1], follow=True)
    answer = browser.post(form.request["PATH_INFO"], {"password1": "fresh-skins-9", "password2": "fresh-skins-9"})
    again = Client().get(link[1], follow=True)

    mira = User.objects.get(email="mira@desk.example")
    assert answer.status_code == 302
    assert mira.check_password("fresh-skins-9")
    assert mira.role_names == ["supervisor"]
    assert "password1" not in text(again)
    actions = list(AuditEntry.objects.order_by("number").values_list("action", "actor_name"))
    assert [action for action, _ in actions] == ["person.created", "person.password_changed"]
    assert actions[1][1] == "mira@desk.example"
    assert link[1] not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("form", "status"),
    [({"email": "nonsense", "role": "agent"}, 422), ({"email": "a@desk.example", "role": "owner"}, 422), ({}, 422)],
)
def test_an_invitation_that_cannot_be_read_makes_nobody(admin: Client, form: dict[str, str], status: int) -> None:
    assert admin.post("/people/invite/", form).status_code == status
    assert User.objects.count() == 1


def test_an_e_mail_that_is_taken_is_refused_in_words(admin: Client) -> None:
    UserFactory(email="mira@desk.example")

    answer = admin.post("/people/invite/", {"email": "MIRA@desk.example", "role": "agent"})

    assert answer.status_code == 409
    assert "already has an account" in text(answer)


@pytest.mark.parametrize(
    ("deed", "action"),
    [
        ("role", "person.role_changed"),
        ("off", "person.switched_off"),
        ("end-sessions", "person.sessions_ended"),
        ("reset-factor", "person.factor_reset"),
        ("link", "person.access_renewed"),
    ],
)
def test_each_step_is_one_entry_in_the_log(admin: Client, deed: str, action: str) -> None:
    person = UserFactory()

    answer = admin.post(f"/people/{person.pk}/{deed}/", {"role": "supervisor"})

    assert answer.status_code == (200 if deed == "link" else 303)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after["email"]) == (action, person.email)


def test_the_last_admin_cannot_be_reached_by_themselves(log_in: LogIn) -> None:
    person = UserFactory(role=Role.ADMIN)
    browser = log_in(person)

    for deed in ("role", "off", "reset-factor"):
        answer = browser.post(f"/people/{person.pk}/{deed}/", {"role": "agent"})

        assert answer.status_code == 409
        assert "another admin can" in text(answer)
    assert "This is you" in text(browser.get(f"/people/{person.pk}/"))


def test_a_role_that_is_none_changes_nothing(admin: Client) -> None:
    person = UserFactory()

    assert admin.post(f"/people/{person.pk}/role/", {"role": "owner"}).status_code == 422
    assert person.role_names == ["agent"]


def test_nobody_who_is_not_there_is_managed(admin: Client) -> None:
    for deed in ("role", "off", "on", "end-sessions", "reset-factor", "link"):
        assert admin.post(f"/people/9999/{deed}/", {"role": "agent"}).status_code == 404
