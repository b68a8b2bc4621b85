"""The desk at twice the size, without motion, and without JavaScript."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn, log_in_through_the_form
from tests.browser.scenery import Scenery, bring_to
from tests.factories import ItemFactory, TradeFactory, UserFactory, ago
from withdrawals.models import Cancellation, CancellationState, SavedView

pytestmark = pytest.mark.django_db(transaction=True)

# Whatever sticks out of what cuts it off, or of the screen. What a person scrolls sideways on purpose, or only a screen
# reader sees, is left out.
CUT = """() => {
  const wide = document.documentElement.clientWidth;
  const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && !element.closest('.sr-only, .skip, thead, .rail nav, .tabs-line, .document, canvas, svg')
    && !(element.closest('details:not([open])') && !element.closest('summary'));
  const found = [];
  for (const element of document.querySelectorAll('main *, dialog[open] *, .list-line *')) {
    if (!isSeen(element)) continue;
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const shortens = getComputedStyle(element).textOverflow === 'ellipsis';
    const cuts = ['hidden', 'clip'].includes(getComputedStyle(element).overflowX) && !shortens;
    const isButton = element.matches('button, .btn, .chip, label, summary');
    if (box.right > wide + 1 || box.left < -1) found.push(`beyond the screen: ${element.outerHTML.slice(0, 90)}`);
    else if ((cuts || isButton && !shortens) && element.scrollWidth > element.clientWidth + 1 && element.clientWidth)
      found.push(`cut: ${element.outerHTML.slice(0, 90)}`);
  }
  return [...new Set(found)].slice(0, 5);
}"""


def test_at_twice_the_size_nothing_is_cut_and_no_page_scrolls_sideways(
    new_context: Any, scenery: Scenery, log_in: LogIn, live_server: LiveServer
) -> None:
    # A browser at 200 % shows half as many of the page's own pixels, each twice as large.
    page: Page = new_context(viewport={"width": 720, "height": 450}, device_scale_factor=2).new_page()
    found: list[str] = []

    for person, screens in ((scenery.supervisor, scenery.screens()), (scenery.admin, scenery.screens_of_admins())):
        page.context.clear_cookies()
        log_in(page, person)
        for name, path in screens.items():
            page.goto(live_server.url + path)
            bring_to(page, name)
            found += [f"{name}: {each}" for each in page.evaluate(CUT)]
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if overflow > 0:
                found.append(f"{name}: {overflow} px wider than the screen")

    assert found == [], "\n".join(found)


MOVES = """() => [...document.querySelectorAll('*')]
.flatMap((element) => ['', '::before', '::after', '::details-content'].flatMap((part) => {
  const style = getComputedStyle(element, part || null);
  const longest = Math.max(...`${style.transitionDuration}, ${style.animationDuration}`.split(', ').map(parseFloat));
  const runs = style.animationName !== 'none' || style.transitionProperty !== 'none';
  return runs && longest > 0.01 ? [`${element.tagName}.${element.className}${part}: ${longest} s`] : [];
})).slice(0, 5)"""


def test_whoever_wants_no_motion_gets_none(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer
) -> None:
    log_in(page, scenery.supervisor)
    screens = [
        "/",
        "/items/?tab=soon",
        f"/trades/{scenery.trade}/",
        "/refunds/",
        f"/batches/{scenery.batch}/",
        "/audit/",
    ]
    page.goto(live_server.url + "/items/")
    moves_otherwise = page.evaluate(MOVES)

    page.emulate_media(reduced_motion="reduce")
    found = []
    for path in screens:
        page.goto(live_server.url + path)
        found += [f"{path}: {each}" for each in page.evaluate(MOVES)]
    bring_to(page, "palette")
    found += page.evaluate(MOVES)

    assert moves_otherwise, "nothing ever moves here, so this shows nothing"
    assert found == [], "\n".join(found)


def test_without_javascript_an_item_is_found_cancelled_and_taken_back(
    new_context: Any, live_server: LiveServer, transactional_db: None
) -> None:
    item = ItemFactory()
    page = new_context(java_script_enabled=False).new_page()
    log_in_through_the_form(page, live_server, UserFactory().email)
    page.locator("#find").fill(item.assetpay_id)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/trades/{item.trade_id}/#item-{item.pk}")

    page.goto(f"{live_server.url}/items/")
    page.get_by_role("button", name="Cancel item").click()
    page.get_by_label("Reason").select_option("Customer asked")
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator(".toast")).to_contain_text("Asked for")
    page.locator(".toast").get_by_role("button", name="Take it back").click()

    expect(page.locator(".toast")).to_contain_text("Taken back before it left")
    assert Cancellation.objects.get().state == CancellationState.WITHDRAWN


def test_without_javascript_a_list_is_paged_ordered_thinned_out_and_kept(
    new_context: Any, live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    for number in range(60):
        ItemFactory(trade=TradeFactory(opened_at=ago(hours=2, seconds=number)))
    page = new_context(java_script_enabled=False).new_page()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    rows = page.locator("tbody tr[id^=item-]")
    first = rows.first.get_attribute("id")

    page.get_by_role("link", name="Next page").click()
    expect(rows).to_have_count(10)
    page.get_by_role("link", name="Page before").click()
    expect(rows).to_have_count(50)
    assert rows.first.get_attribute("id") == first

    page.get_by_role("columnheader", name="Price").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Price")).to_have_attribute("aria-sort", "ascending")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("link", name="Hide At AssetPay").click()
    expect(page.get_by_role("columnheader", name="At AssetPay")).to_be_hidden()
    expect(rows.first.locator("[data-col='assetpay']")).to_be_hidden()

    page.get_by_text("Save this view").click()
    page.get_by_label("Name", exact=True).fill("By price")
    page.get_by_role("button", name="Save view").click()
    chip = page.get_by_role("navigation", name="Saved views").get_by_role("link", name="By price")
    expect(chip).to_contain_text("60")
    assert SavedView.objects.get().query == "hide=assetpay&sort=price"
    page.get_by_role("button", name="Remove the view By price").click()
    expect(chip).to_have_count(0)


def test_rows_stand_closer_together_for_whoever_chose_so_and_it_is_remembered(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    cell = page.locator("tbody td").first
    roomy = cell.evaluate("cell => parseFloat(getComputedStyle(cell).paddingTop)")

    page.get_by_role("button", name="Compact rows").click()
    page.reload()

    assert cell.evaluate("cell => parseFloat(getComputedStyle(cell).paddingTop)") < roomy
    expect(page.get_by_role("button", name="Compact rows")).to_have_attribute("aria-pressed", "true")


def toast_of_a_cancel(page: Page) -> Locator:
    """Ask for the one item of the list; what the page says then."""
    page.get_by_role("button", name="Cancel item").click()
    page.get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("dialog").locator("button[type=submit]").click()
    return page.locator(".toast")


def test_a_toast_links_to_the_trade_and_takes_the_request_back(
    page: Page,
    live_server: LiveServer,
    transactional_db: None,
    log_in: LogIn,
    complaints: list[str],
    settings: Settings,
) -> None:
    settings.UNDO_SECONDS = 60
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    toast = toast_of_a_cancel(page)
    expect(toast.get_by_role("link", name=str(item))).to_have_attribute("href", f"/trades/{item.trade_id}/")

    toast.get_by_role("button", name="Take it back").click()

    expect(page.locator(f"#item-{item.pk}")).to_have_attribute("data-cancellation-state", "withdrawn")
    expect(page.locator(".toast")).to_contain_text("Taken back")
    assert Cancellation.objects.get().state == CancellationState.WITHDRAWN


def test_a_toast_offers_nothing_once_the_request_may_have_left(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, settings: Settings
) -> None:
    settings.UNDO_SECONDS = 2
    ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    toast = toast_of_a_cancel(page)
    taking_back = toast.get_by_role("button", name="Take it back")
    taking_back.focus()

    expect(taking_back).to_have_count(0)
    expect(toast).to_contain_text("Asked for")
    expect(toast.get_by_role("button", name="Dismiss")).to_be_focused()
