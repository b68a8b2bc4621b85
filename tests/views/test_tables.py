"""Lists as their address lays them out: walked both ways, turned round, thinned out, kept as views."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

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
from tests.views.reading import next_page, rows, text
from withdrawals.models import Item, Role, SavedList, SavedView, Status
from withdrawals.models.item import ShownPrice
from withdrawals.views.paging import keyset_page

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PREVIOUS = re.compile(r'rel="prev" href="([^"]+)"')


def previous_page(response: Any) -> str:
    """The query string of the page before; empty on the first."""
    found = PREVIOUS.search(text(response))
    return found[1].replace("&amp;", "&") if found else ""


def make_items(number: int) -> list[Item]:
    """Items of which some share their moment, their price, or have none."""
    moments = [ago(hours=3, minutes=place // 3) for place in range(number)]
    prices = [None, Decimal("7.0000"), Decimal("7.0000"), Decimal("0.0500"), Decimal("1184.0000")]
    return [
        ItemFactory(trade=TradeFactory(opened_at=moment), price=prices[place % len(prices)])
        for place, moment in enumerate(moments)
    ]


@pytest.mark.parametrize("query", ["?tab=all", "?tab=all&sort=opened", "?tab=all&sort=price", "?tab=can&sort=-price"])
def test_a_list_is_walked_to_its_end_and_back_without_losing_a_row(agent: Client, query: str) -> None:
    items = make_items(120)

    pages, address = [], query
    while address:
        response = agent.get(f"/items/{address}")
        pages.append(rows(response))
        address = next_page(response)
    back = [pages[-1]]
    while address := previous_page(response):
        response = agent.get(f"/items/{address}")
        back.append(rows(response))

    assert sorted(row for page in pages for row in page) == sorted(f"item-{item.pk}" for item in items)
    assert [len(page) for page in pages] == [50, 50, 20]
    assert back == pages[::-1]


def test_where_rows_came_before_the_first_page_going_back_ends_at_the_beginning(agent: Client) -> None:
    items = [ItemFactory(trade=TradeFactory(opened_at=ago(hours=3, seconds=-number))) for number in range(60)]
    second = agent.get(f"/items/{next_page(agent.get('/items/'))}")
    older = ItemFactory(trade=TradeFactory(opened_at=ago(hours=9)))

    before = agent.get(f"/items/{previous_page(second)}")

    assert rows(before) == [f"item-{item.pk}" for item in items[:50]]
    assert rows(agent.get(f"/items/{previous_page(before)}"))[0] == f"item-{older.pk}"
    assert not previous_page(agent.get("/items/"))


@pytest.mark.parametrize(
    "cursor", ["~back", "x~back", "2026-01-01T00:00:00.000000~5~back~back", "7~5", "12.3~1", "1e5~1", "12.3400~x"]
)
@pytest.mark.parametrize("sort", ["", "price"])
def test_a_place_that_is_none_is_said(agent: Client, cursor: str, sort: str) -> None:
    item = ItemFactory()

    response = agent.get("/items/", {"cursor": cursor, "sort": sort})

    assert response.status_code == 400
    assert rows(response) == [f"item-{item.pk}"]


def test_the_worklist_is_ordered_by_price_and_no_price_counts_as_nothing(agent: Client) -> None:
    cheap, none, dear = (ItemFactory(price=price) for price in (Decimal("0.05"), None, Decimal("1184.00")))
    repriced = ItemFactory(price=Decimal("1.00"), first_price=Decimal("30.00"))

    upwards = rows(agent.get("/items/?sort=price"))

    assert upwards == [f"item-{item.pk}" for item in (none, cheap, repriced, dear)]
    assert rows(agent.get("/items/?sort=-price")) == upwards[::-1]


def test_a_heading_says_how_the_list_is_ordered_and_turns_it(agent: Client) -> None:
    ItemFactory()

    usual, turned = (
        re.sub(r">\s+<", "><", text(agent.get(f"/items/?q=redline{sort}"))) for sort in ("", "&sort=-opened")
    )

    assert 'aria-sort="ascending"><a class="sort" href="?q=redline&amp;sort=-opened"' in usual
    assert 'aria-sort="descending"><a class="sort" href="?q=redline&amp;sort=opened"' in turned
    assert 'href="?q=redline&amp;sort=price"' in usual


@pytest.mark.parametrize("path", ["/items/", "/trades/", "/cancellations/", "/refunds/", "/deliveries/"])
def test_an_order_that_there_is_not_is_said(agent: Client, path: str) -> None:
    response = agent.get(path, {"sort": "<b>name"})

    assert response.status_code == 400
    assert "No list is ordered by “&lt;b&gt;name”" in text(response)


@pytest.mark.parametrize(
    ("path", "sort", "make"),
    [
        ("/trades/", "opened", lambda number: TradeFactory(opened_at=ago(hours=number))),
        ("/cancellations/", "asked", lambda number: CancellationFactory(requested_at=ago(hours=number))),
        ("/refunds/", "opened", lambda number: RefundFactory(opened_at=ago(hours=number))),
        ("/deliveries/", "came", lambda number: DeliveryFactory(received_at=ago(hours=number))),
    ],
)
def test_every_list_is_turned_round_by_its_time(agent: Client, path: str, sort: str, make: Any) -> None:
    made = [make(number) for number in (1, 2, 3)]

    newest_first = [row.rpartition("-")[2] for row in rows(agent.get(path, {"sort": f"-{sort}"}))]

    assert newest_first == [str(each.pk) for each in made]
    assert [row.rpartition("-")[2] for row in rows(agent.get(path, {"sort": sort}))] == newest_first[::-1]


@pytest.mark.parametrize("goes_down", [True, False])
def test_the_order_by_price_reads_an_index(goes_down: bool) -> None:
    make_items(60)
    items = Item.objects.annotate(shown_price=ShownPrice("first_price", "price"))
    page = keyset_page(items, by="shown_price", newest_first=goes_down, cursor="", size=20)
    plan = explained(items.order_by(*(["-shown_price", "-pk"] if goes_down else ["shown_price", "pk"]))[:20])

    assert len(page.rows) == 20
    assert "item_by_price" in plan


def explained(queryset: Any) -> str:
    """How the database would read it; PostgreSQL is asked not to sort, since a small table is not worth an index."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("SET LOCAL enable_seqscan = off")
    return str(queryset.explain())


def test_a_column_is_left_out_by_its_name_and_the_rows_stay_as_they_are(agent: Client) -> None:
    item = ItemFactory()
    row = re.compile(rf'<tr id="item-{item.pk}".*?</tr>', re.DOTALL)

    whole, thin = text(agent.get("/items/")), text(agent.get("/items/?hide=price,desk,nonsense"))

    assert 'data-hide="price desk"' in thin
    assert 'data-hide=""' in whole
    assert essence(row.search(thin)) == essence(row.search(whole))
    assert 'href="?hide=desk"' in thin
    assert 'href="?hide=price"' in whole
    assert 'href="?hide=price%2Cassetpay%2Cdesk"' in thin or 'href="?hide=price,assetpay,desk"' in thin


def essence(found: re.Match[str] | None) -> str:
    """A row without what differs each time and where it leads back to."""
    assert found is not None
    return re.sub(r'name="(?:next|csrfmiddlewaretoken)" value="[^"]*"|>[^<]*</time>', "", found[0])


LISTS: dict[SavedList, tuple[str, Any]] = {
    SavedList.ITEMS: ("tab=done", lambda: ItemFactory(status=Status.COMPLETED)),
    SavedList.TRADES: ("q=redline", ItemFactory),
    SavedList.CANCELLATIONS: ("state=refused", lambda: CancellationFactory(state="refused")),
    SavedList.REFUNDS: ("state=in_review", lambda: RefundFactory(state="in_review")),
    SavedList.DELIVERIES: ("verdict=noted", lambda: DeliveryFactory(verdict="noted")),
}


@pytest.mark.parametrize("saved_list", LISTS)
def test_every_list_keeps_views_whose_counts_are_what_they_show(
    agent: Client, log_in: LogIn, saved_list: SavedList
) -> None:
    query, make = LISTS[saved_list]
    for _ in range(3):
        make()
    ItemFactory(market_hash_name="AWP | Asiimov (Battle-Scarred)")
    CancellationFactory(), RefundFactory(), DeliveryFactory()
    form = {"saved_list": saved_list.value, "query": f"{query}&hide=price", "is_shared": "on"}

    saved = agent.post("/views/", form | {"name": "What I look at"})
    theirs = log_in(Role.AUDITOR)
    shown = theirs.get(f"{reverse(saved_list)}?{SavedView.objects.get().query}")

    assert saved.status_code == 303
    counts = re.findall(r'<bdi>What I look at</bdi> <span class="count">(\d+)<', text(shown))
    assert counts == [str(len(rows(shown)))]
    assert int(counts[0]) >= 3
    assert 'aria-current="page"><bdi>What I look at' in text(shown)
    assert text(theirs.get(reverse(saved_list))).count("<bdi>What I look at</bdi>") == 1


def test_a_view_of_the_worklist_by_an_id_counts_what_the_id_finds(agent: Client) -> None:
    item = ItemFactory(status=Status.COMPLETED)
    owner = UserFactory()
    SavedView.objects.create(
        owner=owner,
        saved_list=SavedList.ITEMS,
        name="That one",
        query=f"q={item.assetpay_id}",
        is_shared=True,
        saved_at=ago(hours=1),
    )

    assert '<bdi>That one</bdi> <span class="count">1<' in text(agent.get("/items/"))
