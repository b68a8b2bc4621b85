"""The whole main job by keyboard and mouse: a real browser, a real worker, AssetPay's stand-in over HTTP."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import log_in_through_the_form
from tests.desk import person
from tests.stories.conftest import Stage
from tests.stories.conftest import stage as stage  # the fixture
from withdrawals.models import AuditEntry, Refund, RefundEntry, Role

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 1_000


@contextmanager
def worker(database_url: str, settings: Settings) -> Iterator[None]:
    """A worker as the Procfile starts it."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
        "DATABASE_URL": database_url,
        "ASSETPAY_BASE_URL": settings.ASSETPAY_BASE_URL,
        "ASSETPAY_MERCHANT_ID": settings.ASSETPAY_MERCHANT_ID,
        "ASSETPAY_API_KEY": settings.ASSETPAY_API_KEY,
        "ASSETPAY_API_SECRETS": ",".join(settings.ASSETPAY_API_SECRETS),
    }
    command = [sys.executable, "manage.py", "db_worker", "--no-reload", "--no-startup-delay", "--interval", "0.2"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=20)
    assert b"Traceback" not in complaints, complaints.decode()


@pytest.mark.main_job
def test_an_agent_does_the_main_job_and_an_auditor_finds_every_step(
    page: Page, stage: Stage, live_server: LiveServer, database_url: str, settings: Settings
) -> None:
    settings.CANCEL_WINDOW_SECONDS = 600
    settings.UNDO_SECONDS = 1
    stage.control.switch(cancel_window_seconds=600)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    email = person().email
    log_in_through_the_form(page, live_server, email)
    item = stage.withdrawal(
        age_seconds=592, supplier_delay_seconds=10, items=[{"name": "AK-47 | Redline (Field-Tested)", "price": "28.40"}]
    )

    # The countdown reaches zero and the row flips in place.
    page.get_by_role("link", name="Items").first.click()
    page.get_by_role("link", name=re.compile("^Soon")).click()
    row = page.locator(f"#item-{item.pk}")
    cancel = row.get_by_role("button", name="Cancel item")
    expect(row.locator("time[data-cancellable-from]")).to_be_visible()
    expect(cancel).to_be_disabled()
    expect(cancel).to_be_enabled(timeout=15 * SECONDS)

    with worker(database_url, settings):
        # By keyboard: open the dialog, say why, ask.
        cancel.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        dialog.locator("[name=reason]").select_option("Customer asked")
        dialog.locator("[name=note]").fill("chat 4711")
        submit = dialog.locator("[type=submit], button:not([type])").last
        submit.focus()
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()

        # AssetPay's yes arrives, then the signed callback; the row follows by itself.
        expect(row).to_have_attribute("data-cancellation-state", re.compile("requested|sending|accepted"))
        expect(row).to_have_attribute("data-cancellation-state", "accepted", timeout=20 * SECONDS)
        expect(row).to_have_attribute("data-cancellation-state", "confirmed", timeout=20 * SECONDS)
        expect(row).to_have_attribute("data-item-status", "reverted")

    # By mouse: confirm the refund with a reference.
    page.get_by_role("link", name="Refunds").first.click()
    refund = Refund.objects.get()
    row = page.locator(f"#refund-{refund.pk}")
    expect(row).to_contain_text("28.40")
    row.get_by_role("button", name="Confirm refund").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=reference]").fill("PAY-4711")
    dialog.locator("[type=submit], button:not([type])").last.click()
    expect(dialog).to_be_hidden()
    expect(row).to_have_attribute("data-refund-state", "confirmed")
    entry = RefundEntry.objects.get()
    assert (entry.reference, entry.actor.email) == ("PAY-4711", email)

    # Somebody who trusts nobody reads it all back.
    page.goto("about:blank")  # an answer under way would bring the old cookies back
    page.context.clear_cookies()
    log_in_through_the_form(page, live_server, person(Role.AUDITOR).email)
    page.goto(f"{live_server.url}/audit/?q={item.trade.assetpay_id}")
    log = page.locator("main")
    expect(log).to_contain_text(email)
    expect(log).to_contain_text("PAY-4711")
    shown = log.locator("[data-action]")
    actions = {shown.nth(index).get_attribute("data-action") for index in range(shown.count())}
    assert actions >= set(AuditEntry.objects.filter(item=item).values_list("action", flat=True))
    assert complaints == []
