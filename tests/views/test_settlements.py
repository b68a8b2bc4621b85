"""What got stuck: the worklist of unknown outcomes and dead letters, and what people say of them."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import CancellationFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import (
    Attempt,
    AttemptOutcome,
    AuditEntry,
    Cancellation,
    CancellationState,
    Item,
    Refund,
    Role,
    Settlement,
    User,
)

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FORM = {"outcome": "not_done", "note": "Asked their support: ticket 4711."}


def settle(browser: Client, asked: Cancellation, **changed: str) -> Any:
    """Open the form, then send it with what it carries."""
    seen = hidden(browser.get(f"/cancellations/{asked.pk}/settle/"), "seen")
    return browser.post(f"/cancellations/{asked.pk}/settle/", FORM | {"seen": seen} | changed)


def approve(browser: Client, proposal: Settlement) -> Any:
    """Press the button that the worklist shows."""
    seen = hidden(browser.get("/cancellations/?state=person"), "seen")
    return browser.post(f"/settlements/{proposal.pk}/approve/", {"seen": seen})


def hidden(page: Any, name: str) -> str:
    """The value of a hidden field; empty where the page has none."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.content.decode())
    return found[1] if found else ""


@pytest.fixture
def unknown() -> Cancellation:
    """Sent ten minutes ago; nobody knows what became of it."""
    asked = CancellationFactory(state=CancellationState.UNCERTAIN, claim=1, requested_at=ago(minutes=11))
    Attempt.objects.create(
        cancellation=asked,
        number=1,
        request_id=uuid4(),
        started_at=ago(minutes=10),
        answered_at=ago(minutes=10),
        outcome=AttemptOutcome.UNKNOWN,
    )
    return asked


@pytest.fixture
def mira() -> User:
    """A supervisor."""
    return UserFactory(role=Role.SUPERVISOR, email="mira@desk.example")


@pytest.fixture
def browser(log_in: LogIn, mira: User) -> Client:
    """Her browser."""
    return log_in(mira)


def test_the_worklist_holds_what_nothing_moves_any_more(browser: Client, unknown: Cancellation) -> None:
    stuck = CancellationFactory(needs_person="AssetPay could not be reached 8 times.")
    CancellationFactory(state=CancellationState.UNCERTAIN, may_resend=True)
    CancellationFactory(state=CancellationState.ACCEPTED)

    response = browser.get("/cancellations/?state=person")

    assert sorted(rows(response)) == sorted([f"cancellation-{unknown.pk}", f"cancellation-{stuck.pk}"])
    assert "AssetPay could not be reached 8 times." in text(response)
    assert "Try again" in text(response)


def test_the_form_says_that_there_is_no_evidence_and_who_is_needed(browser: Client, unknown: Cancellation) -> None:
    body = text(browser.get(f"/cancellations/{unknown.pk}/settle/"))

    assert "No evidence" in body
    assert "A second person has to approve" in body
    assert "Propose “not done”" in body
    assert "Request 1" in body


def test_without_evidence_one_persons_word_is_a_proposal(
    browser: Client, log_in: LogIn, unknown: Cancellation, mira: User
) -> None:
    assert settle(browser, unknown).status_code == 303
    proposal = Settlement.objects.get()
    unknown.refresh_from_db()
    assert unknown.state == CancellationState.UNCERTAIN

    own = approve(browser, proposal)
    page = text(log_in(Role.SUPERVISOR).get("/cancellations/?state=person"))
    unseen = log_in(Role.SUPERVISOR).post(f"/settlements/{proposal.pk}/approve/")
    approved = approve(log_in(Role.SUPERVISOR), proposal)

    assert own.status_code == 409
    assert "second person" in text(own)
    assert "mira@desk.example" in page
    assert "ticket 4711" in page
    assert unseen.status_code == 409
    assert "not the one on your page" in text(unseen)
    assert approved.status_code == 303
    unknown.refresh_from_db()
    assert unknown.state == CancellationState.REFUSED
    assert AuditEntry.objects.filter(action="cancellation.settled").count() == 1
    assert not Refund.objects.exists()


def test_with_evidence_one_person_is_enough_and_sees_it(browser: Client, unknown: Cancellation) -> None:
    Attempt.objects.update(started_at=ago(minutes=40), answered_at=ago(minutes=40))
    Cancellation.objects.filter(pk=unknown.pk).update(seen_open_at=ago(minutes=5), seen_open_by="read 7")

    form = text(browser.get(f"/cancellations/{unknown.pk}/settle/"))
    settle(browser, unknown)

    assert "AssetPay showed it open: read 7" in form
    unknown.refresh_from_db()
    assert unknown.state == CancellationState.REFUSED
    page = text(browser.get("/cancellations/"))
    assert "Settled as not done by mira@desk.example" in page
    assert 'data-tone="bad">Refused</span>' not in page


def test_done_is_never_settled_by_hand(browser: Client, unknown: Cancellation) -> None:
    response = settle(browser, unknown, outcome="done")

    assert response.status_code == 422
    assert not Settlement.objects.exists()


def test_a_settlement_says_how_one_knows(browser: Client, unknown: Cancellation) -> None:
    response = settle(browser, unknown, note=" ")

    assert response.status_code == 422
    assert 'class="error"' in text(response)


def test_news_that_came_first_leaves_nothing_to_settle(browser: Client, unknown: Cancellation) -> None:
    Cancellation.objects.filter(pk=unknown.pk).move(to=CancellationState.CONFIRMED, now=timezone.now())

    response = settle(browser, unknown)

    assert response.status_code == 409
    assert "nothing to settle" in text(response)
    assert not Settlement.objects.exists()


def test_a_proposal_that_news_overtook_is_refused(browser: Client, log_in: LogIn, unknown: Cancellation) -> None:
    settle(browser, unknown)
    colleague = log_in(Role.SUPERVISOR)
    seen = hidden(colleague.get("/cancellations/?state=person"), "seen")
    Cancellation.objects.filter(pk=unknown.pk).move(to=CancellationState.CONFIRMED, now=timezone.now())

    response = colleague.post(f"/settlements/{Settlement.objects.get().pk}/approve/", {"seen": seen})

    assert response.status_code == 409
    unknown.refresh_from_db()
    assert unknown.state == CancellationState.CONFIRMED


def test_a_void_proposal_says_so_and_can_be_made_anew(browser: Client, log_in: LogIn, unknown: Cancellation) -> None:
    settle(browser, unknown)
    Item.objects.filter(pk=unknown.item_id).update(status="active")

    colleague = log_in(Role.SUPERVISOR)
    page = text(colleague.get("/cancellations/?state=person"))

    assert "it has to be proposed anew" in page
    assert "Approve “not done”" not in page
    assert settle(colleague, unknown).status_code == 303
    assert "Approve “not done”" in text(browser.get("/cancellations/?state=person"))


def test_a_dead_letter_goes_back_to_the_workers_once(browser: Client) -> None:
    stuck = CancellationFactory(needs_person="Given up.", send_from=timezone.now() - timedelta(minutes=5))

    first = browser.post(f"/cancellations/{stuck.pk}/retry/", {"next": "/cancellations/?state=person"})
    second = browser.post(f"/cancellations/{stuck.pk}/retry/")

    assert (first.status_code, first["Location"]) == (303, "/cancellations/?state=person")
    assert second.status_code == 409
    stuck.refresh_from_db()
    assert stuck.needs_person == ""


def test_nothing_there_is_not_found(browser: Client) -> None:
    assert browser.post("/cancellations/7/retry/").status_code == 404
    assert browser.get("/cancellations/7/settle/").status_code == 404
    assert browser.post("/settlements/7/approve/").status_code == 404
