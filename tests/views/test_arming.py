"""Cancel when allowed: one item armed before its window opens, shown while it waits, disarmed by anybody."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import CancellationFactory, ItemFactory, TradeFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import Cancellation, CancellationState, Item, Status

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

FORM = {"reason": "Customer asked", "note": "", "number": "1"}


@pytest.fixture
def young() -> Item:
    """Ten minutes old: twenty more to wait."""
    return ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10)))


@pytest.fixture
def htmx(log_in: LogIn) -> Client:
    """An agent's browser that runs HTMX."""
    return log_in(htmx=True)


def test_only_an_item_whose_age_alone_refuses_offers_it(htmx: Client, young: Item) -> None:
    old = ItemFactory()
    rust = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10), game="252490"))
    armed = CancellationFactory(item__trade=TradeFactory(opened_at=ago(minutes=10)), state=CancellationState.SCHEDULED)

    offered = {
        item.pk: "Cancel when allowed" in text(htmx.get(f"/items/{item.pk}/row/")).split("</button>")[1]
        for item in (young, old, rust, armed.item)
    }

    assert offered == {young.pk: True, old.pk: False, rust.pk: False, armed.item_id: False}


def test_the_button_that_is_off_stays_and_names_rule_time_and_way_out(htmx: Client, young: Item) -> None:
    row = text(htmx.get(f"/items/{young.pk}/row/"))

    assert (
        f'id="cancel-{young.pk}" data-size="sm" disabled data-variant="outline" aria-describedby="why-{young.pk}"'
        in row
    )
    why = row.split(f'id="why-{young.pk}">')[1].split("</p>")[0]
    assert "Too young" in why
    assert f"{young.opened_at + timedelta(minutes=30):%H:%M:%S} UTC" in why
    assert "Cancel when allowed" in why


def test_the_dialog_says_when_it_fires_and_what_assetpay_does_itself(htmx: Client, young: Item) -> None:
    young.trade.auto_cancel_at = young.opened_at + timedelta(minutes=31)
    young.trade.save(update_fields=["auto_cancel_at"])

    body = text(htmx.get(f"/items/{young.pk}/arm/"))

    fires_at = young.opened_at + timedelta(minutes=33)
    assert body.strip().startswith('<dialog class="modal" id="cancel-dialog"')
    assert f"{fires_at:%H:%M:%S} UTC" in body
    assert "AssetPay itself gives up" in body
    assert 'name="reason"' in body
    assert 'name="note"' in body


def test_arming_brings_the_row_with_who_when_and_a_way_back(htmx: Client, young: Item) -> None:
    response = htmx.post(f"/items/{young.pk}/arm/", FORM)

    armed = Cancellation.objects.get()
    body = text(response)
    assert response.status_code == 200
    assert armed.state == CancellationState.SCHEDULED
    assert 'data-cancellation-state="scheduled"' in body
    assert f"by <bdi>{armed.requested_by}</bdi>" in body
    assert "asks AssetPay" in body
    assert ">Undo</button>" in body


def test_anybody_who_may_cancel_disarms_it(htmx: Client, young: Item) -> None:
    htmx.post(f"/items/{young.pk}/arm/", FORM)

    response = htmx.post(f"/cancellations/{Cancellation.objects.get().pk}/undo/")

    assert 'data-cancellation-state="withdrawn"' in text(response)
    assert "Cancel when allowed" in text(response)


def test_what_disarmed_itself_says_why(htmx: Client, young: Item) -> None:
    htmx.post(f"/items/{young.pk}/arm/", FORM)
    Cancellation.objects.all().move(
        to=CancellationState.WITHDRAWN, now=timezone.now(), ended_because="Disarmed: the offer is with the customer."
    )

    assert "Disarmed: the offer is with the customer." in text(htmx.get(f"/items/{young.pk}/row/"))


@pytest.mark.parametrize("state", [CancellationState.SCHEDULED, CancellationState.REQUESTED])
def test_arming_what_a_colleague_asked_for_is_refused_with_who_and_when(
    htmx: Client, young: Item, state: CancellationState
) -> None:
    CancellationFactory(item=young, state=state, requested_by__email="mira@desk.example")

    response = htmx.post(f"/items/{young.pk}/arm/", FORM)

    assert response.status_code == 409
    assert "mira@desk.example" in text(response)
    assert "UTC" in text(response)
    assert Cancellation.objects.count() == 1


def test_an_item_that_is_old_enough_or_ended_is_not_armed(htmx: Client) -> None:
    for item in (ItemFactory(), ItemFactory(status=Status.COMPLETED, trade=TradeFactory(opened_at=ago(minutes=5)))):
        assert htmx.post(f"/items/{item.pk}/arm/", FORM).status_code == 409
    assert not Cancellation.objects.exists()


def test_arming_without_scripts_leads_back_to_the_list(agent: Client, young: Item) -> None:
    response = agent.post(f"/items/{young.pk}/arm/", FORM | {"next": "/items/?tab=soon"})

    assert (response.status_code, response["Location"]) == (303, "/items/?tab=soon")
    assert "Armed:" in text(agent.get("/items/"))


def test_a_reason_is_asked_for_never_preset(htmx: Client, young: Item) -> None:
    body = text(htmx.get(f"/items/{young.pk}/arm/"))

    assert '<option value="" selected>Choose…</option>' in body
    assert htmx.post(f"/items/{young.pk}/arm/", {"reason": ""}).status_code == 422
