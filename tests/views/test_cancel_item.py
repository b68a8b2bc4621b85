"""Asking to cancel an item, from the dialog to the row; and taking it back."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import CancellationFactory, ItemFactory, TradeFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import AuditEntry, Cancellation, CancellationState, Item, Source, Status

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FORM = {"reason": "Customer asked", "note": "", "number": "1"}


@pytest.fixture
def item() -> Item:
    """One that can be cancelled."""
    return ItemFactory()


@pytest.fixture
def htmx(log_in: LogIn) -> Client:
    """An agent's browser that runs HTMX."""
    return log_in(htmx=True)


def test_the_dialog_states_the_consequence_and_asks_for_a_reason(htmx: Client, item: Item) -> None:
    body = text(htmx.get(f"/items/{item.pk}/cancel/")).strip()

    assert body.startswith('<dialog class="modal" id="cancel-dialog"')
    assert "AssetPay's yes is not the end" in body
    assert 'name="reason"' in body
    assert 'name="note"' in body
    assert 'name="number" value="1"' in body


def test_the_last_submit_button_acts_and_the_way_out_submits_nothing(htmx: Client, item: Item) -> None:
    body = text(htmx.get(f"/items/{item.pk}/cancel/"))

    buttons = [part.split(">")[0] for part in body.split("<button")[1:]]
    assert ['type="submit"' in button for button in buttons] == [False, True]
    assert 'type="button"' in buttons[0]


def test_without_scripts_the_dialog_is_open_on_a_page_of_its_own(agent: Client, item: Item) -> None:
    body = text(agent.get(f"/items/{item.pk}/cancel/?next=/items/%3Ftab%3Dcan"))

    assert "<!doctype html>" in body
    assert 'aria-labelledby="cancel-title" open>' in body
    assert 'name="next" value="/items/?tab=can"' in body


def test_asking_brings_the_row_empties_the_dialog_and_says_so(htmx: Client, item: Item) -> None:
    response = htmx.post(f"/items/{item.pk}/cancel/", FORM)

    body = text(response).strip()
    assert response.status_code == 200
    assert body.startswith(f'<tr id="item-{item.pk}"')
    assert 'data-cancellation-state="requested"' in body
    assert '<div id="dialog-slot" hx-swap-oob="innerHTML"></div>' in body
    assert 'hx-swap-oob="beforeend"' in body
    assert "Asked for" in body


def test_without_scripts_asking_leads_back_to_the_list(agent: Client, item: Item) -> None:
    response = agent.post(f"/items/{item.pk}/cancel/", FORM | {"next": "/items/?tab=can"})

    assert response.status_code == 303
    assert response["Location"] == "/items/?tab=can"
    assert "Asked for" in text(agent.get("/items/"))


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_a_form_never_leads_off_the_desk(agent: Client, item: Item, target: str) -> None:
    response = agent.post(f"/items/{item.pk}/cancel/", FORM | {"next": target})

    assert response["Location"] == "/items/"


def test_the_request_is_kept_with_who_why_and_which_web_request(agent: Client, item: Item) -> None:
    agent.post(f"/items/{item.pk}/cancel/", {"reason": "any words of one's own", "note": "said in chat"})

    cancellation = Cancellation.objects.get()
    entry = AuditEntry.objects.get(action="cancellation.requested")
    assert (cancellation.item, cancellation.reason, cancellation.note) == (
        item,
        "any words of one's own",
        "said in chat",
    )
    assert entry.actor == cancellation.requested_by
    assert entry.source == Source.SCREEN
    assert len(entry.request_id) == 36


def test_a_second_click_sends_nothing_and_says_who_was_first(htmx: Client, item: Item) -> None:
    htmx.post(f"/items/{item.pk}/cancel/", FORM)

    response = htmx.post(f"/items/{item.pk}/cancel/", FORM)

    assert response.status_code == 409
    assert text(response).strip().startswith(f'<tr id="item-{item.pk}"')
    assert "Already asked for by" in text(response)
    assert Cancellation.objects.count() == 1


def test_a_form_for_an_earlier_request_asks_for_nothing_new(htmx: Client, item: Item) -> None:
    CancellationFactory(item=item, state=CancellationState.WITHDRAWN)

    response = htmx.post(f"/items/{item.pk}/cancel/", FORM)

    assert response.status_code == 409
    assert Cancellation.objects.count() == 1


def test_an_item_that_ended_meanwhile_is_refused_with_its_row(htmx: Client, item: Item) -> None:
    Item.objects.filter(pk=item.pk).update(status=Status.COMPLETED)

    response = htmx.post(f"/items/{item.pk}/cancel/", FORM)

    assert response.status_code == 409
    assert 'data-item-status="completed"' in text(response)
    assert "The customer has this item" in text(response)
    assert "disabled" in text(response)


def test_a_refusal_without_scripts_is_a_page_with_the_row(agent: Client) -> None:
    young = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=1)))

    response = agent.post(f"/items/{young.pk}/cancel/", FORM | {"next": "/items/?tab=soon"})

    body = text(response)
    assert response.status_code == 409
    assert "<!doctype html>" in body
    assert "Too young" in body
    assert f'<tr id="item-{young.pk}"' in body
    assert 'href="/items/?tab=soon"' in body


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "x" * 201},
        {"reason": "Other", "note": ""},
        {"number": "0"},
        {"number": "many"},
        {"number": "99999999999999999999"},
        {"note": "nul\x00"},
    ],
)
def test_what_was_typed_wrong_comes_back_into_the_dialog(htmx: Client, item: Item, wrong: dict[str, Any]) -> None:
    response = htmx.post(f"/items/{item.pk}/cancel/", FORM | wrong)

    assert response.status_code == 422
    assert response["HX-Retarget"] == "#dialog-slot"
    assert text(response).strip().startswith("<dialog")
    assert 'class="error"' in text(response)
    assert not Cancellation.objects.exists()


def test_other_with_a_note_is_a_reason(htmx: Client, item: Item) -> None:
    assert htmx.post(f"/items/{item.pk}/cancel/", FORM | {"reason": "Other", "note": "chargeback"}).status_code == 200


def test_an_item_that_does_not_exist_is_not_found(agent: Client) -> None:
    for key in (1, 2**63, 10**30):
        assert agent.post(f"/items/{key}/cancel/", FORM).status_code == 404


def test_undo_takes_back_what_has_not_left(htmx: Client) -> None:
    waiting = CancellationFactory(send_from=timezone.now() + timedelta(seconds=5))

    before = text(htmx.get(f"/items/{waiting.item_id}/row/"))
    response = htmx.post(f"/cancellations/{waiting.pk}/undo/")

    assert ">Undo</button>" in before
    assert response.status_code == 200
    assert 'data-cancellation-state="withdrawn"' in text(response)
    assert ">Undo</button>" not in text(response)


def test_undo_after_it_left_is_refused_with_the_row(htmx: Client) -> None:
    gone = CancellationFactory(state=CancellationState.SENDING)

    response = htmx.post(f"/cancellations/{gone.pk}/undo/")

    assert response.status_code == 409
    assert "Too late to undo" in text(response)
    assert f'<tr id="item-{gone.item_id}"' in text(response)


def test_undo_works_as_an_ordinary_form(agent: Client) -> None:
    waiting = CancellationFactory()

    response = agent.post(f"/cancellations/{waiting.pk}/undo/", {"next": "/items/?tab=open"})

    assert (response.status_code, response["Location"]) == (303, "/items/?tab=open")


def test_undo_of_nothing_is_not_found(agent: Client) -> None:
    assert agent.post("/cancellations/1/undo/").status_code == 404


def test_reading_an_address_that_acts_changes_nothing(agent: Client, item: Item) -> None:
    waiting = CancellationFactory()

    assert agent.get(f"/items/{item.pk}/cancel/").status_code == 200
    assert agent.get(f"/cancellations/{waiting.pk}/undo/").status_code == 405
    assert Cancellation.objects.get().state == CancellationState.REQUESTED


def test_a_form_without_its_token_is_refused_in_style(item: Item, agent: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = agent.cookies

    response = strict.post(f"/items/{item.pk}/cancel/", FORM)

    assert response.status_code == 403
    assert "This form is too old" in text(response)
    assert not Cancellation.objects.exists()
