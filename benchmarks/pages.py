"""Lists, searches, one trade, counts: what an agent waits for."""

import time
from functools import partial
from urllib.parse import parse_qsl

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.admins import OFFSET_PAGE, StockAdmin, TunedAdmin, admin_page
from benchmarks.desk import page
from benchmarks.floors import audit_floor, list_floor, trade_floor
from benchmarks.report import Row
from benchmarks.timing import Call, race
from benchmarks.weight import FIRST_VISIT_KB, REFRESH_KB, first_visit_kb, refresh_kb
from benchmarks.world import RARE_NAME
from withdrawals.models import Item, Trade, User, count_desk
from withdrawals.views.kept_pages import PAGES
from withdrawals.views.paging import keyset_page
from withdrawals.views.rows import row_pieces

SQLITE = "sqlite"


def middle_item() -> Item:
    """The one before which half of all items stand."""
    return Item.objects.order_by("pk")[Item.objects.count() // 2]


def deep_cursor() -> str:
    """Where a page begins that has half of all items before it."""
    before = Item.objects.filter(pk__lte=middle_item().pk)
    return keyset_page(before, by="opened_at", newest_first=True, cursor="").next_cursor


def measure_pages(client: Client, person: User) -> list[Row]:
    """The rows of the table that are about pages."""
    database = connection.vendor
    middle, deep = middle_item(), deep_cursor()
    large = Trade.objects.get(assetpay_id="large-trade")
    calls: dict[str, Call] = {
        "floor": list_floor,
        "log-in alone": lambda: page(client, "/now/"),
        "first page": lambda: page(client, "/items/", tab="all"),
        "all counts": lambda: count_desk(timezone.now()),
        "deep page": lambda: page(client, "/items/", tab="all", cursor=deep),
        "filtered": lambda: page(client, "/items/", tab="can"),
        "by id": lambda: page(client, "/items/", q=middle.assetpay_id),
        "rare name": lambda: page(client, "/items/", tab="all", q=RARE_NAME),
        "tail of id": lambda: page(client, "/items/", tab="all", q=middle.assetpay_id[-8:]),
        "trade floor": lambda: trade_floor(large.pk),
        "trade page": lambda: page(client, f"/trades/{large.pk}/"),
        "audit floor": audit_floor,
        "audit page": lambda: page(client, "/audit/"),
        "overview": lambda: page(client, "/"),
        "tuned admin": lambda: admin_page(TunedAdmin, person),
    }
    # SQLite works within this process, so its own time is all that a page costs, however busy the machine is.
    clock = time.process_time if database == SQLITE else time.perf_counter
    took = {name: figure.p50 for name, figure in race(calls, seconds=40, clock=clock).items()}
    # By themselves: they let go of what the others keep. This is what a change of any row costs the next page.
    not_kept = {"first page": "/items/?tab=all", "trade page": f"/trades/{large.pk}/", "audit page": "/audit/"}
    not_kept["overview"] = "/"

    def anew(address: str) -> str:
        PAGES.clear()
        path, _, query = address.partition("?")
        return page(client, path, **dict(parse_qsl(query)))

    cold: dict[str, Call] = {f"{name}, not kept": partial(anew, address) for name, address in not_kept.items()}
    took |= {name: figure.p50 for name, figure in race(cold, seconds=5, clock=clock).items()}
    # And this by itself again, or the others would not find their rows either.
    no_row: dict[str, Call] = {"first page, no row kept": lambda: (row_pieces.cache_clear(), anew("/items/?tab=all"))}
    took |= {name: figure.p50 for name, figure in race(no_row, seconds=5, clock=clock).items()}
    slow: dict[str, Call] = {
        "stock admin": lambda: admin_page(StockAdmin, person),
        "tuned admin, deep": lambda: admin_page(TunedAdmin, person, OFFSET_PAGE),
    }
    took |= {name: figure.p50 for name, figure in race(slow, seconds=15, clock=clock).items()}
    first, floor = took["first page"], took["floor"]
    times_floor, times_stock = (12, 1_000) if database == SQLITE else (4, 100)
    # The first page of a while also notes that somebody is at work.
    page(client, "/items/", tab="all")
    with CaptureQueriesContext(connection) as asked:
        page(client, "/items/", tab="all")
    # Now: the next request forgets them.
    queries = len(asked)
    return [
        Row("items list / floor", first / floor, "x", times_floor, detail=f"{first:.1f} ms to {floor:.2f} ms"),
        Row(
            "log-in alone / floor",
            took["log-in alone"] / floor,
            "x",
            detail=f"{took['log-in alone']:.1f} ms: an answer of one line to somebody who is logged in",
        ),
        Row(
            "stock admin / items list",
            took["stock admin"] / first,
            "x",
            times_stock,
            at_least=True,
            detail=f"{took['stock admin']:,.0f} ms",
        ),
        Row(
            "tuned admin / items list",
            took["tuned admin"] / first,
            "x",
            10,
            at_least=True,
            detail=f"{took['tuned admin']:.1f} ms; deep {took['tuned admin, deep']:,.0f} ms",
        ),
        Row(
            "items list, something changed / floor",
            took["first page, not kept"] / floor,
            "x",
            12 if database == SQLITE else 4,
            detail=f"{took['first page, not kept']:.1f} ms: its rows kept, the page made anew",
        ),
        Row(
            "items list, no row kept / floor",
            took["first page, no row kept"] / floor,
            "x",
            detail=f"{took['first page, no row kept']:.1f} ms: every row made anew",
        ),
        Row(
            "all counts / items list", took["all counts"] / first, "x", 1, detail=f"{took['all counts']:.2f} ms, exact"
        ),
        Row("deep page / first", took["deep page"] / first, "x", 1.15, detail=f"{took['deep page']:.1f} ms"),
        Row("can be cancelled / first", took["filtered"] / first, "x", 1.15, detail=f"{took['filtered']:.1f} ms"),
        Row("by id / first", took["by id"] / first, "x", 1.15, detail=f"{took['by id']:.1f} ms"),
        Row("rare name / first", took["rare name"] / first, "x", 3, detail=f"{took['rare name']:.1f} ms"),
        Row("tail of an id / first", took["tail of id"] / first, "x", 3, detail=f"{took['tail of id']:.1f} ms"),
        Row(
            "trade of 50 items / items list",
            took["trade page"] / first,
            "x",
            2,
            detail=f"{took['trade page']:.1f} ms; its floor {took['trade floor']:.2f} ms",
        ),
        Row("audit page / items list", took["audit page"] / first, "x", 1.15, detail=f"{took['audit page']:.1f} ms"),
        Row(
            "trade, something changed / items list",
            took["trade page, not kept"] / first,
            "x",
            detail=f"{took['trade page, not kept']:.1f} ms: its lines kept, the page made anew",
        ),
        Row(
            "audit page, something changed / items list",
            took["audit page, not kept"] / first,
            "x",
            detail=f"{took['audit page, not kept']:.1f} ms",
        ),
        Row("overview / items list", took["overview"] / first, "x", detail=f"{took['overview']:.1f} ms"),
        Row(
            "overview, something changed / items list",
            took["overview, not kept"] / first,
            "x",
            detail=f"{took['overview, not kept']:.1f} ms",
        ),
        Row("first visit, gzipped", first_visit_kb(client, "/items/?tab=all"), "KB", FIRST_VISIT_KB, detail="50 rows"),
        Row("refresh of 50 rows, gzipped", refresh_kb(client, "/items/?tab=all"), "KB", REFRESH_KB),
        Row("queries of the items list", queries, "", 6 + 3, detail="with session, person, what they may"),
    ]
