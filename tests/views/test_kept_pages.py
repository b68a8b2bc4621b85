"""A page that is kept as text says what one that is made anew would say."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
    ago,
)
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.actions.presence import mark_presence
from withdrawals.models import (
    Alarm,
    AlarmKind,
    Cancellation,
    Item,
    RefundState,
    Role,
    SavedView,
    SendBudget,
    Source,
    Status,
    Verdict,
)
from withdrawals.views import kept_pages
from withdrawals.views.kept_pages import PAGES

pytestmark = pytest.mark.django_db

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Each test begins with an empty shelf."""
    PAGES.clear()


def without_tokens(page: str) -> str:
    """A page but for what is another with each answer."""
    return re.sub(r'data-server-now="[^"]*"', "", TOKEN.sub("", page))


def stopped(**later: float) -> Any:
    """A clock that stands still, now or some time later."""
    return mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(**later))


def shown_twice(browser: Client, path: str = "/items/?tab=all") -> str:
    """A page, of which the kept one and one that is made anew say the same at that moment."""
    with stopped():
        kept = text(browser.get(path))
        assert PAGES
        PAGES.clear()
        anew = text(browser.get(path))
    assert without_tokens(kept) == without_tokens(anew)
    return kept


def items_that_show_everything() -> Item:
    """A few rows with all that a row can show; the one whose facts the tests change."""
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=50)))
    CancellationFactory(send_from=timezone.now() + timedelta(minutes=1))
    RefundFactory()
    return item


CHANGES: list[Callable[[Item], object]] = [
    lambda item: Item.objects.filter(pk=item.pk).update(status=Status.HOLD),
    lambda item: Item.objects.filter(pk=item.pk).update(market_hash_name="M4A4 | Howl"),
    lambda item: CancellationFactory(item=item),
    lambda item: RefundFactory(),
    lambda item: ItemFactory(),
    lambda item: Item.objects.filter(pk=item.pk).delete(),
    lambda item: mark_presence(actor=UserFactory(), item_id=item.pk, trade_id=None, now=timezone.now()),
    lambda item: Cancellation.objects.update(reason="another", changed_at=timezone.now()),
    lambda item: SavedView.objects.create(
        owner=UserFactory(),
        saved_list="item_list",
        name="holds",
        query="q=howl",
        is_shared=True,
        saved_at=timezone.now(),
    ),
    lambda item: Alarm.objects.create(
        kind=AlarmKind.values[0], raised_at=timezone.now(), changed_at=timezone.now(), detail="look"
    ),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
@pytest.mark.parametrize("path", ["/items/?tab=all", "/items/", "/", "/?range=30d"])
def test_whatever_changes_is_on_the_next_page(agent: Client, path: str, number: int) -> None:
    item = items_that_show_everything()
    agent.get(path)
    agent.get(path)

    CHANGES[number](item)

    shown_twice(agent, path)


OVERVIEW_CHANGES: list[Callable[[], object]] = [
    lambda: CancellationFactory(state="uncertain", may_resend=False),
    lambda: CancellationFactory(state="scheduled", armed_status="pending"),
    lambda: Cancellation.objects.update(needs_person="It was lost three times."),
    lambda: CancellationFactory(
        state="confirmed", requested_at=ago(minutes=9), accepted_at=ago(minutes=8), ended_at=ago(minutes=2)
    ),
    lambda: RefundFactory(state=RefundState.IN_REVIEW),
    lambda: RefundFactory(state=RefundState.AWAITING),
    lambda: DeliveryFactory(signed_at=ago(minutes=1)),
    lambda: DeliveryFactory(verdict=Verdict.FAILED),
    lambda: SendBudget.objects.update(paused_until=timezone.now() + timedelta(minutes=5), paused_because="TOO_MANY"),
    lambda: said(),
]


def said() -> None:
    """One more entry of the audit log."""
    with transaction.atomic():
        record([Fact("trade.changed", trade=TradeFactory())], origin=Origin(Source.COMMAND, name="x"), now=ago())


@pytest.mark.parametrize("number", range(len(OVERVIEW_CHANGES)))
def test_whatever_changes_is_on_the_next_overview(agent: Client, number: int) -> None:
    items_that_show_everything()
    said()
    before = without_tokens(shown_twice(agent, "/"))

    OVERVIEW_CHANGES[number]()

    assert without_tokens(shown_twice(agent, "/")) != before


def test_time_alone_moves_the_charts_of_a_kept_overview(agent: Client) -> None:
    DeliveryFactory(received_at=ago(hours=23, minutes=59), signed_at=ago(hours=23, minutes=59))
    assert "Half within" in shown_twice(agent, "/")

    with stopped(minutes=2):
        later = text(agent.get("/"))

    assert "How old AssetPay" in later
    assert "Half within" not in later


def test_a_page_of_the_same_facts_is_not_made_twice(agent: Client) -> None:
    items_that_show_everything()

    with stopped():
        first = text(agent.get("/items/?tab=all"))
        with mock.patch.object(kept_pages, "_made", side_effect=AssertionError):
            again = text(agent.get("/items/?tab=all"))

    assert without_tokens(again) == without_tokens(first)
    # The token is another one each time, as Django makes it.
    assert TOKEN.findall(again)[0] != TOKEN.findall(first)[0]
    assert "<~" not in again


def test_a_page_that_time_makes_untrue_is_made_anew(agent: Client) -> None:
    now = timezone.now()
    ItemFactory(trade=TradeFactory(opened_at=now - timedelta(minutes=29)))
    CancellationFactory(
        send_from=now + timedelta(seconds=20), state="scheduled", item__trade__opened_at=now - timedelta(hours=2)
    )
    for seconds in (0, 19, 20, 21, 59, 60, 61):
        with mock.patch("withdrawals.views.items.timezone.now", return_value=now + timedelta(seconds=seconds)):
            kept = text(agent.get("/items/?tab=all"))
            PAGES.clear()
            assert without_tokens(kept) == without_tokens(text(agent.get("/items/?tab=all"))), seconds


def test_times_go_on_in_a_kept_page(agent: Client) -> None:
    ItemFactory(trade=TradeFactory(opened_at=ago(minutes=40)))
    first = text(agent.get("/items/?tab=all"))

    with stopped(minutes=10), mock.patch.object(kept_pages, "_made", side_effect=AssertionError):
        later = text(agent.get("/items/?tab=all"))

    assert re.findall(">(.*? ago)</time>", first) != re.findall(">(.*? ago)</time>", later)


def test_one_persons_page_is_never_anothers(agent: Client, log_in: LogIn) -> None:
    items_that_show_everything()
    mira = log_in(UserFactory(email="mira@desk.example"))
    agent.get("/items/?tab=all")

    page = text(mira.get("/items/?tab=all"))

    assert "mira@desk.example" in page
    assert "Log out" in page
    assert text(agent.get("/items/?tab=all")).count("mira@desk.example") == 0


def test_who_may_less_sees_less_of_the_same_rows(agent: Client, log_in: LogIn) -> None:
    items_that_show_everything()
    headers = {"X-Live": "", "X-Background": "1"}

    assert "Cancel selected" in text(agent.get("/items/?tab=all", headers=headers))
    assert "Cancel selected" not in text(log_in(Role.AUDITOR).get("/items/?tab=all", headers=headers))


def test_two_agents_share_what_a_page_asks_for_itself(agent: Client, log_in: LogIn) -> None:
    items_that_show_everything()
    headers = {"X-Live": "", "X-Background": "1"}
    mira = log_in(UserFactory(email="mira@desk.example"))

    with stopped():
        first = text(agent.get("/items/?tab=all", headers=headers))
        with mock.patch.object(kept_pages, "_made", side_effect=AssertionError):
            second = text(mira.get("/items/?tab=all", headers=headers))

    assert without_tokens(first) == without_tokens(second)


def test_a_message_is_told_once(agent: Client) -> None:
    item = items_that_show_everything()
    agent.get("/items/")
    agent.post(f"/items/{item.pk}/cancel/", {"reason": "Customer asked"})

    assert "Asked for" in text(agent.get("/items/"))
    assert "Asked for" not in text(agent.get("/items/"))


def test_a_page_that_asks_for_more_than_was_handed_over_is_shown_reported_and_never_kept(
    agent: Client, caplog: pytest.LogCaptureFixture
) -> None:
    items_that_show_everything()

    with mock.patch("withdrawals.views.context.script_words", side_effect=lambda: f"{Item.objects.count()} in all"):
        pages = [text(agent.get("/items/?tab=all")) for _ in range(2)]
        ItemFactory()
        pages.append(text(agent.get("/items/?tab=all")))

    assert ["3 in all" in page for page in pages] == [True, True, False]
    assert "<~" not in "".join(pages)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "A page could not be kept"
    ] * 3
    assert (PAGES, connection.execute_wrappers) == ({}, [])
