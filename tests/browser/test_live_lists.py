"""Lists that keep themselves fresh without taking anything out of anybody's hands."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.desk import deliver, item_of, news
from tests.factories import CancellationFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory, ago
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import CancellationState, Item, Role, Source, Status

pytestmark = pytest.mark.django_db(transaction=True)

SOON = 12_000


def happens(change: Callable[[], Any]) -> None:
    """Something changes, as anything does: in one transaction with its entry in the log."""
    with transaction.atomic():
        change()
        record([Fact("trade.changed")], origin=Origin(Source.COMMAND, name="import"), now=timezone.now())


def rename(item: Item, name: str) -> None:
    """AssetPay tells another name."""
    happens(lambda: Item.objects.filter(pk=item.pk).update(market_hash_name=name))


def item(name: str = "AK-47 | Redline (Field-Tested)", **older: float) -> Item:
    """One that can be cancelled, opened so long ago."""
    return ItemFactory(market_hash_name=name, trade=TradeFactory(opened_at=ago(**(older or {"hours": 2}))))


Open = Callable[..., Page]


@pytest.fixture
def over_a_bad_line(page: Page, live_server: LiveServer, log_in: LogIn) -> Open:
    """A page of the desk, with somebody at it; the browser may complain of its line."""

    def opened(path: str = "/items/") -> Page:
        log_in(page, UserFactory().email)
        page.goto(live_server.url + path)
        page.mouse.move(1, 1)
        return page

    return opened


@pytest.fixture
def worklist(over_a_bad_line: Open, complaints: list[str]) -> Open:
    """A page of the desk, with somebody at it, of which the browser has nothing to complain."""
    return over_a_bad_line


def order(page: Page) -> list[str]:
    """The rows on the screen."""
    return list(page.locator("[data-live-rows] > tr").evaluate_all("rows => rows.map(row => row.id)"))


def test_a_new_row_a_changed_row_and_the_counts_come_by_themselves(worklist: Open) -> None:
    old = item(hours=3)
    page = worklist()
    expect(page.locator("[data-live-age]")).to_contain_text("Up to date")

    new = item(hours=4)
    rename(old, "AWP | Asiimov (Battle-Scarred)")

    expect(page.locator(f"#item-{new.pk}")).to_be_visible(timeout=SOON)
    expect(page.locator(f"#item-{old.pk} .name")).to_have_text("AWP | Asiimov (Battle-Scarred)")
    assert order(page) == [f"item-{new.pk}", f"item-{old.pk}"]
    expect(page.locator(".tabs-line [aria-current] .count")).to_have_text("2")
    expect(page.locator(".rail [aria-current] .count")).to_contain_text("2")


def test_what_must_not_wait_shows_in_the_title_and_the_icon_of_the_tab(worklist: Open) -> None:
    page = worklist()
    expect(page).to_have_title("Items · AssetPay Admin")

    happens(lambda: CancellationFactory(state=CancellationState.UNCERTAIN))

    expect(page).to_have_title("(1) Items · AssetPay Admin", timeout=SOON)
    assert "pressing" in str(page.locator("link[rel=icon]").get_attribute("href"))


def test_a_row_that_left_its_tab_stays_in_its_place_and_tells_its_end(worklist: Open) -> None:
    first, middle, last = item(hours=4), item(hours=3), item(hours=2)
    page = worklist()

    happens(lambda: Item.objects.filter(pk=middle.pk).update(status=Status.COMPLETED))

    expect(page.locator(f"#item-{middle.pk}")).to_have_attribute("data-item-status", "completed", timeout=SOON)
    assert order(page) == [f"item-{each.pk}" for each in (first, middle, last)]
    expect(page.locator(".tabs-line [aria-current] .count")).to_have_text("2")
    page.reload()
    assert order(page) == [f"item-{each.pk}" for each in (first, last)]


def test_while_a_row_is_ticked_the_order_stands_still_and_a_bar_offers_what_is_new(
    worklist: Open,
) -> None:
    ticked = item(hours=2)
    page = worklist()
    page.locator(f"#item-{ticked.pk}").get_by_role("checkbox").check()
    page.mouse.move(1, 1)

    new = [item(hours=hours) for hours in (3, 4)]
    rename(ticked, "AWP | Asiimov (Battle-Scarred)")

    bar = page.get_by_role("button", name="2 new rows: show")
    expect(bar).to_be_visible(timeout=SOON)
    assert order(page) == [f"item-{ticked.pk}"]
    expect(page.locator(f"#item-{ticked.pk} .name")).to_have_text("AWP | Asiimov (Battle-Scarred)")
    expect(page.locator(f"#item-{ticked.pk}").get_by_role("checkbox")).to_be_checked()
    bar.click()
    assert order(page) == [f"item-{each.pk}" for each in (new[1], new[0], ticked)]
    expect(page.locator(f"#item-{ticked.pk}").get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(bar).to_be_hidden()


def test_the_row_under_the_pointer_does_not_move_until_the_pointer_leaves(worklist: Open) -> None:
    old = item(hours=2)
    page = worklist()
    page.locator(f"#item-{old.pk} .name").hover()

    new = item(hours=3)
    rename(old, "AWP | Asiimov (Battle-Scarred)")

    expect(page.get_by_role("button", name="1 new row: show")).to_be_visible(timeout=SOON)
    assert order(page) == [f"item-{old.pk}"]
    page.mouse.move(1, 1)
    expect(page.locator(f"#item-{new.pk}")).to_be_visible(timeout=SOON)


def test_an_open_dialog_keeps_its_order_and_what_was_typed(worklist: Open) -> None:
    old = item(hours=2)
    page = worklist()
    page.get_by_role("button", name="Cancel item").click()
    page.get_by_role("dialog").get_by_label("Note").fill("asked in chat")
    page.mouse.move(1, 1)

    item(hours=3)
    rename(old, "AWP | Asiimov (Battle-Scarred)")

    expect(page.locator(f"#item-{old.pk} .name")).to_have_text("AWP | Asiimov (Battle-Scarred)", timeout=SOON)
    assert order(page) == [f"item-{old.pk}"]
    expect(page.get_by_role("dialog").get_by_label("Note")).to_have_value("asked in chat")
    expect(page.get_by_role("dialog").get_by_label("Note")).to_be_focused()


def test_focus_and_scroll_stay_where_they_were(worklist: Open) -> None:
    items = [item(hours=2, seconds=-number) for number in range(30)]
    page = worklist()
    button = page.locator(f"#cancel-{items[20].pk}")
    button.focus()
    page.mouse.move(1, 1)
    before = button.bounding_box()

    news = [item(hours=hours) for hours in (3, 4, 5)]
    rename(items[20], "AWP | Asiimov (Battle-Scarred)")

    expect(page.locator(f"#item-{news[0].pk}")).to_be_attached(timeout=SOON)
    expect(page.locator(f"#item-{items[20].pk} .name")).to_have_text("AWP | Asiimov (Battle-Scarred)")
    expect(page.locator(f"#cancel-{items[20].pk}")).to_be_focused()
    after = page.locator(f"#cancel-{items[20].pk}").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2
    assert page.evaluate("scrollY") > 0


def test_an_older_answer_never_overwrites_a_newer_one(worklist: Open) -> None:
    ours = item(hours=2)
    page = worklist()
    held: list[tuple[Route, Any]] = []
    passed = threading.Event()

    def hold_the_first(route: Route) -> None:
        if "x-live" not in route.request.headers:
            route.continue_()
        elif not held:
            # Answered by the server now, and brought to the page after the next one.
            held.append((route, route.fetch()))
        else:
            route.continue_()
            passed.set()

    page.route(re.compile("/items/$"), hold_the_first)
    while not held:
        page.wait_for_timeout(200)
    rename(ours, "AWP | Asiimov (Battle-Scarred)")
    name = page.locator(f"#item-{ours.pk} .name")
    expect(name).to_have_text("AWP | Asiimov (Battle-Scarred)", timeout=SOON)

    route, answer = held[0]
    assert "Redline" in answer.text()
    route.fulfill(response=answer)

    page.wait_for_timeout(1_000)
    expect(name).to_have_text("AWP | Asiimov (Battle-Scarred)")
    assert passed.is_set()


def test_an_answer_that_knows_fewer_facts_is_left_aside(worklist: Open) -> None:
    ours = item(hours=2)
    page = worklist()
    with page.expect_response(lambda answer: "x-live" in answer.request.headers) as first:
        pass
    stale = first.value.text()
    rename(ours, "AWP | Asiimov (Battle-Scarred)")
    name = page.locator(f"#item-{ours.pk} .name")
    expect(name).to_have_text("AWP | Asiimov (Battle-Scarred)", timeout=SOON)

    def from_a_machine_that_lags(route: Route) -> None:
        route.fulfill(status=200, headers={"ETag": '"0-lags"'}, content_type="text/html", body=stale)

    page.route(
        re.compile("/items/$"),
        lambda route: from_a_machine_that_lags(route) if "x-live" in route.request.headers else route.continue_(),
    )
    with page.expect_response(lambda answer: answer.headers.get("etag") == '"0-lags"', timeout=SOON):
        pass

    page.wait_for_timeout(500)
    expect(name).to_have_text("AWP | Asiimov (Battle-Scarred)")


def test_a_row_that_a_hand_changed_is_not_put_back_by_an_answer_from_before(over_a_bad_line: Open) -> None:
    ours = item(hours=2)
    page = over_a_bad_line()
    held: list[tuple[Route, Any]] = []

    def hold_the_first(route: Route) -> None:
        if "x-live" in route.request.headers and not held:
            held.append((route, route.fetch()))
        elif "x-live" in route.request.headers:
            route.abort()
        else:
            route.continue_()

    page.route(re.compile("/items/$"), hold_the_first)
    while not held:
        page.wait_for_timeout(200)
    page.get_by_role("button", name="Cancel item").click()
    page.get_by_role("dialog").get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("dialog").locator("button[type=submit]").click()
    row = page.locator(f"#item-{ours.pk}")
    expect(row).to_have_attribute("data-cancellation-state", "requested")

    held[0][0].fulfill(response=held[0][1])

    page.wait_for_timeout(1_000)
    expect(row).to_have_attribute("data-cancellation-state", "requested")


def test_a_page_that_nobody_sees_asks_nothing_and_says_how_old_it_is(worklist: Open) -> None:
    item()
    page = worklist()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "x-live" in request.headers else None)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")

    page.wait_for_timeout(6_000)
    assert asked == []

    new = item(hours=5)
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f"#item-{new.pk}")).to_be_visible(timeout=SOON)


def test_a_desk_that_does_not_answer_is_said(context: BrowserContext, over_a_bad_line: Open) -> None:
    item()
    page = over_a_bad_line()

    context.set_offline(True)

    expect(page.locator("[data-live-line]")).to_contain_text("Not up to date", timeout=25_000)
    context.set_offline(False)
    expect(page.locator("[data-live-line]")).to_contain_text("Up to date", timeout=SOON)


def test_the_first_row_of_an_empty_list_comes_with_its_table(worklist: Open) -> None:
    page = worklist()
    expect(page.locator(".empty")).to_be_visible()

    happens(lambda: item())

    expect(page.locator("[data-live-rows] > tr")).to_have_count(1, timeout=SOON)
    page.locator("[data-live-rows]").get_by_role("checkbox").check()
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_refunds_and_the_overview_move_too(worklist: Open, live_server: LiveServer) -> None:
    page = worklist("/refunds/")
    happens(lambda: RefundFactory())

    expect(page.locator("[data-live-rows] > tr")).to_have_count(1, timeout=SOON)
    expect(page.locator("[data-owed-now]")).to_have_text("$12.34")
    page.goto(f"{live_server.url}/")
    expect(page.locator("[data-figure=due] .figure-number")).to_have_text("1")
    happens(lambda: RefundFactory())
    expect(page.locator("[data-figure=due] .figure-number")).to_have_text("2", timeout=SOON)


def test_a_trades_page_moves_by_itself_and_leaves_alone_what_somebody_is_writing(worklist: Open) -> None:
    deliver(news())
    trade = item_of().trade
    page = worklist(f"/trades/{trade.pk}/")
    expect(page.locator("[data-live-age]")).to_contain_text("Up to date")
    note = page.get_by_label("Note for the next one")
    note.fill("Customer calls ba")
    page.get_by_label("About").select_option(label=item_of().title)
    note.focus()
    before = note.bounding_box()
    selected = page.evaluate_handle("document.querySelector('[data-live-part=customer] dd')")

    ended = [item_document("item-one", status="reverted")]
    deliver(news(status="reverted", items=ended, updatedAt=stamp(NOON + timedelta(hours=1))))

    expect(page.locator("[data-live-part=refunds] tr[data-refund-state]")).to_have_count(1, timeout=SOON)
    expect(page.locator(f"#item-{item_of().pk}")).to_have_attribute("data-item-status", "reverted")
    expect(page.locator("[data-live-part=truths]")).to_contain_text("AssetPay says so")
    expect(page.locator("[data-live-part=facts]")).to_contain_text("Undone")
    expect(page.locator("[data-live-part=timeline]")).to_contain_text("Refund opened")
    expect(page.get_by_role("button", name="Cancel whole trade")).to_be_disabled()
    expect(page.get_by_text("Everything of this trade has ended.")).to_be_visible()
    # What did not change was not touched, what somebody does stays under their hands.
    assert selected.evaluate("element => element.isConnected")
    expect(note).to_be_focused()
    expect(note).to_have_value("Customer calls ba")
    after = note.bounding_box()
    assert before is not None
    assert after is not None
    assert page.evaluate("scrollY") > 0
    assert abs(before["y"] - after["y"]) < 2
    # What came works like what stood there: its button leads to the dialog, its ids can be copied.
    expect(page.locator("[data-live-part=truths] [data-copy]").first).to_be_visible()
    page.get_by_role("button", name="Confirm refund").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_nothing_is_taken_from_under_a_finger_that_is_down(worklist: Open) -> None:
    ours = item(hours=2)
    page = worklist(f"/trades/{ours.trade_id}/")
    button = page.get_by_role("button", name="Cancel item")
    button.hover()
    page.mouse.down()
    with page.expect_response(lambda answer: "x-live" in answer.request.headers and answer.status == 200, timeout=SOON):
        rename(ours, "AWP | Asiimov (Battle-Scarred)")
    page.mouse.up()

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator(f"#item-{ours.pk} .name")).to_have_text("AWP | Asiimov (Battle-Scarred)", timeout=SOON)


@pytest.mark.parametrize("address", ["/items/", "/trades/{}/"])
def test_what_changed_while_a_dialog_was_on_its_way_is_told_by_the_next_question(worklist: Open, address: str) -> None:
    ours = item(hours=2)
    page = worklist(address.format(ours.trade_id))
    on_its_way: list[Route] = []
    page.route(re.compile(r"/items/\d+/cancel/"), lambda route: on_its_way.append(route))
    name = page.locator(f"#item-{ours.pk} .name")

    page.get_by_role("button", name="Cancel item").click()
    with page.expect_response(lambda answer: "x-live" in answer.request.headers and answer.status == 200, timeout=SOON):
        rename(ours, "AWP | Asiimov (Battle-Scarred)")
    # Its row stays until the dialog has found its way from it.
    expect(name).to_have_text("AK-47 | Redline (Field-Tested)")
    on_its_way[0].continue_()

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(name).to_have_text("AWP | Asiimov (Battle-Scarred)", timeout=SOON)


def test_the_audit_log_stands_still_and_tells_of_newer_entries(
    page: Page, live_server: LiveServer, log_in: LogIn, complaints: list[str]
) -> None:
    log_in(page, UserFactory(role=Role.SUPERVISOR).email)
    page.goto(f"{live_server.url}/audit/")
    shown = order(page)

    happens(lambda: None)

    line = page.get_by_role("link", name="1 newer entry: show it")
    expect(line).to_be_visible(timeout=SOON)
    assert order(page) == shown
    line.click()
    expect(page.locator("[data-live-rows] > tr")).to_have_count(len(shown) + 1)
    expect(line).to_be_hidden()
