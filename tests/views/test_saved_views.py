"""Filters kept under a name, for oneself or for the team."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import UserFactory
from tests.tampering import write
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import AuditEntry, Role, SavedList, SavedView, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def save(browser: Client, name: str = "Tests", query: str = "person=test", **form: str) -> Any:
    return browser.post("/views/", {"saved_list": "audit_list", "name": name, "query": query, **form})


def test_a_view_keeps_the_filters_and_leads_back_to_them(supervisor: Client) -> None:
    write(4)

    response = save(supervisor, query="zone=&person=test&cursor=3~3&action=test.happened")

    view = SavedView.objects.get()
    assert view.query == "action=test.happened&person=test"
    assert (response.status_code, response["Location"]) == (303, "/audit/?action=test.happened&person=test")
    assert AuditEntry.objects.order_by("-number")[0].action == "view.saved"


def test_the_count_of_a_view_is_how_many_rows_its_list_shows(supervisor: Client) -> None:
    write(7)
    save(supervisor)

    body = text(supervisor.get("/audit/"))

    assert '<bdi>Tests</bdi> <span class="count">7<' in body
    assert len(rows(supervisor.get("/audit/?person=test"))) == 7


def test_ones_own_views_are_ones_own_and_the_teams_are_everybodys(log_in: LogIn) -> None:
    ours, theirs = log_in(Role.SUPERVISOR), log_in(Role.AUDITOR)
    save(ours, name="Mine")
    save(ours, name="Everybody's", is_shared="on")

    # The log itself tells of every saving; the chips are what is asked about.
    body = text(theirs.get("/audit/?q=%231"))

    assert "<bdi>Everybody&#x27;s</bdi> <span" in body
    assert "<bdi>Mine</bdi> <span" not in body
    assert "Remove the view" not in body


def test_a_name_can_be_taken_once(supervisor: Client) -> None:
    save(supervisor)

    response = save(supervisor, query="")

    assert response.status_code == 422
    assert "already have a view called Tests" in text(response)
    assert SavedView.objects.count() == 1


@pytest.mark.parametrize("form", [{"name": ""}, {"name": "x" * 61}, {"saved_list": "person_list"}])
def test_a_view_without_a_name_or_a_list_is_refused(supervisor: Client, form: dict[str, str]) -> None:
    assert save(supervisor, **form).status_code == 422  # type: ignore[arg-type] # form fields by name
    assert not SavedView.objects.exists()


def test_whoever_may_not_see_a_list_keeps_no_views_of_it(agent: Client) -> None:
    assert save(agent).status_code == 403
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("remover", "is_shared", "status"),
    [("owner", False, 303), ("owner", True, 303), ("other", True, 409), ("admin", True, 303), ("admin", False, 409)],
)
def test_a_view_is_taken_away_by_its_owner_or_the_teams_by_an_admin(
    log_in: LogIn, remover: str, is_shared: bool, status: int
) -> None:
    people: dict[str, User] = {
        "owner": UserFactory(role=Role.SUPERVISOR),
        "other": UserFactory(role=Role.SUPERVISOR),
        "admin": UserFactory(role=Role.ADMIN),
    }
    save(log_in(people["owner"]), **({"is_shared": "on"} if is_shared else {}))
    view = SavedView.objects.get()

    response = log_in(people[remover]).post(f"/views/{view.pk}/remove/")

    assert response.status_code == status
    assert SavedView.objects.exists() == (status == 409)
    assert AuditEntry.objects.filter(action="view.removed").exists() == (status == 303)


def test_a_view_whose_filter_is_no_longer_understood_does_no_harm(supervisor: Client) -> None:
    save(supervisor, query="date_from=never")

    response = supervisor.get("/audit/")

    assert response.status_code == 200
    assert '<span class="count">?<' in text(response)


def test_every_list_that_views_are_kept_of_has_an_address() -> None:
    assert all(reverse(each).startswith("/") for each in SavedList)
