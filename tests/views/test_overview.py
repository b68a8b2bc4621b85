"""The first page, the frame around every page, and the pages for what went wrong."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.test import Client, RequestFactory
from django.utils import timezone
from django.views.defaults import bad_request, server_error

from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import CancellationState, RefundState, Role, Status, Verdict

pytestmark = pytest.mark.django_db

FIGURE = re.compile(r'class="figure" href="([^"]+)"[^>]*><span class="figure-number">(\d+)<')


def test_each_figure_leads_to_exactly_the_list_that_it_counts(supervisor: Client) -> None:
    ItemFactory.create_batch(3)
    CancellationFactory.create_batch(2, state=CancellationState.UNCERTAIN)
    CancellationFactory(state=CancellationState.ACCEPTED)
    RefundFactory.create_batch(2)
    RefundFactory(state=RefundState.IN_REVIEW)
    DeliveryFactory(verdict=Verdict.FAILED)
    DeliveryFactory(verdict=Verdict.QUARANTINED)

    figures = FIGURE.findall(text(supervisor.get("/")))

    assert [int(number) for _, number in figures] == [3, 2, 3, 2, 1, 2]
    for address, number in figures:
        assert len(rows(supervisor.get(address))) == int(number), address


def test_the_money_owed_and_its_age_are_named(agent: Client) -> None:
    RefundFactory(item__price=Decimal("10.05"), opened_at=ago(hours=3))
    RefundFactory(item__price=Decimal("0.95"))

    body = text(agent.get("/"))

    assert "$11.00 owed, oldest" in body
    assert "3 h ago" in body


def test_nothing_at_all_is_a_page_too(agent: Client) -> None:
    body = text(agent.get("/"))

    assert "$0.00 owed" in body
    assert "never came" in body
    assert "Nothing happened yet" in body


def test_the_rail_counts_and_marks_the_page(agent: Client) -> None:
    ItemFactory()
    ItemFactory(status=Status.COMPLETED)

    body = text(agent.get("/items/"))

    assert re.search(r'href="/items/" aria-current="page".*?<span class="count">1<', body, re.DOTALL)
    assert "Audit log" not in body


def test_who_is_logged_in_and_as_what_is_always_shown(supervisor: Client) -> None:
    assert re.search(r"<bdi>person-\d+@desk.example</bdi><span>supervisor</span>", text(supervisor.get("/")))


def test_an_approval_from_assetpay_itself_raises_the_banner_for_everybody(log_in: LogIn) -> None:
    browsers = [log_in(role) for role in Role]
    assert all("sends approvals to this desk" not in text(browser.get("/items/")) for browser in browsers)

    DeliveryFactory(verdict=Verdict.APPROVAL, is_copy=False)

    assert all("sends approvals to this desk" in text(browser.get("/items/")) for browser in browsers)


def test_a_marked_or_an_old_approval_raises_no_banner(agent: Client) -> None:
    DeliveryFactory(verdict=Verdict.APPROVAL, is_copy=True)
    DeliveryFactory(verdict=Verdict.APPROVAL, is_copy=False, received_at=ago(hours=25))

    assert "sends approvals to this desk" not in text(agent.get("/"))


def test_the_demo_says_that_it_is_one(agent: Client, settings: LazySettings) -> None:
    settings.DEMO = True

    body = text(agent.get("/"))

    assert "AssetPay is a sandbox" in body
    assert "The second factor is off" in body


def test_the_clock_answers_with_the_servers_time(agent: Client) -> None:
    told = timezone.datetime.fromisoformat(text(agent.get("/now/")))

    assert abs(timezone.now() - told) < timedelta(seconds=5)


def test_no_page_carries_inline_scripts_or_styles(supervisor: Client) -> None:
    refund, cancellation, delivery = RefundFactory(), CancellationFactory(), DeliveryFactory()

    for path in (
        "/",
        "/items/?tab=all",
        f"/items/{cancellation.item_id}/cancel/",
        f"/items/{cancellation.item_id}/arm/",
        f"/trades/{cancellation.item.trade_id}/cancel/",
        f"/cancellations/{cancellation.pk}/settle/",
        "/batches/",
        "/sending/",
        "/trades/",
        f"/trades/{refund.item.trade_id}/",
        "/cancellations/",
        "/refunds/",
        f"/refunds/{refund.pk}/confirm/",
        "/deliveries/",
        f"/deliveries/{delivery.pk}/",
        "/audit/",
        "/nowhere/",
    ):
        body = text(supervisor.get(path))
        assert not re.search(r"<script(?![^>]*\ssrc=)", body), path
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|data:image|javascript:", body), path


def test_what_is_not_there_says_so_in_style(agent: Client, client: Client) -> None:
    for browser in (agent, client):
        response = browser.get("/nowhere/")
        assert response.status_code == 404
        assert "There is nothing here" in text(response)


def test_faults_have_a_page_that_needs_nothing() -> None:
    request = RequestFactory().get("/")

    assert "A fault on our side" in text(server_error(request))
    assert "cannot be understood" in text(bad_request(request, Exception()))
