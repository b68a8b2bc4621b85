"""A trade's whole story: what is open and for how long, one timeline, notes."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from tests.desk import ask, deliver, item_of, news, person
from tests.factories import CancellationFactory, DeliveryFactory, ItemFactory, TradeFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import text
from tests.wire import NOON, item_document
from withdrawals.models import Attempt, AttemptOutcome, AuditEntry, CancellationState, Note, Read, Role, Route
from withdrawals.models.usual import usual
from withdrawals.templatetags.timeline import days_ago, in_words

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def page_of(browser: Client, item: Any) -> str:
    return text(browser.get(f"/trades/{item.trade_id}/"))


def history(cases: int, *, seconds: int = 90) -> None:
    """So many cancels of ours that AssetPay accepted and that came back undone, each within `seconds`."""
    start = ago(days=2)
    for _ in range(cases):
        done = CancellationFactory(
            state=CancellationState.CONFIRMED,
            requested_at=start,
            accepted_at=start,
            ended_at=start + timedelta(seconds=seconds),
        )
        Attempt.objects.create(
            cancellation=done,
            number=1,
            request_id=uuid.uuid4(),
            started_at=start,
            answered_at=start + timedelta(seconds=3),
            outcome=AttemptOutcome.ACCEPTED,
        )


@pytest.mark.parametrize(("cases", "is_said"), [(29, False), (30, True)])
def test_what_is_usual_is_said_from_thirty_cases_on(agent: Client, cases: int, is_said: bool) -> None:
    history(cases)
    asked = CancellationFactory(state=CancellationState.ACCEPTED, accepted_at=ago(seconds=20))

    body = page_of(agent, asked.item)

    assert "who must give the item back. Nobody here needs to act." in body
    assert (f"The end usually comes within 90 s, from the last {cases} cases." in body) is is_said


def test_what_takes_longer_than_usual_asks_somebody_to_look(agent: Client) -> None:
    history(40)
    asked = CancellationFactory(state=CancellationState.ACCEPTED, accepted_at=ago(minutes=5))

    assert "This takes longer than usual: check with AssetPay." in page_of(agent, asked.item)


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        ("scheduled", {"send_from": timedelta(minutes=9)}, "once AssetPay&#x27;s window opens. Nobody needs to act."),
        ("scheduled", {"send_from": timedelta(minutes=-9)}, "The desk looks at AssetPay afresh when its turn comes"),
        ("scheduled", {"needs_person": "8 tries came to nothing."}, "Somebody must act: have it tried again"),
        ("requested", {"needs_person": "8 tries came to nothing."}, "Somebody must act: have it tried again"),
        ("requested", {}, "The desk sends it by itself. Nobody needs to act. The answer usually comes within 3 s"),
        ("sending", {}, "AssetPay must answer. Nobody here needs to act. The answer usually comes within 3 s"),
        ("uncertain", {"may_resend": True}, "the desk asks once more by itself"),
        ("uncertain", {}, "Do not tell the customer that it was undone."),
    ],
)
def test_each_open_state_says_who_must_act(agent: Client, state: str, fields: dict[str, Any], words: str) -> None:
    history(30)
    # From when the test runs: it was collected long before.
    moments = {name: timezone.now() + value for name, value in fields.items() if isinstance(value, timedelta)}
    asked = CancellationFactory(state=state, **fields | moments)

    assert words in page_of(agent, asked.item)


@pytest.mark.parametrize("state", ["confirmed", "overtaken", "refused", "withdrawn"])
def test_what_has_ended_waits_for_nobody(agent: Client, state: str) -> None:
    assert "fine pending" not in page_of(agent, CancellationFactory(state=state).item)


def test_nine_of_ten_is_what_is_usual() -> None:
    start = ago(hours=1)
    spans = [(start, start + timedelta(seconds=second)) for second in range(1, 101)]

    known = usual([*spans, (start, None), (None, start)])

    assert known is not None
    assert (known.within, known.cases) == (timedelta(seconds=91), 100)


def test_the_timeline_holds_clicks_calls_callbacks_reads_and_notes(supervisor: Client) -> None:
    delivery = deliver(news())
    item = item_of()
    asked = ask(item, actor=person(email="mira@desk.example"))
    Attempt.objects.create(
        cancellation=asked, number=1, request_id=uuid.uuid4(), started_at=NOON, outcome="refused", key="TRADE_NOT_FOUND"
    )
    read = Read.objects.create(
        trade=item.trade, route=Route.SECURE, read_at=NOON, body_sha256="a" * 64, document='{"x":1}'
    )
    supervisor.post(f"/trades/{item.trade_id}/note/", {"text": "The customer will wait."})

    body = page_of(supervisor, item)

    for kind in ("change", "call", "callback", "read", "note"):
        assert f'data-moment="{kind}"' in body, kind
    for words in (
        "Cancel asked for",
        "The desk asked AssetPay to cancel",
        "TRADE_NOT_FOUND",
        f'href="/deliveries/{delivery.pk}/document/"',
        f'href="/trades/{item.trade_id}/document/?read={read.pk}"',
        "The customer will wait.",
        "<h3>Today</h3>",
        "<h3>Older</h3>",
    ):
        assert words in body, words


def test_raw_documents_are_linked_for_whoever_may_read_them(agent: Client) -> None:
    deliver(news())

    assert "raw document" not in page_of(agent, item_of())


def test_no_name_of_a_column_and_no_raw_value_stands_in_the_timeline(agent: Client) -> None:
    deliver(news())
    changed = [item_document(status="reverted", offer={"price": 13}, externalId="line-1")]
    deliver(news(status="reverted", items=changed, updatedAt="2026-03-02T13:00:00.000Z"))

    body = page_of(agent, item_of()).split('id="timeline"')[1]

    assert "Waiting for the seller" in body
    assert "Undone" in body
    assert "$13.00" in body
    for raw in ("market hash name", "external id", "reported status", "first price", "status reported at", "_"):
        assert f'<span class="quiet">{raw}' not in body, raw
    assert "<bdi>reverted</bdi>" not in body


def test_values_are_said_in_words() -> None:
    assert in_words("status", "reverted") == "Undone"
    assert in_words("cancellation", "overtaken") == "Delivered"
    assert in_words("price", Decimal("12.3400")) == "$12.34"
    assert in_words("price", "twelve") == "twelve"
    assert in_words("hold_end_at", "2026-03-02T12:00:00+01:00") == "02 Mar 2026 11:00:00 UTC"
    assert in_words("client_trade_url", "https://x/?token=CaNaRy") == "https://x/?token=•••"
    assert in_words("gizmo", None) == ""


@pytest.mark.parametrize(
    ("days", "words"), [(0, "Today"), (1, "Yesterday"), (7, "Last 7 days"), (8, "Last 30 days"), (31, "Older")]
)
def test_days_are_called_as_people_call_them(days: int, words: str) -> None:
    assert days_ago(NOON - timedelta(days=days), NOON) == words


def test_midnight_divides_today_from_yesterday() -> None:
    midnight = NOON.replace(hour=0)

    assert days_ago(midnight, NOON) == "Today"
    assert days_ago(midnight - timedelta(microseconds=1), NOON) == "Yesterday"


def test_a_note_stands_in_the_timeline_and_in_the_log(log_in: LogIn) -> None:
    item = ItemFactory()
    mira = UserFactory(email="mira@desk.example")

    answer = log_in(mira).post(f"/trades/{item.trade_id}/note/", {"text": "Calls back at 5 <b>", "item": item.pk})

    assert (answer.status_code, answer["Location"]) == (303, f"/trades/{item.trade_id}/#timeline")
    note, entry = Note.objects.get(), AuditEntry.objects.get(action="note.written")
    assert (note.author, note.item, note.text) == (mira, item, "Calls back at 5 <b>")
    assert (entry.actor, entry.item, entry.after) == (mira, item, {"note": note.pk, "text": "Calls back at 5 <b>"})
    body = page_of(log_in(Role.AUDITOR), item)
    assert "Calls back at 5 &lt;b&gt;" in body
    assert "Note for the next one" not in body


@pytest.mark.parametrize("typed", ["", "   ", "x" * 2_001])
def test_a_note_that_says_nothing_or_too_much_comes_back(agent: Client, typed: str) -> None:
    item = ItemFactory()

    answer = agent.post(f"/trades/{item.trade_id}/note/", {"text": typed})

    assert answer.status_code == 422
    assert 'id="id_text_error"' in text(answer)
    assert not Note.objects.exists()


def test_a_note_names_an_item_of_its_own_trade_only(agent: Client) -> None:
    item, other = ItemFactory(), ItemFactory()

    assert f'<option value="{item.pk}">{item.title}</option>' in text(agent.get(f"/trades/{item.trade_id}/"))
    assert agent.post(f"/trades/{item.trade_id}/note/", {"text": "x", "item": other.pk}).status_code == 404
    assert agent.post("/trades/999999/note/", {"text": "x"}).status_code == 404
    assert not Note.objects.exists()


@pytest.mark.parametrize("change", [lambda: Note.objects.update(text="y"), lambda: Note.objects.all().delete()])
def test_the_database_refuses_to_change_a_note(change: Callable[[], object]) -> None:
    Note.objects.create(trade=TradeFactory(), author=UserFactory(), written_at=timezone.now(), text="x")

    with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
        change()

    assert Note.objects.get().text == "x"


def test_ids_can_be_copied_and_lead_to_steam(agent: Client) -> None:
    trade = TradeFactory(offer_id="6800000001", client_steam_id="76561198000000009")
    odd = TradeFactory(offer_id='1"><script>', client_steam_id="javascript:1")

    body, odd_body = text(agent.get(f"/trades/{trade.pk}/")), text(agent.get(f"/trades/{odd.pk}/"))

    assert 'href="https://steamcommunity.com/tradeoffer/6800000001/"' in body
    assert 'href="https://steamcommunity.com/profiles/76561198000000009"' in body
    assert f'data-copy="{trade.assetpay_id}"' in body
    assert 'href="https://steamcommunity.com' not in odd_body
    assert "<script>" not in odd_body


def test_the_tab_of_the_browser_counts_what_must_not_wait(agent: Client) -> None:
    assert "<title>Items" in text(agent.get("/items/"))

    CancellationFactory(state=CancellationState.UNCERTAIN)
    CancellationFactory(state=CancellationState.ACCEPTED)
    DeliveryFactory(verdict="failed")

    body = text(agent.get("/items/"))
    assert "<title>(2) Items" in body
    assert "icons/desk-pressing.svg" in body
