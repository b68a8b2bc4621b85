"""The audit log's screen: finding, verifying, taking away, and the one page that answers the auditor's question."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.test import Client

from tests.desk import ask, deliver, item_of, news, person
from tests.factories import PASSWORD, ItemFactory, UserFactory
from tests.tampering import somebody_with_the_keys, write
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from tests.wire import NOON, item_document
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.actions.people import change_role, create_person
from withdrawals.actions.refunds import confirm_refund
from withdrawals.models import AuditCheck, AuditEntry, Cancellation, Refund, Role, Source
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db

QUERIES_OF_THE_LOG = 9
QUERIES_OF_A_STORY = 9


def entry(moment: datetime = NOON, action: str = "trade.changed", **fields: Any) -> AuditEntry:
    """One entry, at a moment."""
    origin = fields.pop("origin", Origin(Source.COMMAND, name="import"))
    with transaction.atomic():
        record([Fact(action, **fields)], origin=origin, now=moment)
    return AuditEntry.objects.order_by("-number")[0]


def whole_story() -> Refund:
    """Mira asks, AssetPay undoes it, Ines confirms the money."""
    deliver(news())
    mira, ines = person(email="mira@desk.example"), person(Role.SUPERVISOR, email="ines@desk.example")
    ask(item_of(), actor=mira)
    body = news(status="reverted", items=[item_document(status="reverted")], updatedAt="2026-03-02T13:00:00.000Z")
    deliver(body, now=NOON + timedelta(minutes=5))
    refund = Refund.objects.get()
    return confirm_refund(
        refund_id=refund.pk,
        seen=refund.fingerprint(),
        reference="payout-77",
        actor=ines,
        origin=Origin(Source.SCREEN, actor=ines),
        now=NOON + timedelta(minutes=9),
    )


@pytest.mark.parametrize("address", ["items", "trades"])
def test_one_page_answers_who_cancelled_on_what_evidence_and_who_confirmed_the_money(
    log_in: LogIn, address: str
) -> None:
    refund = whole_story()
    key = refund.item_id if address == "items" else refund.item.trade_id

    body = text(log_in(Role.AUDITOR).get(f"/audit/{address}/{key}/"))

    who, evidence, money = (part.split("</div>")[0] for part in body.split("data-answer=")[1:4])
    assert "<strong><bdi>mira@desk.example</bdi></strong> asked on" in who
    assert "not delivered" in who
    assert refund.evidence_delivery.delivery_id in evidence
    assert refund.evidence_sha256 in evidence
    assert "<strong><bdi>ines@desk.example</bdi></strong> confirmed $12.00 on" in money
    assert "payout-77" in money
    for part, action in ((who, "cancellation.requested"), (evidence, "item.changed"), (money, "refund.confirmed")):
        number = AuditEntry.objects.get(action=action).number
        assert f'<a href="/audit/?q=%23{number}">{number}</a>' in part


def test_an_entry_is_found_by_its_number(supervisor: Client) -> None:
    write(5)

    assert rows(supervisor.get("/audit/", {"q": "#3", "action": "refund.confirmed"})) == ["audit-3"]


def test_everything_about_a_person_is_what_they_did_and_what_was_done_to_them(supervisor: Client) -> None:
    mira = person(email="mira@desk.example")
    done_by = entry(origin=Origin(Source.SCREEN, actor=mira))
    done_to = entry(action="person.changed", after={"email": "mira@desk.example"})
    entry(action="person.changed", after={"email": "ines@desk.example"})

    response = supervisor.get(f"/audit/people/{mira.pk}/")

    assert rows(response) == [f"audit-{done_to.number}", f"audit-{done_by.number}"]
    assert "Trade changed: 1" in text(response)


def test_the_log_is_filtered_by_role_item_trade_and_cause(supervisor: Client) -> None:
    deliver(news())
    item = item_of()
    asked = AuditEntry.objects.get(pk=entry(origin=Origin(Source.SCREEN, actor=person(Role.ADMIN))).pk)
    of_item = AuditEntry.objects.get(action="item.appeared")
    of_trade = AuditEntry.objects.get(action="trade.appeared")

    found = {
        query: rows(supervisor.get("/audit/", dict([query])))
        for query in (
            ("role", "admin"),
            ("item", item.assetpay_id),
            ("trade", item.trade.assetpay_id),
            ("cause", of_item.cause),
            ("cause", "delivery"),
            ("cause", "delivery:999"),
        )
    }

    both = [f"audit-{of_item.number}", f"audit-{of_trade.number}"]
    assert list(found.values()) == [[f"audit-{asked.number}"], both[:1], both, both, both, []]


def test_the_role_is_the_one_that_somebody_had_when_they_acted(supervisor: Client) -> None:
    admin, mira = person(Role.ADMIN), create_person(
        email="mira@desk.example", role=Role.AGENT, password=None, origin=Origin(Source.COMMAND), now=NOON
    )  # fmt: skip
    by_admin = Origin(Source.SCREEN, actor=admin)
    acts = [entry(action="refund.confirmed", origin=Origin(Source.SCREEN, actor=mira)).number]
    for role in (Role.SUPERVISOR, Role.AGENT):
        change_role(person_id=mira.pk, role=role, actor=admin, origin=by_admin, now=NOON)
        acts.append(entry(action="refund.confirmed", origin=Origin(Source.SCREEN, actor=mira)).number)
    as_agent, as_supervisor, as_agent_again = acts

    def found(role: str) -> list[str]:
        return rows(supervisor.get("/audit/", {"role": role, "action": "refund.confirmed"}))

    assert found("agent") == [f"audit-{as_agent_again}", f"audit-{as_agent}"]
    assert found("supervisor") == [f"audit-{as_supervisor}"]
    assert found("auditor") == []
    changed = rows(supervisor.get("/audit/", {"role": "admin"}))
    assert len(changed) == 2


ZONES = ["UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Lisbon", "Pacific/Kiritimati", "Pacific/Apia"]
DAYS = ["2026-03-02", "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-12-31"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", DAYS)
def test_f76_a_day_of_a_zone_holds_what_its_clocks_say_also_when_they_are_changed(
    supervisor: Client, zone: str, day: str
) -> None:
    place = ZoneInfo(zone)
    start = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=place).astimezone(UTC)
    moments = [start + timedelta(hours=hour, microseconds=offset) for hour in range(27) for offset in (-1, 0)]
    numbers = {entry(moment).number: moment for moment in moments}

    response = supervisor.get("/audit/", {"date_from": day, "date_to": day, "zone": zone})

    expected = [n for n, moment in numbers.items() if moment.astimezone(place).date().isoformat() == day]
    assert rows(response) == [f"audit-{number}" for number in sorted(expected, reverse=True)]
    assert f"When ({zone})" in text(response)


def test_f76_times_of_day_are_meant_in_the_zone_and_shown_in_it(supervisor: Client) -> None:
    inside = entry(datetime(2026, 7, 1, 8, 30, 59, 999_999, tzinfo=UTC))
    entry(datetime(2026, 7, 1, 8, 31, tzinfo=UTC))
    entry(datetime(2026, 7, 1, 8, 29, 59, tzinfo=UTC))
    query = {"date_from": "2026-07-01", "time_from": "10:30", "date_to": "2026-07-01", "time_to": "10:30"}

    response = supervisor.get("/audit/", {**query, "zone": "Europe/Berlin"})

    assert rows(response) == [f"audit-{inside.number}"]
    assert "01 Jul 2026 10:30:59 CEST" in text(response)


@pytest.mark.parametrize(
    "query",
    [
        {"zone": "Mars/Olympus"},
        {"zone": "../../etc/passwd"},
        {"zone": "/etc/localtime"},
        {"zone": "Europe"},
        {"time_from": "10:00"},
        {"time_to": "25:00", "date_to": "2026-01-01"},
    ],
)
def test_a_time_that_means_nothing_is_said(supervisor: Client, query: dict[str, str]) -> None:
    response = supervisor.get("/audit/", query)

    assert response.status_code == 400
    assert rows(response) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("ends", [("0001-01-01", "9999-12-31")])
def test_the_ends_of_the_calendar_do_no_harm_in_any_zone(supervisor: Client, zone: str, ends: tuple[str, str]) -> None:
    written = entry()
    query = {"date_from": ends[0], "date_to": ends[1], "time_to": "23:59", "zone": zone}

    assert rows(supervisor.get("/audit/", query)) == [f"audit-{written.number}"]


def test_what_changed_is_a_difference_in_words(supervisor: Client) -> None:
    whole_story()

    body = text(supervisor.get("/audit/"))

    for words in (
        "<bdi>Waiting for the seller</bdi></del> → <ins><bdi>Undone</bdi></ins>",
        "<ins><bdi>$12.00</bdi></ins>",
        '<span class="quiet">refund</span> <del><span class="sr-only">was </span><bdi>Due</bdi></del>',
        "<ins><bdi>Came back undone</bdi></ins>",
    ):
        assert words in body, words
    for raw in ("12.0000", "market_hash_name", "client_trade_url", "T11:00:00+00:00", ">requested<", ">reverted<"):
        assert raw not in body, raw


def test_a_short_log_is_verified_at_once(log_in: LogIn) -> None:
    write(5)
    auditor = log_in(Role.AUDITOR)

    response = auditor.post("/audit/verify/", follow=True)

    assert response.redirect_chain == [("/audit/", 303)]
    assert "The log holds: 6 entries verified." in text(response)
    assert "No anchor was there to compare with" in text(response)
    assert [e.action for e in AuditEntry.objects.order_by("number")[5:]] == ["audit.check_started", "audit.check_ended"]


def test_the_verify_button_names_the_first_bad_entry_and_what_was_done(log_in: LogIn) -> None:
    write(9)
    with somebody_with_the_keys():
        AuditEntry.objects.filter(number=4).delete()

    body = text(log_in(Role.AUDITOR, htmx=True).post("/audit/verify/"))

    assert "Missing: the log was tampered with." in body
    assert "Entry 4 is missing; the next is 5." in body
    assert AuditCheck.objects.get().bad_number == 4


def test_a_running_check_is_joined_not_doubled(log_in: LogIn) -> None:
    write(3)
    AuditCheck.objects.create(asked_at=NOON, changed_at=NOON, target=3, number=1)

    body = text(log_in(Role.AUDITOR, htmx=True).post("/audit/verify/"))

    assert "Verifying: 33 % done." in body
    assert 'hx-get="/audit/check/"' in body
    assert AuditCheck.objects.count() == 1


def exported(browser: Client, **form: str) -> str:
    response = browser.post("/audit/export/", form)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined] # a streamed answer


def test_f74_the_whole_log_is_taken_away_with_its_proof(log_in: LogIn) -> None:
    whole_story()

    lines = [json.loads(line) for line in exported(log_in(Role.AUDITOR), form="jsonl").splitlines()]

    numbers = [line["number"] for line in lines if "number" in line]
    assert numbers == list(range(1, AuditEntry.objects.count() + 1))
    assert lines[0]["head"] == {"number": numbers[-1], "hash": lines[-2]["hash"]}
    assert lines[-2]["action"] == "rows.exported"
    assert lines[-1] == {"end": True}


def test_rows_are_taken_away_as_the_filter_shows_them_and_start_no_formula(log_in: LogIn) -> None:
    hostile = '=HYPERLINK("http://evil.example")'
    entry(reason=hostile)
    entry(action="refund.opened", origin=Origin(Source.COMMAND, name="+calc"), reason="@SUM(1)", after={"amount": "12"})
    entry(action="refund.changed")

    text_ = exported(log_in(Role.AUDITOR), form="csv", query="action=refund.opened")

    found = list(csv.DictReader(io.StringIO(text_.removeprefix("\ufeff"))))
    assert len(found) == 1
    assert (found[0]["Who"], found[0]["Reason"], found[0]["After"]) == ("'+calc", "'@SUM(1)", "amount: 12")
    noted = AuditEntry.objects.get(action="rows.exported")
    assert noted.after == {"list": "audit_list", "form": "csv", "filters": "action=refund.opened"}
    whole = list(csv.DictReader(io.StringIO(exported(log_in(Role.AUDITOR), form="csv").removeprefix("\ufeff"))))
    assert f"'{hostile}" in [row["Reason"] for row in whole]


def test_f75_whoever_may_not_export_is_refused_and_the_log_says_so(agent: Client) -> None:
    response = agent.post("/audit/export/", {"form": "jsonl"})

    denied = AuditEntry.objects.get()
    assert response.status_code == 403
    assert denied.action == "access.denied"
    assert denied.after == {"permission": "export_rows", "method": "POST", "path": "/audit/export/"}
    assert denied.actor is not None


def test_f75_reads_that_are_refused_are_noted_once_a_minute_and_deeds_each_time(agent: Client) -> None:
    for _ in range(3):
        agent.get("/audit/")
        agent.post("/audit/verify/")

    assert [e.after["method"] for e in AuditEntry.objects.order_by("number")] == ["GET", "POST", "POST", "POST"]


def test_f75_a_log_in_is_an_entry_and_a_failed_one_opens_nothing(client: Client) -> None:
    somebody = UserFactory(email="mira@desk.example")

    client.post("/accounts/login/", {"login": somebody.email, "password": "wrong"})
    client.post("/accounts/login/", {"login": somebody.email, "password": PASSWORD})

    noted = AuditEntry.objects.get()
    assert (noted.action, noted.actor, noted.after) == (
        "person.logged_in",
        somebody,
        {"email": "mira@desk.example", "by": "password"},
    )


def test_f75_reading_a_raw_document_is_an_entry(supervisor: Client) -> None:
    item = ItemFactory()

    supervisor.get(f"/trades/{item.trade_id}/document/")

    assert AuditEntry.objects.get().action == "document.read"


@pytest.mark.parametrize("many", [1, 30])
def test_a_story_costs_the_same_however_many_items(
    supervisor: Client, many: int, django_assert_max_num_queries: Any
) -> None:
    deliver(news(items=[item_document(f"item-{number}") for number in range(many)]))
    for number in range(many):
        ask(item_of(item_id=f"item-{number}"))
    trade = item_of(item_id="item-0").trade_id
    assert Cancellation.objects.count() == many

    with django_assert_max_num_queries(QUERIES_OF_A_STORY):
        supervisor.get(f"/audit/trades/{trade}/")
    assert verify_chain().problem == ""


def test_a_story_of_nothing_is_not_found(supervisor: Client) -> None:
    for address in ("items", "trades", "people"):
        assert supervisor.get(f"/audit/{address}/99999/").status_code == 404


def test_the_trade_page_leads_to_who_did_what(supervisor: Client, agent: Client) -> None:
    item = ItemFactory()

    assert f'href="/audit/trades/{item.trade_id}/"' in text(supervisor.get(f"/trades/{item.trade_id}/"))
    assert "/audit/trades/" not in text(agent.get(f"/trades/{item.trade_id}/"))
