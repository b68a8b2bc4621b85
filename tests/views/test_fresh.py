"""A page that keeps itself fresh: it asks for its own address, and hears 304 while nothing changed."""

import re
from collections.abc import Callable
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.messages import get_messages
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.desk import ask, deliver, item_of, news
from tests.factories import CancellationFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import next_page, rows, text
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.actions.presence import mark_presence
from withdrawals.models import Item, Role, SavedView, Source, Status
from withdrawals.views.fresh import MADE

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PAGES = ["/items/", "/trades/", "/cancellations/", "/refunds/", "/deliveries/", "/batches/", "/"]


def look(browser: Client, path: str = "/items/", *, on_screen: str = "", tag: str = "") -> HttpResponse:
    """What the page at `path` gets when it asks for itself."""
    headers = {"X-Live": on_screen, "X-Background": "1", **({"If-None-Match": tag} if tag else {})}
    return browser.get(path, headers=headers)


def write_something() -> None:
    """One more fact."""
    with transaction.atomic():
        record([Fact("trade.changed")], origin=Origin(Source.COMMAND, name="import"), now=timezone.now())


@pytest.fixture(autouse=True)
def stopped_clock() -> object:
    """Half a minute that does not end while a test looks twice."""
    with mock.patch("withdrawals.views.fresh.LOOK_ANYWAY_SECONDS", 10**9) as length:
        yield length


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_told_when_nothing_changed_and_gets_itself_when_something_did(agent: Client, path: str) -> None:
    first = look(agent, path)

    same = look(agent, path, tag=first["ETag"])
    packed = look(agent, path, tag=f"W/{first['ETag']}")
    write_something()
    changed = look(agent, path, tag=first["ETag"])

    assert (first.status_code, same.status_code, packed.status_code) == (200, 304, 304)
    assert same.content == b""
    assert changed.status_code == 200
    assert number_of(changed) == number_of(first) + 1


def number_of(response: HttpResponse) -> int:
    """How many facts the answer knows."""
    return int(response["ETag"].strip('"').partition("-")[0])


def test_what_hears_that_nothing_changed_leaves_no_line_in_the_log(
    agent: Client, caplog: pytest.LogCaptureFixture
) -> None:
    tag = look(agent)["ETag"]
    caplog.clear()

    assert look(agent, tag=tag).status_code == 304
    assert [record for record in caplog.records if record.name.startswith("django_structlog")] == []
    assert look(agent).status_code == 200
    assert len([record for record in caplog.records if record.name.startswith("django_structlog")]) == 1


# Session with person and what they may; and one for all that may have moved.
QUERIES_WHEN_NOTHING_CHANGED = 2


def test_nothing_new_costs_one_query_beside_the_log_in(
    agent: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        CancellationFactory()
    tag = look(agent)["ETag"]

    with django_assert_num_queries(QUERIES_WHEN_NOTHING_CHANGED):
        assert look(agent, tag=tag).status_code == 304


def test_an_item_that_becomes_old_enough_is_news(agent: Client) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=29)))
    tag = look(agent)["ETag"]
    assert look(agent, tag=tag).status_code == 304

    with mock.patch("withdrawals.views.fresh.timezone.now", return_value=item.opened_at + timedelta(minutes=30)):
        assert look(agent, tag=tag).status_code == 200


def test_a_request_whose_moment_has_come_is_news(agent: Client) -> None:
    waiting = CancellationFactory(send_from=timezone.now() + timedelta(minutes=1))
    tag = look(agent)["ETag"]
    assert look(agent, tag=tag).status_code == 304

    with mock.patch("withdrawals.views.fresh.timezone.now", return_value=waiting.send_from):
        assert look(agent, tag=tag).status_code == 200


def test_a_colleague_who_comes_is_news_and_oneself_is_none(agent: Client, log_in: LogIn) -> None:
    item, mira = ItemFactory(), UserFactory()
    tag = look(agent)["ETag"]

    mark_presence(actor=mira, item_id=item.pk, trade_id=None, now=timezone.now())

    assert look(agent, tag=tag).status_code == 200
    assert look(log_in(mira), tag=look(log_in(mira))["ETag"]).status_code == 304


def test_colleagues_who_are_still_there_are_no_news(agent: Client) -> None:
    item, now = ItemFactory(), timezone.now()
    colleagues = [UserFactory() for _ in range(3)]
    for each in colleagues:
        mark_presence(actor=each, item_id=item.pk, trade_id=None, now=now)
    tag = look(agent)["ETag"]

    for each in reversed(colleagues):
        mark_presence(actor=each, item_id=item.pk, trade_id=None, now=now + timedelta(seconds=10))

        assert look(agent, tag=tag).status_code == 304


def test_what_nothing_names_is_looked_at_anyway_after_half_a_minute(agent: Client) -> None:
    now = timezone.now()
    with mock.patch("withdrawals.views.fresh.LOOK_ANYWAY_SECONDS", 30):
        with mock.patch("withdrawals.views.fresh.timezone.now", return_value=now):
            tag = look(agent)["ETag"]
            assert look(agent, tag=tag).status_code == 304
        with mock.patch("withdrawals.views.fresh.timezone.now", return_value=now + timedelta(seconds=30)):
            assert look(agent, tag=tag).status_code == 200


def test_one_persons_page_is_not_anothers(agent: Client, supervisor: Client) -> None:
    assert look(supervisor, tag=look(agent)["ETag"]).status_code == 200


def asks_again(browser: Client, path: str = "/items/?tab=all") -> str:
    """The tag of a page that is open and has asked once."""
    return look(browser, path)["ETag"]


SHARED = ["/items/?tab=all", "/"]


@pytest.mark.parametrize("path", SHARED)
def test_what_one_open_page_brought_is_not_read_anew_for_another(
    supervisor: Client, log_in: LogIn, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ItemFactory()
    other = log_in(UserFactory(role=Role.SUPERVISOR))
    tags = [asks_again(each, path) for each in (supervisor, other)]
    write_something()

    first = look(supervisor, path, tag=tags[0])
    with django_assert_num_queries(QUERIES_WHEN_NOTHING_CHANGED):
        second = look(other, path, tag=tags[1])

    assert first["ETag"] != second["ETag"]
    assert without_clock(second) == without_clock(first)


def without_clock(response: HttpResponse) -> str:
    """But for what is another in each answer."""
    return re.sub(r'data-server-now="[^"]*"|name="csrfmiddlewaretoken" value="\w+"', "", text(response))


def test_a_page_that_a_person_loaded_just_now_is_never_answered_with_an_older_one(agent: Client, log_in: LogIn) -> None:
    item, other = ItemFactory(), log_in(UserFactory())
    asks_again(agent)
    # Past the log, so nothing names it.
    Item.objects.filter(pk=item.pk).update(market_hash_name="M4A4 | Howl")

    assert "Howl" in text(look(other, "/items/?tab=all"))


@pytest.mark.parametrize(
    "happens",
    [
        lambda person, item: SavedView.objects.create(
            owner=person, saved_list="item_list", name="Howls", query="q=howl", saved_at=timezone.now()
        ),
        lambda person, item: mark_presence(actor=person, item_id=item.pk, trade_id=None, now=timezone.now()),
    ],
)
def test_what_is_one_persons_own_is_not_anothers(agent: Client, log_in: LogIn, happens: Callable[..., object]) -> None:
    person, item = UserFactory(email="mira@desk.example"), ItemFactory()
    mira = log_in(person)
    tags = [asks_again(agent), asks_again(mira)]
    happens(person, item)
    write_something()

    of_agent = without_clock(look(agent, "/items/?tab=all", tag=tags[0]))
    of_mira = without_clock(look(mira, "/items/?tab=all", tag=tags[1]))

    assert of_agent != of_mira
    assert ("Howls" in of_mira) is SavedView.objects.exists()
    assert "Howls" not in of_agent
    assert "mira" not in of_mira


def test_who_may_less_is_not_given_the_page_of_who_may_more(agent: Client, log_in: LogIn) -> None:
    ItemFactory()
    auditor = log_in(Role.AUDITOR)
    tags = [asks_again(agent), asks_again(auditor)]
    write_something()

    assert "Cancel selected" in text(look(agent, "/items/?tab=all", tag=tags[0]))
    assert "Cancel selected" not in text(look(auditor, "/items/?tab=all", tag=tags[1]))


def test_a_page_is_given_on_no_longer_than_its_rows_say_what_they_said(agent: Client, log_in: LogIn) -> None:
    item, other = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=29))), log_in(UserFactory())
    tags = [asks_again(agent), asks_again(other)]
    write_something()
    look(agent, "/items/?tab=all", tag=tags[0])
    *_, made = MADE.values()

    assert made.holds(timezone.now())
    assert not made.holds(item.opened_at + timedelta(minutes=30))
    assert not made.holds(made.made_at - timedelta(seconds=1))


def test_a_row_that_left_its_tab_still_comes_while_it_is_on_the_screen(agent: Client) -> None:
    here, gone = ItemFactory(), ItemFactory(status=Status.COMPLETED)

    answer = look(agent, on_screen=f"{here.pk},{gone.pk},x,999999")

    assert rows(answer) == [f"item-{here.pk}", f"item-{gone.pk}"]
    assert 'data-live-rows="1"' in text(answer)
    assert rows(look(agent)) == [f"item-{here.pk}"]
    assert rows(agent.get("/items/")) == [f"item-{here.pk}"]


def test_a_refund_and_a_cancellation_that_left_their_state_still_come(agent: Client) -> None:
    refund = RefundFactory(state="confirmed")
    asked = CancellationFactory(state="accepted")

    assert rows(look(agent, "/refunds/?state=due", on_screen=str(refund.pk))) == [f"refund-{refund.pk}"]
    path = "/cancellations/?state=refused"
    assert rows(look(agent, path, on_screen=str(asked.pk))) == [f"cancellation-{asked.pk}"]


def test_the_answer_is_the_page_without_its_shell(agent: Client) -> None:
    ItemFactory()

    body = text(look(agent))

    assert "<title>" in body
    assert 'data-live-part="rail"' in body
    assert 'data-live-part="tabs"' in body
    for shell in ("<script", "stylesheet", "<dialog", 'id="toasts"', "Log out"):
        assert shell not in body, shell


def test_news_for_a_person_is_not_eaten_by_a_page_that_looks_by_itself(agent: Client) -> None:
    item = ItemFactory()
    agent.post(f"/items/{item.pk}/cancel/", {"reason": "Customer asked"})

    look(agent)

    assert "Asked for" in text(agent.get("/items/"))
    assert not list(get_messages(agent.get("/items/").wsgi_request))


def test_a_trades_page_is_told_when_nothing_changed_and_brings_all_that_moves(agent: Client) -> None:
    deliver(news())
    path = f"/trades/{item_of().trade_id}/"
    tag = look(agent, path)["ETag"]
    assert look(agent, path, tag=tag).status_code == 304

    ended = [item_document("item-one", status="reverted")]
    deliver(news(status="reverted", items=ended, updatedAt=stamp(NOON + timedelta(hours=1))))
    changed = look(agent, path, tag=tag)

    assert changed.status_code == 200
    parts = re.findall(r'data-live-part="([\w-]+)"', text(changed))
    assert set(parts) >= {"rail", "whole", "why-whole", "facts", "customer", "truths", "refunds", "timeline"}
    assert rows(changed)[0] == f"item-{item_of().pk}"
    assert "refund-" in rows(changed)[1]


def test_what_a_refused_form_brought_does_not_ask_for_itself(agent: Client) -> None:
    trade = ItemFactory().trade

    assert "data-live-line" in text(agent.get(f"/trades/{trade.pk}/"))
    assert "data-live-line" not in text(agent.post(f"/trades/{trade.pk}/note/", {"text": ""}))
    assert "data-live-line" not in text(agent.post(f"/trades/{trade.pk}/check/"))


def test_a_reader_of_the_log_is_told_of_newer_entries_and_none_comes_between(supervisor: Client) -> None:
    for _ in range(60):
        write_something()
    shown = rows(supervisor.get("/audit/"))
    on_screen = ",".join(row.removeprefix("audit-") for row in shown)

    same = look(supervisor, "/audit/", on_screen=on_screen)
    write_something()
    one = look(supervisor, "/audit/", on_screen=on_screen, tag=same["ETag"])
    write_something()
    two = look(supervisor, "/audit/", on_screen=on_screen)
    filtered = look(supervisor, "/audit/?action=refund.opened", on_screen=on_screen)
    further = look(supervisor, f"/audit/{next_page(supervisor.get('/audit/'))}", on_screen="1,2,3")

    assert "newer entr" not in text(same)
    assert "1 newer entry" in text(one)
    assert "2 newer entries" in text(two)
    assert 'href="/audit/"' in text(two)
    assert rows(two) == []
    assert "newer entr" not in text(filtered)
    assert "newer entr" not in text(further)
    assert rows(supervisor.get("/audit/"))[2] == shown[0]


def test_a_list_of_refunds_says_who_else_is_at_one(agent: Client) -> None:
    refund, mira = RefundFactory(), UserFactory(email="mira@desk.example")
    tag = look(agent, "/refunds/")["ETag"]

    mark_presence(actor=mira, item_id=refund.item_id, trade_id=None, now=timezone.now())

    assert "mira@desk.example is looking at this" in text(look(agent, "/refunds/", tag=tag))


def test_whoever_may_not_look_hears_nothing_new_neither(log_in: LogIn, agent: Client) -> None:
    tag = look(agent)["ETag"]

    assert look(log_in(UserFactory(role=False)), tag=tag).status_code == 403
    assert look(Client(), tag=tag).status_code == 302


def test_what_really_happens_is_news_each_time(agent: Client) -> None:
    tags = [look(agent)["ETag"]]
    deliver(news())
    tags.append(look(agent)["ETag"])
    ask(item_of())
    tags.append(look(agent)["ETag"])
    ended = [item_document("item-one", status="completed")]
    deliver(news(status="completed", items=ended, updatedAt=stamp(NOON + timedelta(hours=1))))
    tags.append(look(agent)["ETag"])

    assert len(set(tags)) == 4
    assert Item.objects.get().status == Status.COMPLETED


@pytest.mark.parametrize("keys", ["x", "1,,2", "²", "9" * 30, "1;drop", ",".join(["7"] * 5_000)])
def test_odd_keys_of_rows_on_a_screen_are_left_out(agent: Client, keys: str) -> None:
    assert look(agent, on_screen=keys).status_code == 200
