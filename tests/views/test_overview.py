"""The first page, the frame around every page, and the pages for what went wrong."""

import re
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from django.views.defaults import bad_request, server_error
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, TradeFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from withdrawals.models import (
    Alarm,
    AlarmKind,
    Attempt,
    CancellationState,
    RefundState,
    Role,
    SendPermit,
    Status,
    Verdict,
)
from withdrawals.views.charts import _asked

pytestmark = pytest.mark.django_db

FIGURE = re.compile(r'class="figure" href="([^"]+)"[^>]*><span class="figure-number">(\d+)<')


@given(
    counts=st.fixed_dictionaries(
        {
            "can": st.integers(0, 3),
            "soon": st.integers(0, 2),
            "uncertain": st.integers(0, 2),
            "stuck": st.integers(0, 2),
            "accepted": st.integers(0, 2),
            "due": st.integers(0, 2),
            "in_review": st.integers(0, 2),
            "awaiting": st.integers(0, 2),
            "failed": st.integers(0, 2),
            "applied": st.integers(0, 2),
            "alarms": st.sets(st.sampled_from(AlarmKind), max_size=3),
        }
    )
)
@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_figure_leads_to_exactly_the_list_that_it_counts(supervisor: Client, counts: dict[str, Any]) -> None:
    with transaction.atomic():
        ItemFactory.create_batch(counts["can"])
        for _ in range(counts["soon"]):
            ItemFactory(trade=TradeFactory(opened_at=ago(minutes=5)))
        CancellationFactory.create_batch(counts["uncertain"], state=CancellationState.UNCERTAIN)
        CancellationFactory.create_batch(counts["stuck"], needs_person="Sent 5 times in vain.")
        CancellationFactory.create_batch(counts["accepted"], state=CancellationState.ACCEPTED)
        RefundFactory.create_batch(counts["due"])
        RefundFactory.create_batch(counts["in_review"], state=RefundState.IN_REVIEW)
        for _ in range(counts["awaiting"]):
            RefundFactory(state=RefundState.AWAITING)
        DeliveryFactory.create_batch(counts["failed"], verdict=Verdict.FAILED)
        DeliveryFactory.create_batch(counts["applied"])
        for kind in counts["alarms"]:
            Alarm.objects.create(kind=kind, detail="x", raised_at=ago(hours=1), changed_at=ago(hours=1))

        figures = FIGURE.findall(text(supervisor.get("/")))
        listed = [
            len(rows(page := supervisor.get(address))) or len(re.findall(r'id="alarm-\d+" data-alarm', text(page)))
            for address, _ in figures
        ]
        transaction.set_rollback(True)

    open_ = counts["uncertain"] + counts["stuck"] + counts["accepted"]
    asked = [counts["uncertain"], counts["stuck"], open_]
    refunds = [counts["due"], counts["awaiting"], counts["in_review"]]
    expected = [counts["can"], *asked, *refunds, counts["failed"], len(counts["alarms"])]
    assert [int(number) for _, number in figures] == expected == listed


CHART = re.compile(r'data-chart="(\w+)".*?</figure>', re.DOTALL)
BAR = re.compile(r'<th scope="row">([^<]+)</th><td class="num" data-height="([\d.]+)"[^>]*>([^<]*)<')


def bars(browser: Client, chart: str, shown: str = "24h") -> dict[str, str]:
    """The table behind a chart: its words by label."""
    body = text(browser.get("/", {"range": shown}))
    part = next(found[0] for found in CHART.finditer(body) if found[1] == chart)
    return {label: words for label, _, words in BAR.findall(part)}


def test_cancellations_are_charted_by_outcome_within_the_range(agent: Client) -> None:
    CancellationFactory.create_batch(2, state=CancellationState.CONFIRMED)
    CancellationFactory(state=CancellationState.REFUSED, requested_at=ago(days=3))

    assert (bars(agent, "outcomes")["Undone"], bars(agent, "outcomes")["Refused"]) == ("2", "0")
    assert bars(agent, "outcomes", "7d")["Refused"] == "1"


def test_what_is_charted_is_found_by_when_it_was_asked_for() -> None:
    CancellationFactory.create_batch(60, state="confirmed", requested_at=ago(days=90))
    CancellationFactory(state="confirmed")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # What earlier tests left in the indexes counts in their price.
            cursor.execute("REINDEX TABLE withdrawals_cancellation")
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute("ANALYZE")

    assert "cancellation_newest_first" in _asked(ago(days=7)).explain()


def test_refunds_are_charted_by_state_and_value(agent: Client) -> None:
    RefundFactory(item__price=Decimal("10.05"))
    RefundFactory(item__price=Decimal("0.95"))
    RefundFactory(state=RefundState.CONFIRMED, item__price=Decimal("7.00"), opened_at=ago(days=10))

    assert bars(agent, "refunds")["Due"] == "$11.00 in 2"
    assert bars(agent, "refunds")["Confirmed"] == "$0.00 in 0"
    assert bars(agent, "refunds", "30d")["Confirmed"] == "$7.00 in 1"


def test_the_time_to_undone_and_the_lag_of_callbacks_are_spread(agent: Client) -> None:
    asked, undone = ago(hours=2), CancellationState.CONFIRMED
    for minutes in (1, 4, 50):
        CancellationFactory(state=undone, requested_at=asked, ended_at=asked + timedelta(minutes=minutes))
    DeliveryFactory(received_at=ago(minutes=3), signed_at=ago(minutes=3) - timedelta(seconds=2))
    DeliveryFactory(received_at=ago(minutes=3), signed_at=ago(hours=5))

    took, lag = bars(agent, "undone"), bars(agent, "lag")

    assert (took["up to 1 min"], took["up to 5 min"], took["up to 1 h"], took["longer"]) == ("1", "1", "1", "0")
    assert (lag["up to 10 s"], lag["up to 6 h"]) == ("1", "1")
    assert "Half within 4 min, nine of ten within 50 min, of 3." in text(agent.get("/"))


def test_the_sending_budget_counts_what_left_in_each_step(agent: Client, settings: LazySettings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10
    now = timezone.now()
    for number in range(3):
        attempt = Attempt.objects.create(
            cancellation=CancellationFactory(), number=1, request_id=uuid.uuid4(), started_at=now
        )
        end = now + timedelta(seconds=50) if number else now - timedelta(seconds=10)
        SendPermit.objects.create(attempt=attempt, reserved_at=now, counts_until=end)

    assert bars(agent, "sendings")[f"{now:%H:00}"] == "3"
    assert bars(agent, "sendings", "30d")[f"{now:%d %b}"] == "3"
    assert (len(bars(agent, "sendings")), len(bars(agent, "sendings", "7d"))) == (24, 7)
    assert "2 of 10 a minute are in use now" in text(agent.get("/"))


def test_an_unknown_range_is_said(agent: Client) -> None:
    answer = agent.get("/", {"range": "1y"})

    assert answer.status_code == 400
    assert "There is no such range" in text(answer)


@pytest.mark.parametrize("many", [1, 25])
def test_the_overview_costs_the_same_however_much_there_is(
    supervisor: Client, many: int, django_assert_num_queries: Any
) -> None:
    for _ in range(many):
        CancellationFactory(state=CancellationState.CONFIRMED)
        RefundFactory()
        DeliveryFactory()
    supervisor.get("/")

    with django_assert_num_queries(QUERIES_OF_THE_OVERVIEW):
        supervisor.get("/?range=30d")


# Session with person and what they may; all counts; the other figures; six of charts; the latest entries.
QUERIES_OF_THE_OVERVIEW = 14


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
