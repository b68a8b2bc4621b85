"""The worklist under an agent's hands."""

from datetime import timedelta

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import CancellationFactory, ItemFactory, RefundFactory, TradeFactory, UserFactory, ago
from withdrawals.models import Cancellation, CancellationState, Refund, RefundState


def test_an_item_is_cancelled_in_place_and_the_focus_comes_back(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    row = page.locator(f"#item-{item.pk}")

    row.get_by_role("button", name="Cancel item").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.locator("[name=reason]").select_option("Customer asked")
    dialog.locator("[name=note]").fill("asked in chat")
    dialog.locator("button[type=submit]").last.click()

    expect(row).to_have_attribute("data-cancellation-state", "requested")
    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)
    expect(page.locator(".toast")).to_contain_text("Asked for")
    expect(row.get_by_role("button", name="Undo")).to_be_focused()
    assert Cancellation.objects.get().note == "asked in chat"


def test_escape_keeps_the_item_and_gives_the_focus_back(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    button = page.locator(f"#item-{item.pk}").get_by_role("button", name="Cancel item")

    button.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)
    expect(button).to_be_focused()
    assert not Cancellation.objects.exists()


def test_other_without_a_note_stays_in_the_dialog_with_the_reason(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")

    page.get_by_role("button", name="Cancel item").click()
    page.get_by_label("Reason").select_option("Other")
    page.get_by_role("dialog").locator("button[type=submit]").click()

    expect(page.get_by_role("dialog")).to_contain_text("needs a note")
    page.get_by_label("Note").fill("chargeback")
    page.get_by_role("dialog").locator("button[type=submit]").click()
    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)
    assert Cancellation.objects.get().reason == "Other"


def test_a_row_that_a_colleague_was_quicker_with_says_so_in_place(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    page.get_by_role("button", name="Cancel item").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    CancellationFactory(item=item, requested_by__email="mira@desk.example", state=CancellationState.ACCEPTED)
    page.get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("dialog").locator("button[type=submit]").click()

    row = page.locator(f"#item-{item.pk}")
    expect(row).to_have_attribute("data-cancellation-state", "accepted")
    expect(row.get_by_role("alert")).to_contain_text("Already asked for by mira@desk.example")
    expect(row.get_by_role("button", name="Cancel item")).to_be_disabled()


def test_an_open_cancellation_keeps_its_row_fresh_and_a_settled_one_is_left_alone(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    cancellation = CancellationFactory(state=CancellationState.ACCEPTED)
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/?tab=open")
    row = page.locator(f"#item-{cancellation.item_id}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/row/" in request.url else None)

    Cancellation.objects.filter(pk=cancellation.pk).update(state=CancellationState.REFUSED, ended_at=ago(seconds=0))

    expect(row).to_have_attribute("data-cancellation-state", "refused")
    looked = len(asked)
    page.wait_for_timeout(4_000)
    assert len(asked) == looked


def test_the_button_opens_in_place_when_the_time_has_come_whatever_the_browsers_clock_says(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    # The browser believes it is twenty minutes later, and its clock goes on.
    page.add_init_script("const wrong = Date.now; Date.now = () => wrong() + 20 * 60 * 1000;")
    log_in(page, UserFactory().email)
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=30) + timedelta(seconds=8)))
    page.goto(f"{live_server.url}/items/?tab=soon")
    row = page.locator(f"#item-{item.pk}")

    expect(row.locator("time.countdown")).to_contain_text("in 00:0")
    expect(row.get_by_role("button", name="Cancel item")).to_be_disabled()

    expect(row.get_by_role("button", name="Cancel item")).to_be_enabled()
    expect(row.locator("time.countdown")).to_have_count(0)


def test_undo_takes_the_request_back_in_place(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    cancellation = CancellationFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/?tab=open")

    page.get_by_role("button", name="Undo").click()

    expect(page.locator(f"#item-{cancellation.item_id}")).to_have_attribute("data-cancellation-state", "withdrawn")
    expect(page.get_by_role("button", name="Cancel item")).to_be_enabled()


def test_a_refund_is_confirmed_in_place(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    refund = RefundFactory()
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/refunds/")

    page.get_by_role("button", name="Confirm refund").click()
    expect(page.get_by_role("dialog").locator("[name=reference]")).to_be_focused()
    page.get_by_role("dialog").locator("[name=reference]").fill("payout-77")
    page.get_by_role("dialog").locator("button[type=submit]").last.click()

    expect(page.locator(f"#refund-{refund.pk}")).to_have_attribute("data-refund-state", "confirmed")
    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)
    assert Refund.objects.get().state == RefundState.CONFIRMED


def test_everything_works_without_scripts(
    new_context: object, live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    item = ItemFactory()
    page = new_context(java_script_enabled=False).new_page()  # type: ignore[operator] # pytest-playwright's own
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")

    page.get_by_role("button", name="Cancel item").click()
    page.get_by_label("Reason").select_option("Customer asked")
    page.locator("dialog[open] button[type=submit]").click()

    expect(page).to_have_url(f"{live_server.url}/items/")
    expect(page.locator(".toast")).to_contain_text("Asked for")
    assert Cancellation.objects.get().item == item


# The first and the last four signs of an id: which of them are in sight.
ENDS_IN_SIGHT = """(id) => {
    const [box, text] = [id.getBoundingClientRect(), id.querySelector('bdi').firstChild];
    return [[0, 4], [text.length - 4, text.length]].map(([from, to]) => {
        const range = document.createRange();
        range.setStart(text, from);
        range.setEnd(text, to);
        const end = range.getBoundingClientRect();
        return end.left >= box.left - 1 && end.right <= box.right + 1;
    });
}"""


def test_ids_keep_the_end_that_tells_them_apart_and_rows_stay_low(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    item = ItemFactory(trade__opened_at=ago(minutes=5))
    log_in(page, UserFactory().email)

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{live_server.url}/items/?tab=soon")
    row = page.locator(f"#item-{item.pk}")
    for place in (0, 1):
        assert row.locator(".id").nth(place).evaluate(ENDS_IN_SIGHT) == [False, True]
    cancel, arm = (row.get_by_role("button", name=name).bounding_box() for name in ("Cancel item", "Cancel when"))
    assert cancel and arm and cancel["y"] == arm["y"]
    height = row.evaluate("row => row.getBoundingClientRect().height")
    assert height < 150, height

    page.set_viewport_size({"width": 390, "height": 844})
    for place in (0, 1, 2):
        assert row.locator(".id").nth(place).evaluate(ENDS_IN_SIGHT) == [True, True]


def test_the_chosen_theme_is_remembered(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    page.emulate_media(color_scheme="light")
    log_in(page, UserFactory().email)
    page.goto(f"{live_server.url}/items/")
    expect(page.locator("html")).not_to_have_class("dark")

    page.get_by_role("button", name="Light or dark").click()
    page.reload()

    expect(page.locator("html")).to_have_class("dark")


def test_markup_in_a_name_neither_runs_nor_sends(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    attack = '<img src=x onerror="document.title=1"><b hx-post="/accounts/logout/" hx-trigger="load">x</b>'
    item = ItemFactory(market_hash_name=attack, name=attack, exterior=attack, error=attack)
    log_in(page, UserFactory().email)
    sent: list[str] = []

    def is_odd(method: str, address: str) -> bool:
        # That somebody has the trade's page open is told by the page itself.
        return method == "POST" and not address.endswith("/live/presence/")

    page.on("request", lambda request: sent.append(request.url) if is_odd(request.method, request.url) else None)

    for path in ("/items/", f"/trades/{item.trade_id}/", "/trades/"):
        page.goto(live_server.url + path)
        expect(page.get_by_text("hx-trigger").first).to_be_visible()

    assert sent == []
    assert page.locator("main img").count() == 0
