"""What Prometheus reads, and who may read it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from tests.desk import ask, deliver, item_of, news, see
from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, ago
from tests.faults.door import APPROVAL
from tests.views.reading import text
from tests.wire import trade_snapshot
from withdrawals.actions.alarms import watch
from withdrawals.actions.clock import beat, show_life
from withdrawals.actions.invariants import look_at_invariants
from withdrawals.models import Beating, CancellationState, ReadState, RefundState, RejectedCall

pytestmark = pytest.mark.django_db
TOKEN = "a-token-for-the-scraper"


def told(**headers: str) -> dict[str, float]:
    """Each sample by its name and labels."""
    answer = Client(headers=headers).get("/metrics")
    assert answer.status_code == 200
    return {
        sample.name.removeprefix("assetpay_admin_") + "".join(f"[{value}]" for value in sample.labels.values()): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_without_a_token_only_this_machine_is_told() -> None:
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="::1").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="192.0.2.7").get("/metrics").status_code == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_what_a_proxy_on_this_machine_passes_on_is_not_from_here(header: str) -> None:
    assert Client(headers={header: "127.0.0.1"}).get("/metrics").status_code == 403


def test_with_a_token_it_is_needed_from_everywhere(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN

    assert (
        Client(REMOTE_ADDR="192.0.2.7", headers={"Authorization": f"Bearer {TOKEN}"}).get("/metrics").status_code == 200
    )
    for wrong in ({}, {"Authorization": "Bearer "}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}é"}):
        assert Client(headers=wrong).get("/metrics").status_code == 401


def test_callbacks_are_counted_by_verdict_with_their_lag_and_silence() -> None:
    now = timezone.now()
    deliver(news("trade-1"), now=now, signed_at=now - timedelta(seconds=8))
    deliver(APPROVAL, now=now, signed_at=now - timedelta(seconds=8))
    DeliveryFactory(received_at=ago(hours=2))
    RejectedCall.objects.create(received_at=now, reason="signature", body_bytes=1, status=401)

    figures = told()

    assert figures["callbacks_last_hour[applied]"] == 1
    assert figures["callbacks_last_hour[approval]"] == 1
    assert figures["callbacks_last_hour[failed]"] == 0
    assert figures["callbacks_rejected_last_hour[signature]"] == 1
    assert figures["callback_lag_seconds"] == pytest.approx(8, abs=0.1)
    assert 0 <= figures["callback_silence_seconds"] < 60


def test_cancellations_permits_and_the_queue() -> None:
    CancellationFactory(state=CancellationState.UNCERTAIN)
    CancellationFactory(state=CancellationState.REQUESTED, send_from=ago(seconds=100))

    figures = told()

    assert figures["cancellations[uncertain]"] == 1
    assert figures["cancellations[confirmed]"] == 0
    assert figures["permits_used"] == 0
    assert figures["permits_limit"] == 10
    assert figures["queue_age_seconds"] == pytest.approx(100, abs=30)


def test_who_never_showed_life_has_been_silent_for_ever() -> None:
    assert told()["heartbeat_age_seconds[clock]"] == float("inf")

    beat(Beating.CLOCK, now=ago(seconds=40))
    beat(Beating.CLOCK, now=ago(seconds=30))
    show_life.func()

    figures = told()
    assert figures["heartbeat_age_seconds[clock]"] == pytest.approx(30, abs=20)
    assert figures["heartbeat_age_seconds[worker]"] < 20


def test_refunds_owed_reading_back_and_alarms() -> None:
    RefundFactory(state=RefundState.DUE, opened_at=ago(hours=5))
    ReadState.objects.update_or_create(
        pk=1, defaults={"succeeded_at": ago(minutes=9), "failed_at": ago(minutes=1), "failure": "away"}
    )
    watch(now=timezone.now())

    figures = told()

    assert figures["refunds_owed[due]"] == 1
    assert figures["refunds_owed_usd[due]"] > 0
    assert figures["refunds_oldest_seconds[due]"] == pytest.approx(5 * 3_600, abs=60)
    assert figures["reconcile_age_seconds"] == pytest.approx(540, abs=60)
    assert figures["alarm_ringing[reads_failing]"] == 1
    assert figures["alarm_ringing[wrong_secret]"] == 0


def test_a_broken_promise_is_a_figure_and_red_on_its_page(agent: Client) -> None:
    see(trade_snapshot())
    ask(item_of())
    look_at_invariants(now=timezone.now())
    assert {value for name, value in told().items() if name.startswith("invariant_broken")} == {0}
    assert b'id="all-hold"' in agent.get("/invariants/").content

    ItemFactory(status="failed", status_changed_at=ago(hours=1))
    look_at_invariants(now=timezone.now())

    assert told()["invariant_broken_rows[undelivered-has-refund]"] == 1
    page = agent.get("/invariants/")
    assert "1 promise broken" in text(page)
    assert "Broken: 1 row" in text(page)


def test_a_scrape_asks_the_same_number_of_questions_whatever_there_is(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(15):  # type: ignore[operator] # a context manager of pytest-django
        told()
    CancellationFactory.create_batch(3)
    DeliveryFactory.create_batch(3)
    RefundFactory.create_batch(3)
    with django_assert_num_queries(15):  # type: ignore[operator] # as above
        told()
