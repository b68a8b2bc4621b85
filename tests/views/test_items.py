"""The worklist."""

from datetime import timedelta
from unittest import mock

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.factories import CancellationFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import next_page, rows, text
from withdrawals.actions.presence import mark_presence
from withdrawals.models import Cancellation, CancellationState, Item, Role, SavedView, Status, Trade, User
from withdrawals.views.worklist import TABS

pytestmark = pytest.mark.django_db


@pytest.fixture
def one_of_each() -> dict[str, Item]:
    """One item for each place on the worklist."""
    return {
        "can": ItemFactory(),
        "soon": ItemFactory(trade=TradeFactory(opened_at=ago(minutes=5))),
        "open": CancellationFactory(state=CancellationState.ACCEPTED).item,
        "done": ItemFactory(status=Status.COMPLETED),
        "rust": ItemFactory(trade=TradeFactory(game="252490")),
    }


@pytest.mark.parametrize("tab", ["can", "soon", "open", "done"])
def test_a_tab_holds_its_items_and_no_others(agent: Client, one_of_each: dict[str, Item], tab: str) -> None:
    response = agent.get("/items/", {"tab": tab})

    assert rows(response) == [f"item-{one_of_each[tab].pk}"]


def test_what_can_be_cancelled_comes_first(agent: Client, one_of_each: dict[str, Item]) -> None:
    assert rows(agent.get("/items/")) == [f"item-{one_of_each['can'].pk}"]


@pytest.mark.parametrize("query", ["", "redline", "nothing-like-it"])
def test_each_count_equals_its_list(agent: Client, one_of_each: dict[str, Item], query: str) -> None:
    ItemFactory(market_hash_name="AWP | Asiimov (Battle-Scarred)")

    for tab in TABS:
        response = agent.get("/items/", {"tab": tab.name, "q": query})
        counts = {each.name: count for each, count in response.context["tabs"]}
        assert counts[tab.name] == str(len(rows(response)))


def test_the_longest_waiting_come_first(agent: Client) -> None:
    old, older, oldest = (ItemFactory(trade=TradeFactory(opened_at=ago(hours=hours))) for hours in (2, 3, 4))

    assert rows(agent.get("/items/")) == [f"item-{item.pk}" for item in (oldest, older, old)]


@pytest.mark.parametrize("tab", ["can", "all"])
def test_pages_show_every_row_exactly_once(agent: Client, tab: str) -> None:
    trade = TradeFactory(opened_at=ago(hours=2))
    items = ItemFactory.create_batch(120, trade=trade) + [
        ItemFactory(trade=TradeFactory(opened_at=ago(hours=3, seconds=number))) for number in range(10)
    ]

    seen: list[str] = []
    query = f"?tab={tab}"
    while query:
        response = agent.get(f"/items/{query}")
        seen += rows(response)
        query = next_page(response)

    assert sorted(seen) == sorted(f"item-{item.pk}" for item in items)


@pytest.mark.parametrize(
    "cursor", ["x", "~", "1~1", "2026-01-01T00:00:00+02:00~5", "2026-13-01T00:00:00~5", "²~²", "a" * 61]
)
def test_a_bad_place_in_the_list_is_said_and_harmless(agent: Client, cursor: str) -> None:
    item = ItemFactory()

    response = agent.get("/items/", {"cursor": cursor})

    assert response.status_code == 400
    assert 'role="alert"' in text(response)
    assert rows(response) == [f"item-{item.pk}"]


def test_an_unknown_tab_is_said_and_the_first_is_shown(agent: Client, one_of_each: dict[str, Item]) -> None:
    response = agent.get("/items/", {"tab": "cancelled"})

    assert response.status_code == 400
    assert "no such tab" in text(response)
    assert rows(response) == [f"item-{one_of_each['can'].pk}"]


def test_a_search_text_beyond_measure_is_said(agent: Client) -> None:
    assert agent.get("/items/", {"q": "x" * 2_001}).status_code == 400
    assert agent.get("/items/", {"q": "nul\x00"}).status_code == 400


def test_an_id_finds_its_row_whatever_the_tab(agent: Client, one_of_each: dict[str, Item]) -> None:
    delivered = one_of_each["done"]

    for pasted in (delivered.assetpay_id, delivered.assetpay_id[-6:], delivered.trade.assetpay_id):
        response = agent.get("/items/", {"tab": "soon", "q": pasted})
        assert rows(response) == [f"item-{delivered.pk}"]
        assert "Found by id" in text(response)


def test_a_name_is_searched_within_the_tab(agent: Client, one_of_each: dict[str, Item]) -> None:
    response = agent.get("/items/", {"tab": "done", "q": "redline"})

    assert rows(response) == [f"item-{one_of_each['done'].pk}"]


def test_a_row_says_what_a_script_may_rely_on(agent: Client) -> None:
    refused = CancellationFactory(state=CancellationState.REFUSED, answer_key="TRADE_NOT_CANCELLABLE")
    fresh = ItemFactory()

    body = text(agent.get("/items/?tab=all"))

    assert (
        f'<tr id="item-{refused.item.pk}" data-item-id="{refused.item.assetpay_id}" '
        f'data-trade-id="{refused.item.trade.assetpay_id}" data-item-status="pending" '
        'data-cancellation-state="refused"'
    ) in body
    assert f'data-trade-id="{fresh.trade.assetpay_id}" data-item-status="pending" data-cancellation-state=""' in body
    assert "AssetPay will not cancel this item" in body


def test_a_disabled_button_names_its_reason(agent: Client) -> None:
    rust = ItemFactory(trade=TradeFactory(game="252490"))
    asked = CancellationFactory(requested_by__email="mira@desk.example").item

    body = text(agent.get("/items/?tab=all"))

    assert f'id="cancel-{rust.pk}" data-size="sm" disabled' in body
    assert "Rust items can never be cancelled" in body
    assert f'id="cancel-{asked.pk}" data-size="sm" disabled' in body
    assert "mira@desk.example already asked for this." in body


def test_a_young_item_counts_down_to_the_moment_the_server_names(agent: Client) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10)))

    body = text(agent.get("/items/?tab=soon"))

    moment = (item.opened_at + timedelta(minutes=30)).isoformat(timespec="milliseconds")
    assert f'data-cancellable-from="{moment}"' in body
    assert "in 19 min" in body


def test_the_page_carries_the_servers_clock(agent: Client) -> None:
    before = timezone.now() - timedelta(milliseconds=1)

    body = text(agent.get("/items/"))

    shown = timezone.datetime.fromisoformat(body.split('data-server-now="')[1].split('"')[0])
    assert before <= shown <= timezone.now()


def test_an_offer_with_the_customer_is_warned_of(agent: Client) -> None:
    ItemFactory(status=Status.ACTIVE)

    assert "already with the customer" in text(agent.get("/items/"))


def test_what_the_customer_has_accepted_is_not_said_to_be_still_open_to_them(agent: Client) -> None:
    item = ItemFactory(status=Status.HOLD)

    pages = [
        text(agent.get(path)) for path in ("/items/", f"/items/{item.pk}/cancel/", f"/trades/{item.trade_id}/cancel/")
    ]

    assert all("accepted" in page and "AssetPay may refuse" in page for page in pages)
    assert not any("may still accept" in page or "may accept" in page for page in pages)
    assert "Not yet: in Steam&#x27;s hold." in text(agent.get(f"/trades/{item.trade_id}/"))


def test_a_name_that_tells_the_wear_is_not_followed_by_it(agent: Client) -> None:
    ItemFactory(market_hash_name="P90 | Asiimov (Field-Tested)", exterior="Field-Tested")
    ItemFactory(market_hash_name="Sticker | Crown (Foil)", exterior="Well-Worn")

    page = text(agent.get("/items/"))

    assert page.count("Field-Tested") == page.count("Asiimov (Field-Tested)")
    assert "Well-Worn" in page


def test_an_unknown_status_is_shown_as_unknown(agent: Client) -> None:
    ItemFactory(status="teleporting")

    assert "unknown: teleporting" in text(agent.get("/items/"))


def version_of(row: str) -> str:
    return row.split('data-version="')[1].split('"')[0]


def test_a_row_has_another_version_when_it_says_something_else(log_in: LogIn) -> None:
    browser = log_in(htmx=True)
    asked = CancellationFactory(state=CancellationState.ACCEPTED)
    before = version_of(text(browser.get(f"/items/{asked.item_id}/row/")))

    Cancellation.objects.filter(pk=asked.pk).move(to=CancellationState.REFUSED, now=timezone.now())

    assert version_of(text(browser.get(f"/items/{asked.item_id}/row/"))) != before


def test_a_row_whose_moment_has_passed_has_another_version(log_in: LogIn) -> None:
    browser = log_in(htmx=True)
    waiting = CancellationFactory(send_from=timezone.now() + timedelta(seconds=2))
    before = version_of(text(browser.get(f"/items/{waiting.item_id}/row/")))

    with mock.patch("withdrawals.views.items.timezone.now", return_value=waiting.send_from):
        assert version_of(text(browser.get(f"/items/{waiting.item_id}/row/"))) != before


def test_the_row_is_a_row_and_nothing_else(log_in: LogIn) -> None:
    item = ItemFactory()

    body = text(log_in(htmx=True).get(f"/items/{item.pk}/row/")).strip()

    assert body.startswith(f'<tr id="item-{item.pk}"')
    assert body.endswith("</tr>")


def test_hostile_names_stay_text(agent: Client) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)> hx-get="/x"'
    ItemFactory(market_hash_name=attack, exterior=attack, trade__client_steam_id="7", trade__assetpay_id=attack)

    body = text(agent.get("/items/"))

    assert "<script>alert" not in body
    assert "<img src=x" not in body
    assert "&lt;script&gt;alert(1)" in body


def test_pictures_come_from_steam_alone(agent: Client) -> None:
    ItemFactory(icon_url="https://evil.example/x.png")
    ItemFactory(icon_url="https://community.cloudflare.steamstatic.com/economy/image/abc")

    body = text(agent.get("/items/"))

    assert "evil.example" not in body
    assert 'src="https://community.cloudflare.steamstatic.com/economy/image/abc"' in body


@pytest.mark.parametrize("many", [1, 40])
def test_the_list_costs_the_same_however_long(agent: Client, many: int, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def] # pytest-django's own fixture
    for _ in range(many):
        CancellationFactory()
        RefundFactory()
    agent.get("/items/")

    with django_assert_num_queries(QUERIES_OF_THE_LIST):
        agent.get("/items/?tab=all")


def test_who_is_there_and_what_is_saved_costs_a_statement_each(
    agent: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    item, owner = ItemFactory(), User.objects.get()
    mark_presence(actor=UserFactory(), item_id=item.pk, trade_id=None, now=timezone.now())
    SavedView.objects.create(owner=owner, saved_list="item_list", name="All", query="tab=all", saved_at=timezone.now())
    agent.get("/items/")

    # And how many rows the saved view holds.
    with django_assert_num_queries(QUERIES_OF_THE_LIST + 3):
        body = text(agent.get("/items/?tab=all"))

    assert "is looking at this" in body
    assert "?tab=all" in body


# Session, person and what they may; all counts, with how many are there and how many views are saved; the page and its
# cancellations. Where anybody is there, or a view is saved, they are asked for.
QUERIES_OF_THE_LIST = 4


def test_the_merchants_own_trade_is_called_so(agent: Client) -> None:
    ItemFactory(trade=TradeFactory(source="self", client_steam_id=None))

    assert "the merchant&#x27;s own" in text(agent.get("/items/")) or "the merchant's own" in text(agent.get("/items/"))


def test_an_empty_tab_says_what_would_be_there(agent: Client) -> None:
    assert Trade.objects.count() == 0
    assert "longest waiting first" in text(agent.get("/items/"))


def test_whoever_may_only_look_sees_why_the_button_is_off(log_in: LogIn) -> None:
    item = ItemFactory()

    body = text(log_in(Role.AUDITOR).get("/items/"))

    assert f'id="cancel-{item.pk}" data-size="sm" disabled' in body
    assert "Your role may look, not cancel" in body
