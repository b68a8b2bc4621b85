"""Who gets in, and what everybody else is told."""

from collections.abc import Callable

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings
from django.test import Client

from tests.factories import PASSWORD, CancellationFactory, DeliveryFactory, ItemFactory, RefundFactory, UserFactory, ago
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import Batch, Cancellation, Refund, RefundState, Role

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

Address = Callable[[], str]
READING = {
    "/": set(Role),
    "/search/": set(Role),
    "/now/": set(Role),
    "/items/": set(Role),
    "/items/{item}/row/": set(Role),
    "/trades/": set(Role),
    "/trades/{trade}/": set(Role),
    "/trades/{trade}/document/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/cancellations/": set(Role),
    "/refunds/": set(Role),
    "/deliveries/": set(Role),
    "/deliveries/{delivery}/": set(Role),
    "/deliveries/{delivery}/document/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/deliveries/{delivery}/replay/": {Role.SUPERVISOR, Role.ADMIN},
    "/deliveries/replay/": {Role.SUPERVISOR, Role.ADMIN},
    "/alarms/": set(Role),
    "/invariants/": set(Role),
    "/audit/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/audit/check/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/audit/items/{item}/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/audit/trades/{trade}/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/items/{item}/cancel/": {Role.AGENT, Role.SUPERVISOR},
    "/items/{item}/arm/": {Role.AGENT, Role.SUPERVISOR},
    "/trades/{trade}/cancel/": {Role.AGENT, Role.SUPERVISOR},
    "/cancellations/{cancellation}/settle/": {Role.SUPERVISOR},
    "/batches/": set(Role),
    "/batches/{batch}/": set(Role),
    "/sending/": set(Role),
    "/live/sending/": set(Role),
    "/refunds/{refund}/confirm/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/reference/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/send-back/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/approve/": {Role.SUPERVISOR},
    "/refunds/{refund}/compensate/": {Role.SUPERVISOR},
    "/refunds/{refund}/waive/": {Role.SUPERVISOR},
    "/refunds/{refund}/reopen/": {Role.SUPERVISOR},
    "/refunds/{refund}/amount/": {Role.SUPERVISOR},
    "/refunds/money/": set(Role),
    "/refunds/rules/": set(Role),
    "/items/{item}/customer-text/": set(Role),
    "/items/{item}/case/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/items/{item}/case.json": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/items/export.csv": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/trades/export.csv": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/cancellations/export.csv": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/refunds/export.csv": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/deliveries/export.csv": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
}
ACTING = {
    "/items/{item}/cancel/": {Role.AGENT, Role.SUPERVISOR},
    "/items/{item}/arm/": {Role.AGENT, Role.SUPERVISOR},
    "/cancellations/{cancellation}/undo/": {Role.AGENT, Role.SUPERVISOR},
    "/cancellations/{cancellation}/retry/": {Role.AGENT, Role.SUPERVISOR},
    "/cancellations/{cancellation}/settle/": {Role.SUPERVISOR},
    "/settlements/1/approve/": {Role.SUPERVISOR},
    "/batches/": {Role.AGENT, Role.SUPERVISOR},
    "/batches/{batch}/start/": {Role.AGENT, Role.SUPERVISOR},
    "/batches/{batch}/pause/": {Role.AGENT, Role.SUPERVISOR},
    "/batches/{batch}/resume/": {Role.AGENT, Role.SUPERVISOR},
    "/batches/{batch}/stop/": {Role.AGENT, Role.SUPERVISOR},
    "/batches/{batch}/undo/": {Role.AGENT, Role.SUPERVISOR},
    "/trades/{trade}/cancel/": {Role.AGENT, Role.SUPERVISOR},
    "/trades/{trade}/check/": {Role.AGENT, Role.SUPERVISOR},
    "/trades/{trade}/note/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/confirm/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/send-back/": {Role.AGENT, Role.SUPERVISOR},
    "/refunds/{refund}/approve/": {Role.SUPERVISOR},
    "/refunds/{refund}/compensate/": {Role.SUPERVISOR},
    "/refunds/{refund}/waive/": {Role.SUPERVISOR},
    "/refunds/{refund}/reopen/": {Role.SUPERVISOR},
    "/refunds/{refund}/amount/": {Role.SUPERVISOR},
    "/deliveries/{delivery}/replay/": {Role.SUPERVISOR, Role.ADMIN},
    "/deliveries/replay/": {Role.SUPERVISOR, Role.ADMIN},
    "/audit/verify/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
    "/audit/export/": {Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN},
}


@pytest.fixture
def addresses() -> dict[str, int]:
    """A key for each noun."""
    item = ItemFactory()
    return {
        "item": item.pk,
        "trade": item.trade_id,
        "cancellation": CancellationFactory().pk,
        "refund": RefundFactory().pk,
        "delivery": DeliveryFactory().pk,
        "batch": Batch.objects.create(requested_by=UserFactory(), created_at=ago(minutes=1), selection="by hand").pk,
    }


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("address", READING)
def test_a_role_sees_what_it_may_and_nothing_else(
    log_in: LogIn, addresses: dict[str, int], address: str, role: Role
) -> None:
    response = log_in(role).get(address.format(**addresses))

    assert response.status_code == (200 if role in READING[address] else 403)


@pytest.mark.parametrize(
    ("address", "role"),
    [(address, role) for address, allowed in ACTING.items() for role in Role if role not in allowed],
)
def test_a_role_that_may_not_act_changes_nothing(
    log_in: LogIn, addresses: dict[str, int], address: str, role: Role
) -> None:
    form = {"reason": "x", "reference": "x", "seen": Refund.objects.get().fingerprint()}

    response = log_in(role).post(address.format(**addresses), form)

    assert response.status_code == 403
    assert Cancellation.objects.get().state == "requested"
    assert Refund.objects.get().state == RefundState.DUE


@pytest.mark.parametrize("address", [*READING, *ACTING])
def test_nobody_gets_in_without_a_log_in(client: Client, addresses: dict[str, int], address: str) -> None:
    path = address.format(**addresses)

    for response in (client.get(path), client.post(path)):
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/?next=")


def test_somebody_without_a_role_is_told_whom_to_ask(log_in: LogIn) -> None:
    response = log_in(UserFactory(role=False)).get("/items/")

    assert response.status_code == 403
    assert "no role yet" in text(response)
    assert "Items</span>" not in text(response)


def test_the_refusal_names_who_can(log_in: LogIn) -> None:
    response = log_in(Role.AGENT).get("/audit/")

    assert "This is for supervisors, auditors and admins." in text(response)


def test_a_permission_taken_away_holds_from_the_next_request_on(log_in: LogIn) -> None:
    person = UserFactory()
    browser = log_in(person)
    person.groups.clear()

    assert browser.get("/items/").status_code == 403


def test_a_session_that_ended_behind_a_row_sends_the_whole_page_to_log_in(db: None) -> None:
    item = ItemFactory()
    browser = Client(headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/items/?tab=open"})

    response = browser.get(f"/items/{item.pk}/row/")

    assert response.status_code == 401
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fitems%2F%3Ftab%3Dopen"
    assert text(response) == ""


def test_a_page_on_another_site_is_no_place_to_come_back_to(db: None) -> None:
    browser = Client(headers={"HX-Request": "true", "HX-Current-URL": "https://evil.example/x"})

    assert browser.get("/items/")["HX-Redirect"] == "/accounts/login/?next=%2F"


def test_pages_are_not_kept_by_a_cache(log_in: LogIn) -> None:
    assert "no-store" in log_in(Role.AGENT).get("/items/")["Cache-Control"]


def test_log_in_is_one_page_with_labels_and_leads_to_the_overview(client: Client) -> None:
    person = UserFactory()

    page = text(client.get("/accounts/login/"))
    response = client.post("/accounts/login/", {"login": person.email, "password": "withdraw-skins-1"})

    assert '<label for="id_login">E-mail</label>' in page
    assert '<label for="id_password">Password</label>' in page
    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_wrong_password_is_said_beside_the_form(client: Client) -> None:
    response = client.post("/accounts/login/", {"login": UserFactory().email, "password": "wrong"})

    assert 'class="error" role="alert"' in text(response)


def test_nobody_signs_up(client: Client) -> None:
    response = client.post("/accounts/signup/", {"email": "x@desk.example", "password1": "withdraw-skins-1"})

    assert response.status_code in (200, 302, 403, 404)
    assert not type(UserFactory.build()).objects.filter(email="x@desk.example").exists()


@pytest.mark.parametrize(
    "address",
    ["logout/", "password/change/", "2fa/", "2fa/totp/activate/", "reauthenticate/", "inactive/"],
)
def test_account_pages_render_in_the_desks_dress(log_in: LogIn, address: str) -> None:
    response = log_in(Role.AGENT).get(f"/accounts/{address}", follow=True)

    assert response.status_code == 200
    assert "vendor/basecoat/basecoat.css" in text(response)
    assert "data:image" not in text(response)
    assert "style=" not in text(response)


def test_the_desk_stays_shut_until_a_second_factor_is_set_up(log_in: LogIn, settings: LazySettings) -> None:
    settings.MFA_REQUIRED = True
    browser = log_in(Role.AGENT)

    response = browser.get("/items/", follow=True)

    assert response.redirect_chain == [("/accounts/2fa/", 302)]
    assert "opens once a second factor is set up" in text(response)
    assert 'class="rail"' not in text(response)


@pytest.mark.parametrize("address", ["/accounts/email/", "/accounts/password/reset/"])
def test_what_the_log_in_library_offers_beyond_this_desk_is_not_found(log_in: LogIn, address: str) -> None:
    person = UserFactory()
    form = {"email": "boss@desk.example", "action_add": "", "action_primary": ""}

    assert log_in(person).post(address, form).status_code == 404

    person.refresh_from_db()
    assert person.email != "boss@desk.example"


def test_a_session_opened_by_a_password_alone_stays_shut_out_when_its_owner_sets_up_a_factor(
    settings: LazySettings,
) -> None:
    settings.MFA_REQUIRED = True
    person = UserFactory()
    thief = Client()
    thief.post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    TOTP.activate(person, generate_totp_secret())

    answer = thief.get("/items/")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/reauthenticate/")


def test_a_path_that_only_looks_like_log_in_opens_nothing(log_in: LogIn, settings: LazySettings) -> None:
    settings.MFA_REQUIRED = True

    answer = log_in(Role.AGENT).get("/items/", SCRIPT_NAME="/accounts")

    assert answer.status_code == 302


def test_guesses_share_one_counter_however_the_address_is_spelt(settings: LazySettings) -> None:
    person = UserFactory(email="victim@desk.example")
    spellings = ["victim@desk.example", "VICTIM@desk.example", " victim@desk.example "]
    answers = [
        Client().post(
            "/accounts/login/",
            {"login": spellings[number % 3], "password": "wrong-password"},
            headers={"host": f"localhost:{1_000 + number}"},
            REMOTE_ADDR=f"203.0.113.{number}",
        )
        for number in range(12)
    ]

    last = Client().post("/accounts/login/", {"login": person.email, "password": PASSWORD})

    assert "Too many failed login attempts" in text(answers[-1])
    assert "Too many failed login attempts" in text(last)
