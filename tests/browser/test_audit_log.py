"""The auditor at work: the question answered from one page, the log verified by its button, a view kept."""

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.axe import Axe
from tests.browser.conftest import LogIn
from tests.browser.scenery import Scenery
from tests.desk import person
from tests.factories import PASSWORD
from withdrawals.models import AuditEntry, Refund, Role


def test_f74_the_auditor_reads_who_cancelled_on_what_evidence_and_who_confirmed_the_money(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str]
) -> None:
    refund = Refund.objects.select_related("item__trade", "evidence_delivery").get(state="confirmed")
    auditor = person(Role.AUDITOR, "auditor@desk.example")
    auditor.set_password(PASSWORD)
    auditor.save(update_fields=["password"])
    log_in(page, auditor.email)

    page.goto(f"{live_server.url}/trades/{refund.item.trade_id}/")
    page.get_by_role("link", name="Who did what").click()

    answers = {name: page.locator(f"[data-answer={name}]") for name in ("who", "evidence", "money")}
    expect(answers["who"]).to_contain_text(f"{scenery.agent} asked on")
    expect(answers["evidence"]).to_contain_text(refund.evidence_sha256)
    expect(answers["evidence"]).to_contain_text(refund.evidence_delivery.delivery_id)
    expect(answers["money"]).to_contain_text(f"{scenery.supervisor} confirmed ${refund.net:.2f}")
    expect(answers["money"]).to_contain_text("payout-2026-11-0481")
    number = AuditEntry.objects.get(action="refund.confirmed").number
    answers["money"].get_by_role("link", name=str(number), exact=True).click()
    expect(page.locator(f"#audit-{number}")).to_contain_text("Refund confirmed")

    page.goto(f"{live_server.url}/audit/")
    page.get_by_role("button", name="Verify log").click()
    expect(page.locator("#audit-check")).to_contain_text("The log holds:")

    page.goto(f"{live_server.url}/audit/?action=refund.confirmed")
    page.get_by_text("Save this view").click()
    page.get_by_label("Name", exact=True).fill("Money out")
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_role("navigation", name="Saved views").get_by_role("link")).to_contain_text("Money out 1")
    assert complaints == []


def test_the_auditors_screens_shut_nobody_out(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str], axe: Axe
) -> None:
    refund = Refund.objects.select_related("item").get(state="confirmed")
    log_in(page, scenery.supervisor)
    found: list[str] = []
    trade, confirmer = refund.item.trade_id, refund.confirmed_by_id
    paths = ("/audit/?zone=Asia/Kolkata", f"/audit/trades/{trade}/", f"/audit/people/{confirmer}/")
    for path in paths:
        page.goto(live_server.url + path)
        found += axe.objections(page, path)

    assert found == [], "\n".join(found)
    assert complaints == []
