"""The page of what leaves for AssetPay, its line on the overview, and asking for a whole trade."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.factories import CancellationFactory, ItemFactory, TradeFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import (
    Attempt,
    Batch,
    Cancellation,
    CancellationState,
    Lane,
    SendBudget,
    SendPermit,
    Status,
)

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

REASON = {"reason": "Customer asked", "note": ""}


def test_the_page_tells_what_is_used_and_what_waits(agent: Client, settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10
    now = timezone.now()
    sent = Attempt.objects.create(
        cancellation=CancellationFactory(state=CancellationState.ACCEPTED), number=1, request_id=uuid4(), started_at=now
    )
    SendPermit.objects.create(attempt=sent, reserved_at=now, counts_until=now + timedelta(minutes=1))
    CancellationFactory.create_batch(2)
    CancellationFactory(lane=Lane.BATCH)
    CancellationFactory(state=CancellationState.SCHEDULED, send_from=now + timedelta(minutes=9))

    for path in ("/sending/", "/live/sending/"):
        body = text(agent.get(path))
        assert re.search(r"<strong data-used>1</strong> of <strong>10</strong>", body)
        assert dict(re.findall(r'data-queued="(\w+)">(\d+)<', body)) == {"clicks": "2", "batch": "1"}
        assert "2 a minute" in body
        assert "every 3s" in body
    assert re.search(r"1 of 10 cancels of this minute used.*3 waiting to leave.*1 armed", text(agent.get("/")))


def test_a_pause_is_shown_with_its_reason_and_its_end(agent: Client) -> None:
    until = timezone.now() + timedelta(minutes=3)
    SendBudget.objects.update(paused_until=until, paused_because="RATE_LIMITED")

    body = text(agent.get("/sending/"))

    assert "Paused until" in body
    assert f"{until:%H:%M:%S} UTC" in body
    assert "RATE_LIMITED" in body
    assert "paused until" in text(agent.get("/"))


@pytest.mark.parametrize("many", [1, 20])
def test_the_page_costs_the_same_however_much_waits(agent: Client, many: int, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def] # pytest-django's own fixture
    CancellationFactory.create_batch(many)

    with django_assert_num_queries(QUERIES_OF_THE_LIVE_PART):
        agent.get("/live/sending/")


# Session, person, what they may; the batches; the budget's own.
QUERIES_OF_THE_LIVE_PART = 8


def test_a_whole_trade_is_shown_by_name_and_asked_for_at_once(log_in: LogIn) -> None:
    trade = TradeFactory()
    names = ("AK-47 | Redline (Field-Tested)", "Glock-18 | Fade (Factory New)")
    items = [ItemFactory(trade=trade, market_hash_name=name) for name in names]
    ended = ItemFactory(trade=trade, status=Status.COMPLETED, market_hash_name="P250 | See Ya Later")
    browser = log_in(UserFactory(email="mira@desk.example"))

    dialog = text(browser.get(f"/trades/{trade.pk}/cancel/"))
    response = browser.post(f"/trades/{trade.pk}/cancel/", REASON)

    assert all(name in dialog for name in names)
    assert "1 more has ended already" in dialog
    assert (response.status_code, response["Location"]) == (303, f"/trades/{trade.pk}/")
    assert {asked.item_id for asked in Cancellation.objects.all()} == {item.pk for item in items}
    assert not ended.cancellations.exists()
    assert f'href="/batches/{Batch.objects.get().pk}/"' in text(browser.get(f"/trades/{trade.pk}/"))


def test_a_trade_with_one_item_that_stands_in_the_way_is_refused_whole_and_says_which(agent: Client) -> None:
    trade = TradeFactory()
    ItemFactory(trade=trade)
    CancellationFactory(
        item__trade=trade, item__market_hash_name="Sticker | Crown", requested_by__email="m@desk.example"
    )

    page = text(agent.get(f"/trades/{trade.pk}/"))
    response = agent.post(f"/trades/{trade.pk}/cancel/", REASON)

    assert re.search(r'id="cancel-trade"[^>]* disabled aria-describedby="why-whole"', page)
    assert "Sticker | Crown: m@desk.example already asked for this." in page
    assert response.status_code == 409
    assert "Sticker | Crown" in text(response)
    assert Cancellation.objects.count() == 1


def test_a_second_click_on_a_whole_trade_asks_for_nothing_new(agent: Client) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(hours=1)))
    agent.post(f"/trades/{item.trade_id}/cancel/", REASON)

    response = agent.post(f"/trades/{item.trade_id}/cancel/", REASON)

    assert response.status_code == 409
    assert "Already asked for by" in text(response)
    assert Cancellation.objects.count() == 1


def test_a_whole_trade_without_a_reason_is_not_asked_for(agent: Client) -> None:
    item = ItemFactory()

    assert agent.post(f"/trades/{item.trade_id}/cancel/", {"reason": ""}).status_code == 422
    assert not Cancellation.objects.exists()
    assert agent.get("/trades/999999/cancel/").status_code == 404


def test_f32_the_form_of_a_whole_trade_sent_again_after_it_was_stopped_asks_for_nothing(agent: Client) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(hours=1)))
    address = f"/trades/{item.trade_id}/cancel/"
    number = re.search(r'name="number" value="(\d+)"', text(agent.get(address)))
    assert number is not None
    form = REASON | {"number": number[1]}
    assert agent.post(address, form).status_code == 303
    agent.post(f"/batches/{Batch.objects.get().pk}/stop/")
    assert Cancellation.objects.get().state == "withdrawn"

    again = agent.post(address, form)

    assert again.status_code == 409
    assert "since your form was made" in text(again)
    assert Cancellation.objects.count() == 1
