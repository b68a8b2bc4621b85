"""Trades: the list, and all that is known of one."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from sandbox.testing import running_sandbox
from tests.desk import ask, deliver, item_of, news, person
from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    ago,
)
from tests.views.conftest import LogIn
from tests.views.reading import next_page, rows, text
from tests.wire import NOON, item_document
from withdrawals.models import CancellationState, Read, Role, Route, Status

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def test_the_newest_trade_comes_first(agent: Client) -> None:
    old, new = TradeFactory(opened_at=ago(hours=3)), TradeFactory(opened_at=ago(hours=1))

    assert rows(agent.get("/trades/")) == [f"trade-{new.pk}", f"trade-{old.pk}"]


def test_pages_show_every_trade_exactly_once(agent: Client) -> None:
    moment = ago(hours=2)
    trades = [TradeFactory(opened_at=moment) for _ in range(110)]

    seen: list[str] = []
    query = "?"
    while query:
        response = agent.get(f"/trades/{query}")
        seen += rows(response)
        query = next_page(response)

    assert sorted(seen) == sorted(f"trade-{trade.pk}" for trade in trades)


def test_whatever_a_customer_pastes_finds_the_trade(agent: Client) -> None:
    item = ItemFactory(external_id="line-9")
    trade = item.trade
    ItemFactory(market_hash_name="AWP | Asiimov (Battle-Scarred)")

    for pasted in (
        trade.assetpay_id,
        trade.assetpay_id[-8:],
        trade.external_id,
        trade.client_steam_id,
        item.assetpay_id,
        item.external_id,
        "redline",
    ):
        assert rows(agent.get("/trades/", {"q": pasted})) == [f"trade-{trade.pk}"], pasted


def test_a_bad_place_in_the_list_is_said(agent: Client) -> None:
    assert agent.get("/trades/", {"cursor": "nowhere"}).status_code == 400


def test_the_token_of_the_trade_link_is_shown_nowhere(supervisor: Client) -> None:
    deliver(news(clientTradeUrl="https://steamcommunity.com/tradeoffer/new/?partner=1&token=CaNaRy-1"))
    deliver(
        news(
            clientTradeUrl="https://steamcommunity.com/tradeoffer/new/?partner=1&token=CaNaRy-2",
            updatedAt="2026-03-02T12:30:00.000Z",
        )
    )
    trade = item_of().trade

    pages = [
        f"/trades/{trade.pk}/",
        f"/trades/{trade.pk}/document/",
        "/audit/",
        "/deliveries/",
        *(f"/deliveries/{delivery.pk}/" for delivery in trade.deliveries.all()),
    ]

    for page in pages:
        assert "CaNaRy" not in text(supervisor.get(page)), page
    assert "token=•••" in text(supervisor.get(pages[0]))


def test_three_truths_stand_side_by_side(agent: Client) -> None:
    mira = person(email="mira@desk.example")
    deliver(news())
    cancellation = ask(item_of(), actor=mira)
    type(cancellation).objects.filter(pk=cancellation.pk).update(
        state=CancellationState.ACCEPTED, accepted_at=NOON, answer_request_id="req-1"
    )
    ended = deliver(
        news(status="reverted", items=[item_document(status="reverted")], updatedAt="2026-03-02T13:00:00.000Z")
    )

    body = text(agent.get(f"/trades/{ended.trade_id}/"))

    assert "mira@desk.example</bdi>, request 1: <bdi>not delivered" in body
    assert "AssetPay&#x27;s answer" in body or "AssetPay's answer" in body
    assert f'<a href="/deliveries/{ended.pk}/">callback' in body
    assert "Undone" in body


def test_what_was_learned_by_asking_says_so(supervisor: Client) -> None:
    trade = TradeFactory()
    read = Read.objects.create(
        trade=trade, route=Route.SECURE, read_at=ago(minutes=1), body_sha256="a" * 64, document='{"x":1}'
    )
    ItemFactory(trade=trade, status=Status.COMPLETED, status_read=read)

    body = text(supervisor.get(f"/trades/{trade.pk}/"))

    assert f'href="/trades/{trade.pk}/document/?read={read.pk}"' in body
    assert "we asked AssetPay" in body
    assert "&quot;x&quot;: 1" in text(supervisor.get(f"/trades/{trade.pk}/document/?read={read.pk}"))


@pytest.mark.parametrize("read", ["x", "0", "99999999999999999999", "-1"])
def test_a_read_that_does_not_exist_is_not_found(supervisor: Client, read: str) -> None:
    trade = TradeFactory()

    assert supervisor.get(f"/trades/{trade.pk}/document/", {"read": read}).status_code == 404


def test_the_timeline_tells_what_happened_in_words(agent: Client) -> None:
    ended = deliver(news(status="reverted", items=[item_document(status="reverted")]))

    body = text(agent.get(f"/trades/{ended.trade_id}/"))

    assert "<strong>Trade appeared</strong>" in body
    assert "<strong>Refund opened</strong>" in body
    assert "<h3>Older</h3>" in body


def test_items_on_a_trade_act_as_on_the_worklist(agent: Client) -> None:
    item = ItemFactory()

    body = text(agent.get(f"/trades/{item.trade_id}/"))

    assert f'<tr id="item-{item.pk}"' in body
    assert f'hx-get="/items/{item.pk}/cancel/"' in body


def test_refunds_of_the_trade_can_be_confirmed_there(agent: Client) -> None:
    refund = RefundFactory()

    assert f'<tr id="refund-{refund.pk}"' in text(agent.get(f"/trades/{refund.item.trade_id}/"))


def test_keys_that_nobody_documented_are_shown(agent: Client) -> None:
    trade = TradeFactory(unknown=["gizmo"])

    assert "<bdi>gizmo</bdi>" in text(agent.get(f"/trades/{trade.pk}/"))


def test_asking_assetpay_leads_back_with_the_news(agent: Client, settings: Settings) -> None:
    with running_sandbox() as sandbox:
        settings.ASSETPAY_BASE_URL, settings.ASSETPAY_API_KEY = sandbox.base_url, sandbox.api_key
        made = sandbox.control.make_trade(age_seconds=3_600, status="hold", announce=False)
        trade = TradeFactory(assetpay_id=made["id"])

        response = agent.post(f"/trades/{trade.pk}/check/", follow=True)

    assert response.redirect_chain == [(f"/trades/{trade.pk}/", 303)]
    assert "Trade: pending → hold" in text(response)


def test_when_assetpay_cannot_be_asked_the_page_says_so(agent: Client) -> None:
    trade = TradeFactory()  # nobody listens where the tests' settings point

    response = agent.post(f"/trades/{trade.pk}/check/")

    assert response.status_code == 409
    assert "AssetPay could not be asked" in text(response)


def test_a_trade_that_does_not_exist_is_not_found(agent: Client) -> None:
    assert agent.get("/trades/1/").status_code == 404
    assert agent.post("/trades/1/check/").status_code == 404


@pytest.mark.parametrize("many", [1, 20])
def test_a_trade_costs_the_same_however_many_items(
    agent: Client, many: int, django_assert_max_num_queries: Any
) -> None:
    trade = TradeFactory()
    for _ in range(many):
        item = ItemFactory(trade=trade, status=Status.REVERTED, status_delivery=DeliveryFactory())
        CancellationFactory(item=item, state=CancellationState.CONFIRMED)
        RefundFactory(item=item)

    with django_assert_max_num_queries(QUERIES_OF_A_TRADE):
        agent.get(f"/trades/{trade.pk}/")


QUERIES_OF_A_TRADE = 11


def test_a_raw_document_keeps_its_numbers_and_markup_as_text(log_in: LogIn) -> None:
    trade = TradeFactory(document='{"price":12.30,"name":"<script>alert(1)</script>","note":"a \\"quoted\\" {brace}"}')

    body = text(log_in(Role.AUDITOR).get(f"/trades/{trade.pk}/document/"))

    assert "12.30" in body
    assert "<script>alert" not in body
    assert "{brace}" in body
