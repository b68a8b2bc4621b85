"""Setting up a second factor, and using it, in a browser that forbids inline scripts, styles and data addresses."""

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.test import override_settings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.factories import PASSWORD, UserFactory


@override_settings(MFA_REQUIRED=True)
def test_an_authenticator_app_is_set_up_under_the_strict_policy(
    page: Page, live_server: LiveServer, transactional_db: None, complaints: list[str]
) -> None:
    person = UserFactory()
    page.goto(f"{live_server.url}/items/")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Set up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator(".qr svg path")).to_be_visible()

    secret = page.locator("code.hash").inner_text()
    counter = next(iter(yield_hotp_counters_from_time()))
    page.locator("[name=code]").fill(format_hotp_value(hotp_value(secret, counter)))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()
    page.goto(f"{live_server.url}/items/")

    expect(page.get_by_role("heading", name="Items")).to_be_visible()


def test_a_passkey_is_added_and_opens_the_desk(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    keys = page.context.new_cdp_session(page)
    keys.send("WebAuthn.enable")
    abilities = {"hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    options = {"protocol": "ctap2", "transport": "internal", "automaticPresenceSimulation": True, **abilities}
    keys.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    log_in(page, UserFactory().email)

    page.goto(f"{live_server.url}/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()
    page.goto(f"{live_server.url}/accounts/2fa/webauthn/")
    expect(page.get_by_text("Passkey")).to_be_visible()
    page.goto(f"{live_server.url}/")
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{live_server.url}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()

    expect(page.get_by_role("heading", name="What needs a person now")).to_be_visible()
