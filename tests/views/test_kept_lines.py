"""The lines of the log and of a trade are kept as text: they say what made anew they would, whoever looks."""

import random
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.desk import ask, deliver, item_of, news
from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
    ago,
)
from tests.tampering import somebody_with_the_keys
from tests.views.conftest import LogIn
from tests.views.reading import rows, text
from tests.wire import NOON
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.actions.notes import write_note
from withdrawals.actions.presence import mark_presence
from withdrawals.models import (
    Attempt,
    AuditEntry,
    Cancellation,
    Item,
    Note,
    Read,
    Role,
    Route,
    Source,
    Status,
    Trade,
    Verdict,
    prepared,
)
from withdrawals.models.prepared import count_each, found_models
from withdrawals.templatetags.desk import ACTION_WORDS
from withdrawals.views import kept_pages, timeline
from withdrawals.views.audit import _filter_form
from withdrawals.views.kept_lines import LINES
from withdrawals.views.kept_pages import PAGES
from withdrawals.views.trade_page import TRUTHS

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

HOSTILE = '<~token~><script>alert(1)</script>"><~time 2026-01-01T00:00:00+00:00~>'
MOMENT = re.compile(r'<li id="([a-z]+)-(\d+)"')


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Each test begins with empty shelves."""
    forget()


def forget() -> None:
    """Let go of all that is kept."""
    for shelf in (PAGES, LINES, TRUTHS):
        shelf.clear()
    _filter_form.cache_clear()


def entries(many: int, *, trade: Trade, action: str = "trade.changed", **fields: Any) -> None:
    """So many entries about a trade, a second apart."""
    with transaction.atomic():
        for number in range(many):
            fact = Fact(action, trade=trade, **({"after": {"bot_name": f"bot-{number}"}} | fields))
            record([fact], origin=Origin(Source.COMMAND, name="import"), now=NOON + timedelta(seconds=number))


def stopped(**later: float) -> Any:
    """A clock that stands still, now or some time later."""
    return mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(**later))


def plain(page: str) -> str:
    """A page but for what is another with each answer."""
    return re.sub(r'data-server-now="[^"]*"|name="csrfmiddlewaretoken" value="\w+"', "", page)


def same_as_anew(browser: Client, path: str) -> str:
    """A page, of which the kept one and one that is made of nothing kept say the same at that moment."""
    browser.get(path)
    with stopped():
        kept = text(browser.get(path))
        forget()
        assert plain(kept) == plain(text(browser.get(path)))
    assert "<~" not in kept
    return kept


def story() -> Item:
    """A trade of which everything has something to tell, but a refund."""
    deliver(news())
    item = item_of()
    Item.objects.filter(pk=item.pk).update(status_delivery=DeliveryFactory(trade=item.trade))
    asked = ask(item)
    Attempt.objects.create(
        cancellation=asked, number=1, request_id=uuid.uuid4(), started_at=ago(minutes=3), outcome="refused", key="LATE"
    )
    write_note(
        trade_id=item.trade_id, item_id=item.pk, text="Waits.", actor=UserFactory(), origin=Origin(Source.SCREEN),
        now=ago(minutes=2),
    )  # fmt: skip
    return item


CHANGES: list[Callable[[Item], object]] = [
    lambda item: Item.objects.filter(pk=item.pk).update(market_hash_name="M4A4 | Howl"),
    lambda item: Item.objects.filter(pk=item.pk).update(status=Status.COMPLETED),
    lambda item: Trade.objects.filter(pk=item.trade_id).update(checked_at=timezone.now(), client_steam_id="7656"),
    lambda item: Cancellation.objects.update(state="accepted", accepted_at=ago(seconds=5)),
    lambda item: Cancellation.objects.update(reason="another"),
    lambda item: Attempt.objects.update(outcome="accepted", answered_at=timezone.now()),
    lambda item: Note.objects.create(trade=item.trade, author=UserFactory(), written_at=timezone.now(), text="news"),
    lambda item: DeliveryFactory(trade=item.trade, verdict="failed"),
    lambda item: RefundFactory(item=item),
    lambda item: ItemFactory(trade=item.trade),
    lambda item: entries(1, trade=item.trade),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_whatever_changes_is_on_the_next_page_of_a_trade(supervisor: Client, number: int) -> None:
    item = story()
    path = f"/trades/{item.trade_id}/"
    before = plain(same_as_anew(supervisor, path))

    CHANGES[number](item)

    assert plain(same_as_anew(supervisor, path)) != before


def test_a_trade_of_the_same_facts_is_not_made_twice(agent: Client) -> None:
    path = f"/trades/{story().trade_id}/"

    with stopped():
        first = text(agent.get(path))
        with mock.patch.object(kept_pages, "_made", side_effect=AssertionError):
            again = text(agent.get(path))

    assert plain(first) == plain(again)
    assert len(PAGES) == 1


def test_a_trade_with_a_refund_is_not_kept_whole(agent: Client) -> None:
    refund = RefundFactory()

    agent.get(f"/trades/{refund.item.trade_id}/")

    assert PAGES == {}


def test_days_and_what_takes_too_long_change_by_themselves(log_in: LogIn) -> None:
    mira = UserFactory(email="mira@desk.example")
    now = timezone.now()
    done = now - timedelta(days=2)
    for _ in range(30):
        CancellationFactory(
            state="confirmed", requested_at=done, accepted_at=done, ended_at=done + timedelta(minutes=9)
        )
    asked = CancellationFactory(state="accepted", accepted_at=now)
    path = f"/trades/{asked.item.trade_id}/"
    record_at = now - timedelta(minutes=1)
    with transaction.atomic():
        record([Fact("trade.changed", trade=asked.item.trade)], origin=Origin(Source.COMMAND, name="x"), now=record_at)

    seen = set()
    for later in (timedelta(), timedelta(minutes=9), timedelta(minutes=9, microseconds=1), timedelta(days=1)):
        with mock.patch("django.utils.timezone.now", return_value=now + later):
            agent = log_in(mira)
            kept = text(agent.get(path))
            forget()
            assert plain(kept) == plain(text(agent.get(path))), later
        seen.add(("takes longer than usual" in kept, "<h3>Today</h3>" in kept))

    assert seen >= {(False, True), (True, True), (True, False)}


def test_who_may_not_read_documents_finds_no_line_of_who_may(supervisor: Client, agent: Client) -> None:
    path = f"/trades/{story().trade_id}/"

    assert "raw document" in text(supervisor.get(path))
    assert "raw document" not in text(agent.get(path))
    assert "raw document" in text(supervisor.get(path))


@pytest.mark.parametrize("path", ["/audit/", "/trades/{trade}/", "/trades/{trade}/?timeline=all"])
def test_text_from_outside_stays_text(supervisor: Client, path: str) -> None:
    item = story()
    Item.objects.update(market_hash_name=HOSTILE)
    Note.objects.create(trade=item.trade, author=UserFactory(), written_at=timezone.now(), text=HOSTILE)
    entries(1, trade=item.trade, item=item, after={"bot_name": HOSTILE}, before={HOSTILE: "x"}, reason=HOSTILE)
    Attempt.objects.update(message=HOSTILE, key=HOSTILE[:100])

    for _ in range(2):
        body = text(supervisor.get(path.format(trade=item.trade_id)))
        assert "&lt;~token~&gt;&lt;script&gt;" in body
        assert "<script>alert" not in body
        assert "<~" not in body


def test_the_short_timeline_leaves_out_nothing_that_must_not_be_overlooked(supervisor: Client) -> None:
    item = story()
    first = AuditEntry.objects.order_by("-number")[0].number
    entries(1, trade=item.trade, before={"price": "12"}, after={"price": "13"})
    money = [each for each in ACTION_WORDS if each.startswith("refund.")]
    for action in (*money, "cancellation.refused", "cancellation.uncertain", "cancellation.overtaken", "brand.new"):
        entries(1, trade=item.trade, action=action)
    weighty = {("change", str(each.pk)) for each in AuditEntry.objects.filter(number__gt=first)}
    weighty |= {each for each in shown(supervisor, item) if each[0] in ("call", "note")}
    entries(120, trade=item.trade)

    short, whole = shown(supervisor, item), shown(supervisor, item, "?timeline=all")
    body = text(supervisor.get(f"/trades/{item.trade_id}/"))

    assert len(weighty) == 1 + len(money) + 4 + 2
    assert weighty <= set(short)
    assert len(short) < len(whole)
    assert set(short) <= set(whole)
    entries_there = AuditEntry.objects.filter(trade=item.trade).exclude(action="note.written").count()
    assert len([kind for kind, _ in whole if kind == "change"]) == entries_there
    assert 'href="?timeline=all#timeline"' in body
    assert "Older lines of the ordinary course are left out" in body
    assert "left out" not in text(supervisor.get(f"/trades/{item.trade_id}/?timeline=all"))


def shown(browser: Client, item: Item, query: str = "") -> list[tuple[str, str]]:
    """The moments on a trade's page."""
    return MOMENT.findall(text(browser.get(f"/trades/{item.trade_id}/{query}")))


def test_a_timeline_that_shows_everything_says_nothing_of_more(agent: Client) -> None:
    item = ItemFactory()
    entries(timeline.SHORT, trade=item.trade)

    assert len(shown(agent, item)) == timeline.SHORT
    assert "left out" not in text(agent.get(f"/trades/{item.trade_id}/"))

    entries(1, trade=item.trade)

    assert len(shown(agent, item)) == timeline.SHORT
    assert "left out" in text(agent.get(f"/trades/{item.trade_id}/"))


@pytest.fixture
def few_at_most(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even a whole timeline is cut early."""
    prepared._written.cache_clear()
    monkeypatch.setattr(timeline, "MOST", timeline.SHORT - 10)
    yield
    # Other tests want the statements with the usual limit.
    prepared._written.cache_clear()


@pytest.mark.parametrize("seed", range(12))
def test_what_is_not_asked_for_would_change_nothing(seed: int, few_at_most: None) -> None:
    chance, item = random.Random(seed), ItemFactory()
    # Before all entries, or after them.
    start = NOON + chance.choice([-1, 1]) * timedelta(hours=1)
    entries(chance.choice([0, 3, timeline.SHORT - 3, timeline.SHORT + 3]), trade=item.trade)
    for number in range(chance.choice([0, 0, 4])):
        verdict = chance.choice([Verdict.APPLIED, Verdict.QUARANTINED])
        DeliveryFactory(trade=item.trade, verdict=verdict, received_at=start + timedelta(minutes=number))
    if chance.random() < 0.5:
        asked = CancellationFactory(item=item)
        for number, outcome in enumerate(["refused", "accepted"][: chance.randint(1, 2)], start=1):
            Attempt.objects.create(
                cancellation=asked, number=number, request_id=uuid.uuid4(), started_at=start, outcome=outcome
            )
    if chance.random() < 0.5:
        Read.objects.create(trade=item.trade, route=Route.SECURE, read_at=start, body_sha256="0" * 64)
    if chance.random() < 0.5:
        Note.objects.create(trade=item.trade, author=UserFactory(), text="Called.", written_at=start)

    for is_whole in (False, True):
        there = count_each(timeline.kinds_there(item.trade_id))
        found = timeline.timeline(item.trade_id, is_whole=is_whole, there=there)
        everything = all_asked_for(item.trade_id, is_whole=is_whole)
        assert keys(found) == keys(everything)
        assert found.is_silent == everything.is_silent


@pytest.mark.parametrize("many", [timeline.SHORT - 1, timeline.SHORT])
def test_an_old_note_is_never_left_out(agent: Client, many: int) -> None:
    item = ItemFactory()
    note = Note.objects.create(trade=item.trade, author=UserFactory(), text="Called.", written_at=NOON - timedelta(1))
    entries(many, trade=item.trade)

    assert shown(agent, item)[-1] == ("note", str(note.pk))


def test_what_there_is_of_a_trade_is_counted_by_indexes_however_little_they_narrow() -> None:
    # As one trade with all callbacks, by which SQLite once found it cheaper to look through every one.
    trade = TradeFactory()
    DeliveryFactory.create_batch(200, trade=trade)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    other = TradeFactory()

    plans = [makes(*shape, **values).explain() for makes, shape, values in timeline.kinds_there(other.pk)]

    assert [plan for plan in plans if "SCAN" in plan] == []


def all_asked_for(trade: int, *, is_whole: bool) -> timeline.Timeline:
    """The same by all nine statements, whatever there is."""
    length = timeline.MOST if is_whole else timeline.SHORT
    latest = [found_models(timeline._latest, number, length, trade=trade) for number in range(len(timeline.KINDS))]
    weighty = [found_models(kind.weighty, trade=trade) if kind.weighty else None for kind in timeline.KINDS]
    return timeline.Timeline(tuple(latest), tuple(weighty), is_whole)


def keys(found: timeline.Timeline) -> tuple[list[tuple[str, int]], bool]:
    """What stands in it, and whether something was left out."""
    moments, has_more = found.moments()
    return [(moment.kind, moment.key) for moment in moments], has_more


@pytest.mark.parametrize(("many", "more"), [(1, 0), (timeline.SHORT, 0), (timeline.SHORT + 1, 1), (150, 1)])
def test_a_trade_costs_the_same_whatever_its_timeline(agent: Client, many: int, more: int) -> None:
    item = ItemFactory()
    entries(many, trade=item.trade)
    agent.get(f"/trades/{item.trade_id}/")

    with CaptureQueriesContext(connection) as asked:
        agent.get(f"/trades/{item.trade_id}/")

    # What must not be overlooked is asked for where something is left out.
    assert len(asked) == QUERIES_OF_A_KEPT_TRADE + more


def test_a_trade_with_all_that_there_can_be_costs_a_statement_for_each(agent: Client) -> None:
    item = story()
    Read.objects.create(trade=item.trade, route=Route.SECURE, read_at=NOON, body_sha256="0" * 64)
    entries(150, trade=item.trade)
    mark_presence(actor=UserFactory(), item_id=item.pk, trade_id=None, now=timezone.now())
    agent.get(f"/trades/{item.trade_id}/")

    with CaptureQueriesContext(connection) as asked:
        agent.get(f"/trades/{item.trade_id}/")

    # Who is there; calls, callbacks, reads and notes; of all but the reads what must not be overlooked; two for what is
    # usual, since something is open.
    assert len(asked) == QUERIES_OF_A_KEPT_TRADE + 1 + 4 + 4 + 2


# Session with person and what they may; all counts, with what there is; the trade; its items and their requests, each
# twice; the entries of the log. For calls, callbacks, reads and notes one each where there are any.
QUERIES_OF_A_KEPT_TRADE = 8
QUERIES_OF_THE_KEPT_LOG = 6


@pytest.mark.parametrize("many", [1, 60])
def test_the_log_costs_the_same_however_long(log_in: LogIn, many: int) -> None:
    auditor = log_in(Role.AUDITOR)
    entries(many, trade=ItemFactory().trade)
    auditor.get("/audit/")

    with CaptureQueriesContext(connection) as asked:
        auditor.get("/audit/")

    assert len(asked) == QUERIES_OF_THE_KEPT_LOG


LOG_CHANGES: list[Callable[[Item], object]] = [
    lambda item: Item.objects.update(market_hash_name="M4A4 | Howl"),
    lambda item: entries(1, trade=item.trade),
    lambda item: CancellationFactory(state="uncertain"),
]


@pytest.mark.parametrize("number", range(len(LOG_CHANGES)))
@pytest.mark.parametrize("path", ["/audit/", "/audit/?action=trade.changed", "/audit/trades/{trade}/"])
def test_whatever_changes_is_on_the_next_page_of_the_log(log_in: LogIn, path: str, number: int) -> None:
    auditor, item = log_in(Role.AUDITOR), ItemFactory()
    entries(60, trade=item.trade, item=item)
    path = path.format(trade=item.trade_id)
    before = plain(same_as_anew(auditor, path))

    LOG_CHANGES[number](item)

    assert plain(same_as_anew(auditor, path)) != before


def test_who_changes_an_entry_behind_the_log_is_seen_at_once(log_in: LogIn) -> None:
    auditor = log_in(Role.AUDITOR)
    entries(3, trade=ItemFactory().trade, reason="true")
    assert "forged" not in text(auditor.get("/audit/"))

    with somebody_with_the_keys():
        AuditEntry.objects.filter(number=2).update(reason="forged")

    assert text(auditor.get("/audit/")).count("forged") == 1


def test_the_same_log_is_made_once_and_its_pages_lead_through_all_of_it(log_in: LogIn) -> None:
    auditor = log_in(Role.AUDITOR)
    entries(120, trade=ItemFactory().trade)
    with stopped():
        first = auditor.get("/audit/")
        with mock.patch.object(kept_pages, "_made", side_effect=AssertionError):
            assert plain(text(auditor.get("/audit/"))) == plain(text(first))

    seen, query = rows(first), re.search(r'rel="next" href="([^"]+)"', text(first))
    while query:
        page = auditor.get(f"/audit/{query[1]}")
        seen += rows(page)
        query = re.search(r'rel="next" href="([^"]+)"', text(page))

    assert seen == [f"audit-{number}" for number in range(AuditEntry.objects.count(), 0, -1)]


def test_a_statement_of_models_makes_what_django_makes() -> None:
    item = story()

    found = found_models(timeline._entries, trade=item.trade_id)

    def shown_of(entry: AuditEntry) -> tuple[Any, ...]:
        return entry.number, entry.at, entry.before, entry.after, entry.item and entry.item.title, entry.actor_id

    assert [shown_of(each) for each in found.models()] == [shown_of(each) for each in timeline._entries(item.trade_id)]
    assert isinstance(found.models()[0].at, datetime)
    with pytest.raises(Exception, match="previous_hash"):
        _ = found.models()[0].previous_hash
