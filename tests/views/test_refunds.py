"""What is owed, and confirming that it was paid back."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from tests.factories import PASSWORD, RefundFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import next_page, rows, text
from withdrawals.models import (
    AuditEntry,
    Item,
    Refund,
    RefundApproval,
    RefundCause,
    RefundEntry,
    RefundState,
    Role,
    Status,
)
from withdrawals.models.refund_rules import RULE_VERSION

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def refund() -> Refund:
    """One that is due."""
    return RefundFactory()


@pytest.fixture
def htmx(log_in: LogIn) -> Client:
    """An agent's browser that runs HTMX."""
    return log_in(htmx=True)


def form(refund: Refund, **fields: Any) -> dict[str, Any]:
    """What the dialog sends."""
    stands = Refund.objects.select_related("item").get(pk=refund.pk)
    return {"seen": stands.fingerprint(), "reference": "payout-77"} | fields


def test_what_is_due_comes_first_and_the_oldest_on_top(agent: Client) -> None:
    newer = RefundFactory(opened_at=ago(hours=1))
    older = RefundFactory(opened_at=ago(hours=2))
    RefundFactory(state=RefundState.CONFIRMED)

    assert rows(agent.get("/refunds/")) == [f"refund-{older.pk}", f"refund-{newer.pk}"]


@pytest.mark.parametrize("state", RefundState)
def test_a_tab_holds_one_state_and_counts_it(agent: Client, state: RefundState) -> None:
    ours = {each: RefundFactory(state=each) for each in RefundState}

    response = agent.get("/refunds/", {"state": state.value})

    assert rows(response) == [f"refund-{ours[state].pk}"]
    assert dict(response.context["tabs"])[state] == 1


def test_what_is_owed_adds_up_exactly(agent: Client) -> None:
    for price in ("0.10", "0.20", "1234.5678"):
        RefundFactory(item__price=Decimal(price))
    RefundFactory(state=RefundState.IN_REVIEW, item__price=Decimal("9.99"))

    body = text(agent.get("/refunds/"))

    assert "<strong data-owed-now>$1,234.8678</strong>" in body
    assert "$9.99 more in review" in body


def test_pages_show_every_refund_exactly_once(agent: Client) -> None:
    moment = ago(hours=1)
    refunds = [RefundFactory(opened_at=moment) for _ in range(60)]

    seen: list[str] = []
    query = "?state=due"
    while query:
        response = agent.get(f"/refunds/{query}")
        seen += rows(response)
        query = next_page(response)

    assert sorted(seen) == sorted(f"refund-{refund.pk}" for refund in refunds)


def test_an_id_finds_a_refund_whatever_its_state(agent: Client) -> None:
    confirmed = RefundFactory(state=RefundState.CONFIRMED)

    assert rows(agent.get("/refunds/", {"q": confirmed.item.assetpay_id})) == [f"refund-{confirmed.pk}"]


@pytest.mark.parametrize("query", [{"state": "paid"}, {"cursor": "x"}])
def test_a_bad_address_is_said_and_what_is_due_is_shown(agent: Client, refund: Refund, query: dict[str, str]) -> None:
    response = agent.get("/refunds/", query)

    assert response.status_code == 400
    assert 'role="alert"' in text(response)
    assert rows(response) == [f"refund-{refund.pk}"]


def test_the_dialog_shows_what_is_decided(htmx: Client, refund: Refund) -> None:
    body = text(htmx.get(f"/refunds/{refund.pk}/confirm/"))

    assert body.strip().startswith("<dialog")
    assert "$12.34" in body
    assert refund.item.title in body
    assert refund.item.trade.client_steam_id in body
    assert refund.evidence_sha256[:12] in body
    assert f"rule version {RULE_VERSION}" in body
    assert f'name="seen" value="{refund.fingerprint()}"' in body
    assert 'name="reference"' in body


def test_confirming_records_who_how_much_and_the_reference(htmx: Client, refund: Refund) -> None:
    response = htmx.post(f"/refunds/{refund.pk}/confirm/", form(refund, reference="  payout-77 "))

    refund.refresh_from_db()
    assert response.status_code == 200
    assert text(response).strip().startswith(f'<tr id="refund-{refund.pk}" data-refund-state="confirmed"')
    assert (refund.state, refund.net, refund.reference) == (RefundState.CONFIRMED, Decimal("12.34"), "payout-77")
    assert AuditEntry.objects.get(action="refund.confirmed").actor == refund.confirmed_by


def test_without_scripts_confirming_leads_back(agent: Client, refund: Refund) -> None:
    page = agent.get(f"/refunds/{refund.pk}/confirm/")
    response = agent.post(f"/refunds/{refund.pk}/confirm/", form(refund, next="/refunds/?state=due"))

    assert 'aria-labelledby="refund-title" open>' in text(page)
    assert (response.status_code, response["Location"]) == (303, "/refunds/?state=due")


def test_a_second_confirmation_says_who_was_first(htmx: Client, refund: Refund) -> None:
    sent = form(refund)
    htmx.post(f"/refunds/{refund.pk}/confirm/", sent)

    response = htmx.post(f"/refunds/{refund.pk}/confirm/", sent)

    assert response.status_code == 409
    assert "Already confirmed by" in text(response)
    assert "payout-77" in text(response)


def test_a_refund_that_changed_after_the_page_was_loaded_is_refused(agent: Client, refund: Refund) -> None:
    sent = form(refund)
    Item.objects.filter(pk=refund.item_id).update(status=Status.FAILED)

    response = agent.post(f"/refunds/{refund.pk}/confirm/", sent)

    refund.refresh_from_db()
    assert response.status_code == 409
    assert "changed after your page was loaded" in text(response)
    assert f'<tr id="refund-{refund.pk}"' in text(response)
    assert refund.state == RefundState.DUE


@pytest.mark.parametrize("wrong", [{"reference": ""}, {"reference": "   "}, {"reference": "x" * 201}, {"seen": ""}])
def test_what_was_typed_wrong_comes_back_into_the_dialog(htmx: Client, refund: Refund, wrong: dict[str, str]) -> None:
    response = htmx.post(f"/refunds/{refund.pk}/confirm/", form(refund) | wrong)

    assert response.status_code == 422
    assert response["HX-Retarget"] == "#dialog-slot"
    assert 'class="error"' in text(response)


def approve_form(refund: Refund, **fields: Any) -> dict[str, Any]:
    """What the approval's dialog sends."""
    return {"seen": RefundApproval.objects.get(refund=refund, state="open").seal} | fields


def test_a_large_refund_takes_two_people(agent: Client, supervisor: Client) -> None:
    large = RefundFactory(item__price=Decimal("100.01"))

    page = text(agent.get("/refunds/"))
    asked = agent.post(f"/refunds/{large.pk}/confirm/", form(large))
    waiting = text(supervisor.get("/refunds/?state=awaiting"))
    shown = text(supervisor.get(f"/refunds/{large.pk}/approve/"))
    approved = supervisor.post(f"/refunds/{large.pk}/approve/", approve_form(large))

    assert "Takes two people" in page
    assert (asked.status_code, approved.status_code) == (303, 303)
    assert f'id="approve-{large.pk}"' in waiting
    assert "payout-77" in shown
    assert "<dt>Amount</dt><dd><bdi>$100.01</bdi>" in shown
    assert "<dt>The rules say</dt><dd><bdi>Due</bdi>" in shown
    assert "Kept by AssetPay" not in shown
    entry = RefundEntry.objects.get()
    assert (entry.amount, entry.reference) == (Decimal("100.01"), "payout-77")
    assert entry.approved_by not in (None, entry.actor)


def test_an_agent_sees_that_a_supervisor_approves(agent: Client) -> None:
    large = RefundFactory(item__price=Decimal("100.01"))
    agent.post(f"/refunds/{large.pk}/confirm/", form(large))

    page = text(agent.get("/refunds/?state=awaiting"))

    assert f'id="approve-{large.pk}" data-size="sm" disabled' in page
    assert "another person approves" in page


def test_a_void_approval_says_what_changed(agent: Client, supervisor: Client) -> None:
    large = RefundFactory(item__price=Decimal("100.01"))
    agent.post(f"/refunds/{large.pk}/confirm/", form(large))
    sent = approve_form(large)
    Item.objects.filter(pk=large.item_id).update(price=Decimal(90))

    response = supervisor.post(f"/refunds/{large.pk}/approve/", sent)

    large.refresh_from_db()
    assert response.status_code == 409
    assert "price latest was 100.0100, is 90.0000" in text(response)
    assert (large.state, RefundApproval.objects.get().state) == (RefundState.DUE, "void")
    assert not RefundEntry.objects.exists()


def test_a_supervisor_sends_it_back_with_a_reason(agent: Client, supervisor: Client) -> None:
    large = RefundFactory(item__price=Decimal("100.01"))
    agent.post(f"/refunds/{large.pk}/confirm/", form(large))

    nothing_said = supervisor.post(f"/refunds/{large.pk}/send-back/", approve_form(large, reason=""))
    response = supervisor.post(f"/refunds/{large.pk}/send-back/", approve_form(large, reason="which payout?"))

    large.refresh_from_db()
    assert (nothing_said.status_code, response.status_code, large.state) == (422, 303, RefundState.DUE)


def test_a_mistaken_confirmation_is_compensated_and_paid_again(agent: Client, supervisor: Client) -> None:
    refund = RefundFactory()
    agent.post(f"/refunds/{refund.pk}/confirm/", form(refund))

    response = supervisor.post(f"/refunds/{refund.pk}/compensate/", form(refund, reason="paid the wrong customer"))
    refund.refresh_from_db()
    state = refund.state
    again = agent.post(f"/refunds/{refund.pk}/confirm/", form(refund, reference="payout-78"))

    refund.refresh_from_db()
    assert (response.status_code, again.status_code, state) == (303, 303, RefundState.DUE)
    kinds = list(RefundEntry.objects.order_by("number").values_list("number", "kind"))
    assert kinds == [(1, "confirmation"), (2, "compensation"), (3, "confirmation")]
    assert (refund.state, refund.net, refund.reference) == (RefundState.CONFIRMED, Decimal("12.34"), "payout-78")


def test_waiving_and_reopening_are_a_supervisors_with_a_reason(agent: Client, supervisor: Client) -> None:
    refund = RefundFactory()

    refused = agent.post(f"/refunds/{refund.pk}/waive/", form(refund, reason="x"))
    waived = supervisor.post(f"/refunds/{refund.pk}/waive/", form(refund, reason="paid in the shop"))
    page = text(agent.get("/refunds/?state=waived"))
    reopened = supervisor.post(f"/refunds/{refund.pk}/reopen/", form(refund, reason="it was not"))

    refund.refresh_from_db()
    assert (refused.status_code, waived.status_code, reopened.status_code) == (403, 303, 303)
    assert "paid in the shop" in page
    assert refund.state == RefundState.DUE


def test_a_reference_that_was_used_before_is_warned_about_before_and_after(agent: Client) -> None:
    first, second = RefundFactory(), RefundFactory()
    agent.post(f"/refunds/{first.pk}/confirm/", form(first, reference="Payout 77"))

    before = text(agent.get(f"/refunds/{second.pk}/reference/", {"reference": "payout77 "}))
    fresh = text(agent.get(f"/refunds/{second.pk}/reference/", {"reference": "payout-78"}))
    after = agent.post(f"/refunds/{second.pk}/confirm/", form(second, reference="payout77"), follow=True)
    rows_then = text(agent.get("/refunds/?state=confirmed"))

    assert "used before" in before
    assert fresh.strip() == ""
    assert "was used before" in text(after)
    assert rows_then.count("This reference was used for another refund too") == 2


def test_prices_that_differ_stand_side_by_side_with_why(agent: Client) -> None:
    RefundFactory(item__price=Decimal("12.34"), item__first_price=Decimal("10.00"))

    page = text(agent.get("/refunds/"))

    assert "<strong>$10.00</strong>" in page
    assert "first seen $10.00" in page
    assert "latest $12.34" in page
    assert "the customer was charged the price first seen" in page


def test_the_rules_are_shown_with_every_version(agent: Client) -> None:
    page = text(agent.get("/refunds/rules/"))

    assert 'id="version-1"' in page
    assert f'id="version-{RULE_VERSION}"' in page
    assert "2 % of the price, at most $9" in page


def test_a_refund_in_review_is_a_supervisors(agent: Client, supervisor: Client) -> None:
    doubtful = RefundFactory(
        item__status=Status.DECLINED, state=RefundState.IN_REVIEW, cause=RefundCause.DECLINED, loss=Decimal("0.2468")
    )

    page = text(agent.get("/refunds/?state=in_review"))
    assert "In review: a supervisor decides." in page
    assert "AssetPay keeps $0.2468" in page
    assert agent.post(f"/refunds/{doubtful.pk}/confirm/", form(doubtful)).status_code == 409
    assert supervisor.post(f"/refunds/{doubtful.pk}/confirm/", form(doubtful)).status_code == 303


def test_a_supervisor_sets_an_amount_where_none_is_known_and_two_people_confirm_it(supervisor: Client) -> None:
    unpriced = RefundFactory(
        item__status=Status.REVERTED,
        item__price=None,
        item__trade__total_price=None,
        state=RefundState.IN_REVIEW,
        cause=RefundCause.PRICE_UNKNOWN,
    )

    supervisor.post(f"/refunds/{unpriced.pk}/amount/", form(unpriced, amount="5.00", reason="the shop's receipt"))
    supervisor.post(f"/refunds/{unpriced.pk}/confirm/", form(unpriced))

    unpriced.refresh_from_db()
    assert (unpriced.amount, unpriced.state) == (Decimal(5), RefundState.AWAITING)


def test_without_a_price_there_is_nothing_to_confirm(supervisor: Client) -> None:
    unpriced = RefundFactory(
        item__status=Status.REVERTED,
        item__price=None,
        state=RefundState.IN_REVIEW,
        cause=RefundCause.PRICE_UNKNOWN,
    )

    assert "no amount to confirm" in text(supervisor.get("/refunds/?state=in_review"))
    assert supervisor.post(f"/refunds/{unpriced.pk}/confirm/", form(unpriced)).status_code == 409


@pytest.mark.parametrize("many", [1, 30])
def test_the_list_costs_the_same_however_long(agent: Client, many: int, django_assert_max_num_queries: Any) -> None:
    RefundFactory.create_batch(many)

    with django_assert_max_num_queries(QUERIES_OF_THE_LIST):
        agent.get("/refunds/")


QUERIES_OF_THE_LIST = 9


# --- A fresh proof of who somebody is ----------------------------------------------------------------------


@pytest.mark.parametrize("is_htmx", [False, True])
@pytest.mark.parametrize(
    ("act", "typed"),
    [
        ("confirm", {"reference": "payout-77"}),
        ("compensate", {"reason": "paid the wrong customer"}),
        ("amount", {"amount": "5.00", "reason": "the shop's receipt"}),
        ("approve", {}),
    ],
)
def test_without_a_fresh_proof_nothing_is_done_and_what_was_typed_comes_back_once(
    log_in: LogIn, is_htmx: bool, act: str, typed: dict[str, str]
) -> None:
    states = {"compensate": RefundState.CONFIRMED, "amount": RefundState.IN_REVIEW}
    refund = RefundFactory(state=states.get(act, RefundState.DUE))
    person, start = UserFactory(role=Role.SUPERVISOR), timezone.now()
    browser, path = log_in(person, htmx=is_htmx), f"/refunds/{refund.pk}/{act}/"

    with time_machine.travel(start + timedelta(minutes=6), tick=False):
        asked = browser.post(path, form(refund, next="/refunds/") | {"reference": "", **typed})
        place = asked["HX-Redirect"] if is_htmx else asked["Location"]
        shown = text(browser.get(place))
        proved = browser.post(place, {"password": PASSWORD})
        dialog = browser.get(proved["Location"])
        again = browser.get(proved["Location"])

    assert asked.status_code == (401 if is_htmx else 302)
    assert "Nothing has been done yet" in shown
    assert (RefundEntry.objects.count(), dialog.status_code) == (0, 200)
    assert {name: dialog.context["form"].initial[name] for name in typed} == typed
    assert not set(typed) & set(again.context["form"].initial)


@pytest.mark.parametrize(
    ("act", "state", "asks"),
    [
        ("confirm", RefundState.DUE, True),
        ("approve", RefundState.DUE, True),
        ("compensate", RefundState.CONFIRMED, True),
        ("amount", RefundState.IN_REVIEW, True),
        ("waive", RefundState.DUE, False),
        ("reopen", RefundState.WAIVED, False),
        ("send-back", RefundState.DUE, False),
    ],
)
def test_what_moves_money_asks_who_it_is_and_what_moves_none_does_not(
    log_in: LogIn, act: str, state: RefundState, asks: bool
) -> None:
    refund, start = RefundFactory(state=state), timezone.now()
    browser = log_in(Role.SUPERVISOR)

    with time_machine.travel(start + timedelta(minutes=6), tick=False):
        answers = [browser.get(f"/refunds/{refund.pk}/{act}/"), browser.post(f"/refunds/{refund.pk}/{act}/", {})]

    asked = [answer.get("Location", "").startswith("/accounts/reauthenticate/") for answer in answers]
    assert asked == [asks, asks]


def test_an_auditor_sees_that_the_button_is_not_theirs(log_in: LogIn, refund: Refund) -> None:
    assert "Your role may look, not confirm" in text(log_in(Role.AUDITOR).get("/refunds/"))
