"""Refunds in a real browser: two people, a void approval, a correction, a waiver, an export and a case file."""

from decimal import Decimal
from pathlib import Path

from django.conf import LazySettings
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import PASSWORD, RefundFactory, UserFactory
from withdrawals.models import Item, RefundEntry, Role


def decide(page: Page, key: int, button: str, **fields: str) -> None:
    """Open a row's dialog, fill it in and send it."""
    page.locator(f"#refund-{key}").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    for name, value in fields.items():
        dialog.locator(f"[name={name}]").fill(value)
    dialog.locator("[type=submit]").last.click()
    expect(dialog).to_be_hidden()


def test_the_life_of_refunds(
    page: Page, browser: Browser, log_in: LogIn, live_server: LiveServer, complaints: list[str], tmp_path: Path
) -> None:
    agent, supervisor = UserFactory(), UserFactory(role=Role.SUPERVISOR)
    large, small = RefundFactory(item__price=Decimal("250.00")), RefundFactory()
    log_in(page, agent.email)
    second = browser.new_page()
    log_in(second, supervisor.email)

    # The first person asks, something changes, and the second one's approval is void.
    page.goto(f"{live_server.url}/refunds/")
    decide(page, large.pk, "Confirm refund", reference="payout-1")
    expect(page.locator(f"#refund-{large.pk}")).to_have_attribute("data-refund-state", "awaiting")
    second.goto(f"{live_server.url}/refunds/?state=awaiting")
    Item.objects.filter(pk=large.item_id).update(price=Decimal(200))
    decide(second, large.pk, "Approve refund")
    expect(second.locator(f"#refund-{large.pk}")).to_contain_text("price latest was 250.0000, is 200.0000")
    assert not RefundEntry.objects.exists()

    # Once more, and nothing changes.
    page.goto(f"{live_server.url}/refunds/")
    decide(page, large.pk, "Confirm refund", reference="payout-1")
    second.goto(f"{live_server.url}/refunds/?state=awaiting")
    second.locator(f"#refund-{large.pk}").get_by_role("button", name="Approve refund").click()
    expect(second.get_by_role("dialog")).to_contain_text("payout-1")
    expect(second.get_by_role("dialog")).to_contain_text(agent.email)
    second.get_by_role("dialog").locator("[type=submit]").last.click()
    expect(second.locator(f"#refund-{large.pk}")).to_have_attribute("data-refund-state", "confirmed")

    # It was a mistake: compensated, owed again, and paid again.
    decide(second, large.pk, "Compensate", reason="paid the wrong customer")
    expect(second.locator(f"#refund-{large.pk}")).to_have_attribute("data-refund-state", "due")

    # The small one is waived, with a reason.
    second.goto(f"{live_server.url}/refunds/")
    decide(second, small.pk, "Waive refund", reason="paid in the shop")
    expect(second.locator(f"#refund-{small.pk}")).to_have_attribute("data-refund-state", "waived")

    # Money, the export, the case file.
    second.goto(f"{live_server.url}/refunds/money/")
    expect(second.locator("[data-owed-total]")).to_have_text("$250.00")
    second.goto(f"{live_server.url}/refunds/?state=waived")
    with second.expect_download() as export:
        second.get_by_role("link", name="Export as CSV").click()
    assert "paid in the shop" in Path(export.value.path()).read_text()
    second.locator(f"#refund-{small.pk}").get_by_role("link", name="Case file").click()
    expect(second.get_by_role("heading", name="Documents")).to_be_visible()
    with second.expect_download() as case:
        second.get_by_role("link", name="Download as JSON").click()
    assert '"waived"' in Path(case.value.path()).read_text()
    second.close()


def test_what_was_typed_survives_a_proof_that_ran_out(
    page: Page, log_in: LogIn, live_server: LiveServer, complaints: list[str], settings: LazySettings
) -> None:
    refund, agent = RefundFactory(), UserFactory()
    log_in(page, agent.email)
    page.goto(f"{live_server.url}/refunds/")
    page.locator(f"#refund-{refund.pk}").get_by_role("button", name="Confirm refund").click()
    page.get_by_role("dialog").locator("[name=reference]").fill("payout-77")

    enough = settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    page.get_by_role("dialog").locator("[type=submit]").last.click()
    expect(page.locator("#toasts")).to_contain_text("Nothing has been done yet")
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = enough
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    # The dialog of a page of its own is a modal one, and stays.
    page.wait_for_url(f"**/refunds/{refund.pk}/confirm/**")
    page.wait_for_timeout(200)
    expect(page.get_by_role("dialog").locator("[name=reference]")).to_have_value("payout-77")
    assert page.locator("dialog:modal").count() == 1
    assert not RefundEntry.objects.exists()
    page.get_by_role("dialog").locator("[type=submit]").last.click()
    expect(page.locator(f"#refund-{refund.pk}")).to_have_attribute("data-refund-state", "confirmed")
    assert RefundEntry.objects.get().reference == "payout-77"
