"""The desk without a mouse: single keys, the palette, the one box."""

import pytest
from playwright.sync_api import Locator, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import ItemFactory, RefundFactory, TradeFactory, UserFactory, ago
from withdrawals.models import Cancellation, Refund, RefundState

pytestmark = pytest.mark.django_db(transaction=True)


def go_by_tab(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(8):
        if target.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(target).to_be_focused()


def test_twenty_items_are_handled_without_a_mouse(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    items = [ItemFactory(trade=TradeFactory(opened_at=ago(hours=2, seconds=-number))) for number in range(20)]
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")

    for number, item in enumerate(items):
        page.keyboard.press("j")
        row = page.locator(f"#item-{item.pk}")
        expect(row).to_be_focused()
        page.keyboard.press("c")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert Cancellation.objects.count() == number
        dialog = page.get_by_role("dialog")
        go_by_tab(page, dialog.get_by_label("Reason"))
        page.keyboard.press("ArrowDown")
        go_by_tab(page, dialog.locator("button[type=submit]").last)
        page.keyboard.press("Enter")
        expect(row).to_have_attribute("data-cancellation-state", "requested")
        expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)

    assert list(Cancellation.objects.order_by("pk").values_list("item", flat=True)) == [item.pk for item in items]


def test_keys_move_along_the_rows_and_stay_at_the_ends(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    first, second = (ItemFactory(trade=TradeFactory(opened_at=ago(hours=hours))) for hours in (3, 2))
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")

    for key, item in (("j", first), ("j", second), ("j", second), ("k", first), ("k", first)):
        page.keyboard.press(key)
        expect(page.locator(f"#item-{item.pk}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/trades/{first.trade_id}/")


def test_r_opens_the_refunds_dialog_and_confirms_nothing(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    RefundFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/refunds/")

    page.keyboard.press("r")

    expect(page.get_by_role("dialog")).to_be_visible()
    # While a dialog is open the keys are silent.
    page.keyboard.press("j")
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_have_count(1)
    assert Refund.objects.get().state == RefundState.DUE


def is_an_act(request: Request) -> bool:
    """Whether a request is more than reading and saying where one is."""
    return request.method != "GET" and "/live/presence/" not in request.url


def test_no_single_key_sends_anything(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    ItemFactory()
    RefundFactory()
    log_in(page, UserFactory().email)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if is_an_act(request) else None)

    for path in ("/items/", "/items/?tab=all", "/refunds/", "/cancellations/", "/"):
        page.goto(live_server.url + path)
        for key in "jxcark?abdefghilmnopqstuvwyz123/":
            page.keyboard.press(key)
            page.keyboard.press("Escape")
            page.locator("body").evaluate("() => document.activeElement.blur()")

    assert sent == []
    assert not Cancellation.objects.exists()


def test_the_keys_can_be_switched_off_and_stay_off(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.reload()

    page.keyboard.press("c")
    page.keyboard.press("?")
    page.wait_for_timeout(300)
    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)

    page.get_by_role("button", name="Shortcuts").click()
    page.get_by_label("Single keys are on").check()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_letters_that_are_typed_are_letters(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/")

    page.keyboard.press("/")
    page.keyboard.type("jackrx? redline")
    expect(page.get_by_role("searchbox", name="Find anything")).to_have_value("jackrx? redline")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(item.assetpay_id)
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{live_server.url}/trades/{item.trade_id}/#item-{item.pk}")


def test_the_palette_goes_does_and_finds(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/")
    page.keyboard.press("Control+k")
    page.keyboard.type("go items")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/items/")

    page.keyboard.press("j")
    page.keyboard.press("Control+k")
    page.keyboard.type("cancel item")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("AK-47")
    assert not Cancellation.objects.exists()
    page.keyboard.press("Escape")

    page.keyboard.press("Control+k")
    page.keyboard.type(item.trade.external_id)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/trades/{item.trade_id}/#item-{item.pk}")


def test_the_box_works_without_scripts(
    new_context: object, live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    item = ItemFactory()
    page = new_context(java_script_enabled=False).new_page()  # type: ignore[operator] # pytest-playwright's own
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/")

    page.get_by_role("searchbox", name="Find anything").fill(f"“{item.assetpay_id}”")
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{live_server.url}/trades/{item.trade_id}/#item-{item.pk}")
