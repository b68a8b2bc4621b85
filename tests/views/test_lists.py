"""Cancellations, callbacks and the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from tests.desk import ask, deliver, item_of, news, person
from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    RejectedCallFactory,
    TradeFactory,
    UserFactory,
    ago,
)
from tests.views.conftest import LogIn
from tests.views.reading import next_page, rows, text
from tests.wire import NOON, STEAM_ID
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import AuditEntry, CancellationState, Delivery, Role, Source, Verdict

pytestmark = pytest.mark.django_db


def write(moment: datetime, action: str = "trade.changed", **fields: Any) -> AuditEntry:
    """One audit entry."""
    with transaction.atomic():
        record([Fact(action, **fields)], origin=Origin(Source.COMMAND, name="import"), now=moment)
    return AuditEntry.objects.order_by("-number")[0]


@pytest.mark.parametrize("state", CancellationState)
def test_cancellations_are_listed_by_state(agent: Client, state: CancellationState) -> None:
    ours = {each: CancellationFactory(state=each) for each in CancellationState}

    response = agent.get("/cancellations/", {"state": state.value})

    assert rows(response) == [f"cancellation-{ours[state].pk}"]


def test_a_cancellation_shows_who_asked_and_what_assetpay_said(agent: Client) -> None:
    CancellationFactory(
        state=CancellationState.REFUSED,
        requested_by__email="mira@desk.example",
        answer_key="TRADE_CANCEL_UNSUPPORTED",
        answer_message="Cancel is not supported <b>here</b>",
        answer_request_id="req-9",
    )

    body = text(agent.get("/cancellations/"))

    for words in (
        "mira@desk.example",
        "takes no cancel",
        "TRADE_CANCEL_UNSUPPORTED",
        "&lt;b&gt;here",
        "req-9",
        "Refused",
    ):
        assert words in body


def test_cancellations_are_found_by_id_name_and_person(agent: Client) -> None:
    ours = CancellationFactory(requested_by__email="mira@desk.example", state=CancellationState.ACCEPTED)
    CancellationFactory(item__market_hash_name="AWP | Asiimov (Battle-Scarred)")

    for query in (
        {"q": ours.item.assetpay_id, "state": "refused"},
        {"q": ours.item.trade.client_steam_id},
        {"q": "redline"},
        {"q": "mira@"},
    ):
        assert rows(agent.get("/cancellations/", query)) == [f"cancellation-{ours.pk}"], query


def test_deliveries_are_listed_by_verdict(agent: Client) -> None:
    ours = {verdict: DeliveryFactory(verdict=verdict) for verdict in Verdict}

    assert rows(agent.get("/deliveries/", {"verdict": "noted"})) == [f"delivery-{ours[Verdict.NOTED].pk}"]
    troubled = rows(agent.get("/deliveries/", {"verdict": "person"}))
    assert sorted(troubled) == sorted(f"delivery-{ours[each].pk}" for each in (Verdict.QUARANTINED, Verdict.FAILED))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"kind": "withdrawal_news"}, ["changed", "repeated", "late"]),
        ({"kind": "unknown"}, ["unreadable"]),
        ({"mark": "changed"}, ["changed"]),
        ({"mark": "repeated"}, ["repeated"]),
        ({"mark": "late"}, ["late"]),
        ({"mark": "direct"}, ["unreadable"]),
        ({"mark": "conflict"}, []),
        ({"mark": "repeated", "kind": "unknown"}, []),
    ],
)
def test_deliveries_are_listed_by_kind_and_by_what_is_special(
    agent: Client, given: dict[str, str], found: list[str]
) -> None:
    deliver(news(), delivery_id="changed")
    deliver(news(), delivery_id="repeated")
    deliver(news(), delivery_id="repeated")
    deliver(news(), delivery_id="late", signed_at=NOON - timedelta(hours=1))
    deliver(b"not JSON", delivery_id="unreadable", is_copy=False)

    expected = {f"delivery-{pk}" for pk in Delivery.objects.filter(delivery_id__in=found).values_list("pk", flat=True)}
    assert set(rows(agent.get("/deliveries/", given))) == expected
    assert len(expected) == len(found)


def test_a_delivery_is_found_by_any_of_its_ids(agent: Client) -> None:
    ours = DeliveryFactory(trade=TradeFactory())
    DeliveryFactory()

    for pasted in (ours.delivery_id, ours.subject_id, ours.trade.assetpay_id, ours.delivery_id[-8:]):
        assert rows(agent.get("/deliveries/", {"q": pasted})) == [f"delivery-{ours.pk}"], pasted


def test_the_inbox_says_late_repeated_and_unmarked(agent: Client) -> None:
    DeliveryFactory(is_late=True, times_received=3, is_copy=False, problem="is not JSON", verdict=Verdict.QUARANTINED)

    body = text(agent.get("/deliveries/"))

    for words in ("late: signed", "3 times", "not marked as a copy", "is not JSON", "Not understood"):
        assert words in body


def test_what_was_not_let_in_leaves_its_trace_below(agent: Client) -> None:
    RejectedCallFactory(reason="signature", remote_address="203.0.113.9")

    body = text(agent.get("/deliveries/"))

    assert "203.0.113.9" in body
    assert "answered 401" in body


def test_a_body_is_shown_as_text_to_whoever_may_read_it(log_in: LogIn) -> None:
    ours = DeliveryFactory(body=b'{"a":1.50,"u":"?token=SeCrEt&x=1","bad":"\xff","s":"<script>"}')

    shown = text(log_in(Role.AUDITOR).get(f"/deliveries/{ours.pk}/document/"))
    hidden = text(log_in(Role.AGENT).get(f"/deliveries/{ours.pk}/"))

    assert "1.50" in shown
    assert "token=•••&amp;x=1" in shown
    assert "SeCrEt" not in shown
    assert "�" in shown
    assert "&lt;script&gt;" in shown
    assert "1.50" not in hidden
    assert "Raw documents are for supervisors, auditors and admins" in hidden


def test_bodies_of_any_bytes_are_shown_without_a_fault(log_in: LogIn) -> None:
    auditor = log_in(Role.AUDITOR)
    for body in (b"", b"\x00\xff", b"[" * 200_000, b'"' + b"\\" * 70_000, b'{"a"' * 9_000):
        assert auditor.get(f"/deliveries/{DeliveryFactory(body=body).pk}/document/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/cancellations/?state=x",
        "/deliveries/?verdict=x",
        "/audit/?date_from=x",
        "/audit/?source=x",
        "/audit/?cursor=x",
        "/cancellations/?cursor=~",
    ],
)
def test_a_filter_that_cannot_be_read_is_said(supervisor: Client, path: str) -> None:
    response = supervisor.get(path)

    assert response.status_code == 400
    assert 'role="alert"' in text(response)


def test_a_zero_byte_is_refused_before_any_list_is_read(supervisor: Client) -> None:
    response = supervisor.get("/audit/?q=%00")

    assert response.status_code == 400
    assert "Nothing was changed." in text(response)


@pytest.mark.parametrize("path", ["/cancellations/", "/deliveries/", "/trades/"])
def test_an_empty_list_says_what_would_be_there(agent: Client, path: str) -> None:
    assert 'class="empty"' in text(agent.get(path))


def test_pages_of_the_log_show_every_entry_exactly_once(supervisor: Client) -> None:
    with transaction.atomic():
        record([Fact("trade.changed")] * 130, origin=Origin(Source.COMMAND, name="import"), now=NOON)

    seen: list[str] = []
    query = "?"
    while query:
        response = supervisor.get(f"/audit/{query}")
        seen += rows(response)
        query = next_page(response)

    assert seen == [f"audit-{number}" for number in range(130, 0, -1)]


def test_the_log_is_found_by_trade_item_and_person(supervisor: Client) -> None:
    mira = person(email="mira@desk.example")
    deliver(news())
    ask(item_of(), actor=mira)
    write(NOON)
    item = item_of()

    for query in (
        item.assetpay_id,
        item.trade.assetpay_id,
        str(item.trade_id),
        STEAM_ID,
        "mira@desk",
        "cancellation.requested",
    ):
        found = rows(supervisor.get("/audit/", {"q": query}))
        requested = AuditEntry.objects.get(action="cancellation.requested")
        assert f"audit-{requested.number}" in found, query
        assert f"audit-{AuditEntry.objects.order_by('-number')[0].number}" not in found, query


def test_an_entry_shows_all_its_columns(supervisor: Client) -> None:
    mira = person(email="mira@desk.example")
    deliver(news())
    ask(item_of(), actor=mira)
    entry = AuditEntry.objects.get(action="cancellation.requested")

    body = text(supervisor.get("/audit/", {"action": "cancellation.requested"}))

    for words in (
        "mira@desk.example",
        "Cancel asked for",
        "reason: <bdi>not delivered",
        entry.hash[:12],
        "Screen",
        str(entry.number),
    ):
        assert words in body


def test_a_day_includes_both_its_ends(supervisor: Client) -> None:
    day = datetime(2026, 3, 2, tzinfo=UTC)
    moments = [
        day.replace(day=1, hour=23, minute=59, second=59, microsecond=999_999),
        day,
        day.replace(hour=23, minute=59, second=59, microsecond=999_999),
        day.replace(day=3),
    ]
    entries = [write(moment) for moment in moments]

    found = rows(supervisor.get("/audit/", {"date_from": "2026-03-02", "date_to": "2026-03-02"}))

    assert found == [f"audit-{entry.number}" for entry in (entries[2], entries[1])]


@pytest.mark.parametrize("query", [{"date_to": "9999-12-31"}, {"date_from": "0001-01-01"}])
def test_the_ends_of_the_calendar_do_no_harm(supervisor: Client, query: dict[str, str]) -> None:
    entry = write(NOON)

    assert rows(supervisor.get("/audit/", query)) == [f"audit-{entry.number}"]


def test_the_log_is_filtered_by_person_and_door(supervisor: Client) -> None:
    entry = write(ago(hours=1))
    deliver(news())

    assert rows(supervisor.get("/audit/", {"person": "import"})) == [f"audit-{entry.number}"]
    assert rows(supervisor.get("/audit/", {"source": "command"})) == [f"audit-{entry.number}"]


@pytest.mark.parametrize("path", ["/cancellations/", "/deliveries/", "/audit/"])
@pytest.mark.parametrize("many", [1, 30])
def test_a_list_costs_the_same_however_long(
    supervisor: Client, path: str, many: int, django_assert_max_num_queries: Any
) -> None:
    asker = UserFactory()
    for _ in range(many):
        cancellation = CancellationFactory(requested_by=asker)
        DeliveryFactory(trade=cancellation.item.trade)
        write(NOON, item=cancellation.item)

    # The saved views among them; the log also looks at its last check and its last anchor.
    with django_assert_max_num_queries(9):
        supervisor.get(path)
