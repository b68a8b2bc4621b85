"""Cancelling at scale under people's hands: arming, batches, undo, whole trades, and two agents on one list."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import CancellationFactory, ItemFactory, TradeFactory, UserFactory, ago
from withdrawals.models import Batch, BatchState, Cancellation, CancellationState, Presence, Role, User

SECONDS = 1_000
NewContext = Callable[..., BrowserContext]


@pytest.fixture(autouse=True)
def desk(transactional_db: None, settings: Settings) -> None:
    """Time enough to take things back."""
    settings.UNDO_SECONDS = 60


@pytest.fixture
def mira() -> User:
    """An agent."""
    return UserFactory(email="mira@desk.example")


def act(page: Page) -> None:
    """Give a reason and press the button that acts."""
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=reason]").select_option("Customer asked")
    dialog.locator("button[type=submit]").last.click()


def test_an_item_is_armed_before_its_window_and_disarmed_again(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10)))
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/?tab=soon")
    row = page.locator(f"#item-{item.pk}")
    expect(row.get_by_role("button", name="Cancel item")).to_be_disabled()

    row.get_by_role("button", name="Cancel when allowed").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("UTC")
    act(page)

    expect(row).to_have_attribute("data-cancellation-state", "scheduled")
    expect(row).to_contain_text("mira@desk.example")
    expect(row.get_by_role("button", name="Undo")).to_be_focused()

    row.get_by_role("button", name="Undo").press("Enter")

    expect(row).to_have_attribute("data-cancellation-state", "withdrawn")
    expect(row.get_by_role("button", name="Cancel when allowed")).to_be_focused()
    assert Cancellation.objects.get().state == CancellationState.WITHDRAWN


def test_a_selection_survives_its_rows_being_brought_anew_and_is_taken_back_whole(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    items = [ItemFactory(trade=TradeFactory(opened_at=ago(hours=hours))) for hours in (4, 3, 2)]
    rust = ItemFactory(trade=TradeFactory(game="252490"))
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/?tab=all")
    tick = page.get_by_label("Select AK-47")
    button = page.get_by_role("button", name="Cancel selected")
    expect(button).to_be_disabled()

    page.get_by_label("Select all on this page").check()
    page.locator(f"#item-{items[0].pk}").get_by_role("checkbox").uncheck()
    expect(page.get_by_text("3 selected")).to_be_visible()
    # A colleague's request changes the first and second row under the agent's eyes.
    CancellationFactory(item=items[0], state=CancellationState.ACCEPTED)
    expect(page.locator(f"#item-{items[0].pk}")).to_have_attribute(
        "data-cancellation-state", "accepted", timeout=10 * SECONDS
    )
    CancellationFactory(item=items[1], state=CancellationState.REFUSED)
    expect(page.locator(f"#item-{items[1].pk}")).to_have_attribute(
        "data-cancellation-state", "refused", timeout=10 * SECONDS
    )
    assert [tick.nth(place).is_checked() for place in range(4)].count(True) == 3
    assert not page.locator(f"#item-{items[0].pk}").get_by_role("checkbox").is_checked()

    button.click()
    expect(page.get_by_role("heading", name="2 of 3 can be cancelled")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Rust items can never be cancelled")
    page.get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("button", name="Start: ask for 2").click()
    expect(page.locator("[data-tally=waiting]")).to_have_text("2")
    assert set(Batch.objects.get().items.values_list("item_id", flat=True)) == {items[1].pk, items[2].pk, rust.pk}

    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-tally=not_attempted]")).to_have_text("3")
    page.get_by_role("link", name="Select what could not be done").click()

    expect(page.get_by_text("3 selected")).to_be_visible()
    assert not Cancellation.objects.filter(batch__isnull=False, ended_at=None).exists()


def test_a_running_batch_tells_its_progress_and_is_paused_and_stopped(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    items = [ItemFactory(), ItemFactory()]
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/")
    page.get_by_role("button", name="Cancel all 2 that match").click()
    page.get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("button", name="Start: ask for 2").click()
    expect(page.locator("[data-tally=waiting]")).to_have_text("2")

    Cancellation.objects.filter(item=items[0]).move(to=CancellationState.ACCEPTED, now=ago(seconds=0))
    expect(page.locator("[data-tally=accepted]")).to_have_text("1", timeout=12 * SECONDS)
    expect(page.locator("[data-live-rows] [data-cancellation-state=accepted]")).to_have_count(1)

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert Batch.objects.get().state == BatchState.PAUSED
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-tally=not_attempted]")).to_have_text("1")
    assert Batch.objects.get().state == BatchState.STOPPED


def test_a_colleague_is_seen_within_ten_seconds_and_gone_when_they_leave(
    page: Page, new_context: NewContext, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    item = ItemFactory()
    colleague = new_context().new_page()
    log_in(colleague, UserFactory(role=Role.SUPERVISOR).email)
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/")
    colleague.goto(f"{live_server.url}/items/")

    page.get_by_role("button", name="Cancel item").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    there = colleague.locator(f"#item-{item.pk}").get_by_text("mira@desk.example is looking at this")
    expect(there).to_be_visible(timeout=10 * SECONDS)
    expect(colleague.get_by_role("button", name="Cancel item")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(there).to_be_hidden(timeout=10 * SECONDS)

    # The trade's page counts too; a browser that crashes says nothing more, and time forgets it.
    page.goto(f"{live_server.url}/trades/{item.trade_id}/")
    expect(there).to_be_visible(timeout=10 * SECONDS)
    Presence.objects.update(seen_at=ago(seconds=46))
    page.context.close()
    expect(there).to_be_hidden(timeout=10 * SECONDS)


def test_what_a_colleague_armed_is_seen_on_an_open_list_within_ten_seconds(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10)))
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/?tab=soon")
    row = page.locator(f"#item-{item.pk}")
    expect(row).to_have_attribute("data-cancellation-state", "")

    CancellationFactory(
        item=item,
        state=CancellationState.SCHEDULED,
        armed_status="pending",
        requested_by__email="olaf@desk.example",
        send_from=ago(minutes=10) + timedelta(minutes=30),
    )

    expect(row).to_contain_text("olaf@desk.example armed this", timeout=10 * SECONDS)
    expect(row.get_by_role("button", name="Cancel when allowed")).to_have_count(0)


def test_a_page_that_is_behind_is_refused_in_its_own_row_with_who_and_when(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    item = ItemFactory(trade=TradeFactory(opened_at=ago(minutes=10)))
    log_in(page, mira.email)
    # A tab that nothing reaches any more, until the agent acts in it.
    page.route(
        "**/items/*", lambda each: each.fulfill(status=304) if "x-live" in each.request.headers else each.continue_()
    )
    page.goto(f"{live_server.url}/items/?tab=soon")
    row = page.locator(f"#item-{item.pk}")
    row.get_by_role("button", name="Cancel when allowed").click()
    CancellationFactory(item=item, state=CancellationState.SCHEDULED, requested_by__email="olaf@desk.example")
    act(page)

    expect(row.get_by_role("alert")).to_contain_text("olaf@desk.example")
    expect(row.get_by_role("alert")).to_contain_text("UTC")
    expect(row).to_have_attribute("data-cancellation-state", "scheduled")
    expect(page.locator("#dialog-slot dialog, dialog[open]")).to_have_count(0)
    assert Cancellation.objects.count() == 1


def test_going_back_and_sending_the_form_again_asks_once(
    new_context: NewContext, live_server: LiveServer, log_in: LogIn, mira: User
) -> None:
    ItemFactory()
    page = new_context(java_script_enabled=False).new_page()
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/")
    page.get_by_role("button", name="Cancel item").click()
    act(page)
    expect(page.locator(".toast")).to_contain_text("Asked for")

    page.go_back()
    act(page)

    expect(page.locator("main")).to_contain_text("mira@desk.example")
    assert Cancellation.objects.count() == 1


def test_a_batch_needs_no_scripts(new_context: NewContext, live_server: LiveServer, log_in: LogIn, mira: User) -> None:
    item = ItemFactory()
    ItemFactory()
    page = new_context(java_script_enabled=False).new_page()
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/")

    page.locator(f"#item-{item.pk}").get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel selected").click()
    page.get_by_label("Reason").select_option("Customer asked")
    page.get_by_role("button", name="Start: ask for 1").click()
    page.get_by_role("button", name="Undo").click()

    expect(page.locator("[data-tally=not_attempted]")).to_have_text("1")
    assert Cancellation.objects.get().item == item


def test_a_whole_trade_is_named_asked_for_and_taken_back(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str]
) -> None:
    trade = TradeFactory()
    names = ("AK-47 | Redline (Field-Tested)", "Glock-18 | Fade (Factory New)")
    items = [ItemFactory(trade=trade, market_hash_name=name, position=place) for place, name in enumerate(names)]
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/trades/{trade.pk}/")

    page.get_by_role("button", name="Cancel whole trade").click()
    dialog = page.get_by_role("dialog")
    for name in names:
        expect(dialog).to_contain_text(name)
    act(page)

    for item in items:
        expect(page.locator(f"#item-{item.pk}")).to_have_attribute("data-cancellation-state", "requested")
    expect(page.get_by_role("button", name="Cancel whole trade")).to_be_disabled()
    page.get_by_role("link", name="Follow it, or undo it").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-tally=not_attempted]")).to_have_text("2")
    assert not Cancellation.objects.open().exists()


@pytest.mark.parametrize("width", [390, 1440])
def test_no_toast_lies_over_undo(
    page: Page, live_server: LiveServer, log_in: LogIn, mira: User, complaints: list[str], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    items = [ItemFactory(trade=TradeFactory(opened_at=ago(hours=hours))) for hours in range(9, 1, -1)]
    log_in(page, mira.email)
    page.goto(f"{live_server.url}/items/")

    for item in (items[0], items[-1]):
        row = page.locator(f"#item-{item.pk}")
        row.get_by_role("button", name="Cancel item").click()
        act(page)
        undo = row.get_by_role("button", name="Undo")
        expect(page.locator(".toast").first).to_be_visible()
        expect(undo).to_be_focused()
        is_free = undo.evaluate(
            "(button) => { const box = button.getBoundingClientRect();"
            " return button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)); }"
        )
        assert is_free, f"the toast covers Undo at {width} px"
