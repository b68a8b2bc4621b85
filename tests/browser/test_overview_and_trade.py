"""Charts with their tables, and a trade's small things."""

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import CancellationFactory, ItemFactory, UserFactory
from withdrawals.models import CancellationState, Note


def test_charts_are_drawn_from_tables_that_stay_at_hand(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    CancellationFactory(state=CancellationState.CONFIRMED)
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/")
    chart = page.locator("[data-chart=outcomes]")

    expect(chart.locator("canvas")).to_be_visible()
    drawn = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    assert chart.locator("canvas").evaluate(drawn) > 10
    expect(chart.locator("table")).to_be_hidden()
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("row", name="Undone 1")).to_be_visible()
    page.get_by_role("link", name="7 days").click()
    expect(page).to_have_url(f"{live_server.url}/?range=7d#charts")


def test_without_scripts_the_tables_stand_open(
    new_context: object, live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    CancellationFactory(state=CancellationState.CONFIRMED)
    page = new_context(java_script_enabled=False).new_page()  # type: ignore[operator] # pytest-playwright's own
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/")

    expect(page.locator("[data-chart=outcomes]").get_by_role("row", name="Undone 1")).to_be_visible()
    expect(page.locator("canvas").first).to_be_hidden()


def test_an_id_is_copied_a_note_is_left_and_a_lost_picture_has_a_letter(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    item = ItemFactory(icon_url="https://community.cloudflare.steamstatic.com/economy/image/none")
    page.route("https://community.cloudflare.steamstatic.com/**", lambda route: route.abort())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/trades/{item.trade_id}/")

    expect(page.locator(".no-picture")).to_have_text("A")
    page.get_by_role("button", name="Copy the trade's id").click()
    expect(page.locator("#spoken")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == item.trade.assetpay_id

    page.get_by_label("Note for the next one").fill("Will call back")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("[data-moment=note]")).to_contain_text("Will call back")
    assert Note.objects.get().trade == item.trade


def test_print_leaves_out_what_paper_cannot_do(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/trades/{item.trade_id}/")

    page.emulate_media(media="print")

    expect(page.locator(".rail")).to_be_hidden()
    expect(page.get_by_role("button", name="Check with AssetPay")).to_be_hidden()
    expect(page.get_by_role("heading", name="Three truths")).to_be_visible()
