"""Who else is looking."""

from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import ItemFactory, UserFactory
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.actions.presence import mark_presence
from withdrawals.models import AuditEntry, Item, Presence, Role, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def item() -> Item:
    """One that two people look at."""
    return ItemFactory()


@pytest.fixture
def mira() -> User:
    """The colleague."""
    return UserFactory(email="mira@desk.example")


def here(browser: Client, item: Item) -> str:
    """What the row of an item says of who is at it."""
    row = text(browser.get(f"/items/{item.pk}/row/"))
    return unescape(row.split('class="here"><bdi>')[1].split("</bdi>")[0]) if 'class="here"' in row else ""


def test_a_colleague_with_the_dialog_open_is_seen(log_in: LogIn, agent: Client, mira: User, item: Item) -> None:
    log_in(mira).post("/live/presence/", {"item": item.pk})

    assert here(agent, item) == "mira@desk.example is looking at this"
    assert "mira@desk.example is looking at this" in text(agent.get("/items/"))


def test_a_colleague_on_the_trades_page_is_seen_at_each_of_its_items(
    log_in: LogIn, agent: Client, mira: User, item: Item
) -> None:
    sibling, stranger = ItemFactory(trade=item.trade), ItemFactory()

    log_in(mira).post("/live/presence/", {"trade": item.trade_id})

    assert "mira" in here(agent, item)
    assert "mira" in here(agent, sibling)
    assert here(agent, stranger) == ""


def test_nobody_is_told_of_themselves(log_in: LogIn, mira: User, item: Item) -> None:
    browser = log_in(mira)
    browser.post("/live/presence/", {"item": item.pk})

    assert here(browser, item) == ""


def test_whoever_crashed_is_gone_within_a_minute(agent: Client, mira: User, item: Item) -> None:
    mark_presence(actor=mira, item_id=item.pk, trade_id=None, now=timezone.now() - timedelta(seconds=40))
    assert "mira" in here(agent, item)

    mark_presence(actor=mira, item_id=item.pk, trade_id=None, now=timezone.now() - timedelta(seconds=50))

    assert here(agent, item) == ""
    assert "mira" not in text(agent.get("/items/"))


def test_whoever_closes_the_dialog_is_gone_at_once(log_in: LogIn, agent: Client, mira: User, item: Item) -> None:
    browser = log_in(mira)
    browser.post("/live/presence/", {"item": item.pk})
    browser.post("/live/presence/", {"trade": item.trade_id})

    browser.post("/live/presence/", {"item": item.pk, "gone": "on"})
    assert "mira" in here(agent, item)
    browser.post("/live/presence/", {"trade": item.trade_id, "gone": "on"})

    assert here(agent, item) == ""


def test_being_there_locks_nobody_out(log_in: LogIn, agent: Client, mira: User, item: Item) -> None:
    log_in(mira).post("/live/presence/", {"item": item.pk})

    response = agent.post(f"/items/{item.pk}/cancel/", {"reason": "Customer asked"})

    assert response.status_code == 303
    assert item.cancellations.get().is_open


def test_saying_so_again_keeps_one_row_and_writes_no_history(log_in: LogIn, mira: User, item: Item) -> None:
    browser = log_in(mira)
    for _ in range(3):
        assert browser.post("/live/presence/", {"item": item.pk}).status_code == 204

    assert Presence.objects.count() == 1
    assert not AuditEntry.objects.exists()


def test_rows_of_days_gone_by_do_not_pile_up(log_in: LogIn, mira: User, item: Item) -> None:
    mark_presence(actor=mira, item_id=ItemFactory().pk, trade_id=None, now=timezone.now() - timedelta(hours=1))

    log_in(mira).post("/live/presence/", {"item": item.pk})

    assert [presence.item_id for presence in Presence.objects.all()] == [item.pk]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"item": "1", "trade": "1"}, 422),
        ({"item": "x"}, 422),
        ({"item": 2**63}, 422),
        ({"item": "999999"}, 404),
        ({"trade": "999999"}, 404),
    ],
)
def test_a_place_that_is_none_is_refused(agent: Client, form: dict[str, str], status: int) -> None:
    assert agent.post("/live/presence/", form).status_code == status
    assert not Presence.objects.exists()


def test_being_there_is_told_by_a_form_alone_and_needs_a_role(log_in: LogIn, item: Item) -> None:
    assert log_in(Role.AUDITOR).get("/live/presence/").status_code == 405
    assert log_in(UserFactory(role=False)).post("/live/presence/", {"item": item.pk}).status_code == 403
    assert not Presence.objects.exists()
