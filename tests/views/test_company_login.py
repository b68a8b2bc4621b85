"""Log-in through the company's own provider, against one on loopback: real HTTP, real signatures."""

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount, SocialApp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from tests.company import CLIENT, SECRET, Company, new_key, running
from tests.factories import UserFactory
from withdrawals.actions.audit import Origin
from withdrawals.actions.people import reset_factor
from withdrawals.models import AuditEntry, Role, Source, User
from withdrawals.models.refund_approval import is_same_person

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

START = "/accounts/oidc/company/login/"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return new_key()


@pytest.fixture
def company(key: RSAPrivateKey, settings: LazySettings) -> Iterator[Company]:
    """The provider, and a desk that knows it."""
    with running(key) as found:
        providers = copy.deepcopy(settings.SOCIALACCOUNT_PROVIDERS)
        providers["openid_connect"]["APPS"] = [
            {
                "provider_id": settings.OIDC_PROVIDER_ID,
                "name": "Example Ltd",
                "client_id": CLIENT,
                "secret": SECRET,
                "settings": {"server_url": found.address},
            }
        ]
        settings.SOCIALACCOUNT_PROVIDERS = providers
        settings.OIDC_ISSUER = found.address
        settings.OIDC_NAME = "Example Ltd"
        found.person = {"sub": "subject-1", "email": "ann@desk.example", "email_verified": True}
        yield found


@pytest.fixture
def ann() -> User:
    return UserFactory(email="ann@desk.example", role=Role.SUPERVISOR)


def there(browser: Client, **form: str) -> str:
    """Press the button; where it leads."""
    answer = browser.post(START, form)
    assert answer.status_code == 302, answer.content.decode()
    return str(answer["Location"])


def come_back(browser: Client, address: str) -> HttpResponse:
    """Log in at the provider, and return with what it says."""
    back = httpx.get(address, follow_redirects=False, trust_env=False)
    place = urlsplit(back.headers["Location"])
    return browser.get(f"{place.path}?{place.query}")


def enter(browser: Client | None = None, **form: str) -> tuple[Client, HttpResponse]:
    """All the way; the browser and what it was answered."""
    browser = browser or Client()
    return browser, come_back(browser, there(browser, **form))


def is_in(browser: Client) -> bool:
    return browser.get("/items/").status_code == 200


def assert_refused(browser: Client, answer: HttpResponse) -> None:
    assert answer.status_code == 403
    assert "You were not let in" in answer.content.decode()
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()
    assert not AuditEntry.objects.filter(action="person.logged_in").exists()


def test_a_known_person_enters_and_the_log_tells(company: Company, ann: User) -> None:
    browser, answer = enter(next="/refunds/")

    assert answer["Location"] == "/refunds/"
    assert is_in(browser)
    assert list(AuditEntry.objects.order_by("number").values_list("action", "actor")) == [
        ("person.company_bound", ann.pk),
        ("person.logged_in", ann.pk),
    ]
    kept = SocialAccount.objects.get()
    assert (kept.user, kept.extra_data, len(kept.uid)) == (ann, {}, 64)


def test_the_second_time_nothing_is_bound_anew(company: Company, ann: User) -> None:
    enter()
    browser, _ = enter()

    assert is_in(browser)
    assert AuditEntry.objects.filter(action="person.company_bound").count() == 1


def test_what_the_provider_is_asked(company: Company, ann: User) -> None:
    address = there(Client())
    asked = parse_qs(urlsplit(address).query)

    assert address.startswith(f"{company.address}/authorization_endpoint?")
    assert sorted(asked["scope"][0].split()) == ["email", "openid"]
    assert asked["code_challenge_method"] == ["S256"]
    assert len(asked["nonce"][0]) > 40
    assert asked["redirect_uri"] == ["http://testserver/accounts/oidc/company/login/callback/"]
    assert SECRET not in address


def test_the_address_cannot_change_what_is_asked(company: Company, ann: User) -> None:
    answer = Client().post(f"{START}?scope=admin&auth_params=nonce%3Dmine&process=connect&next=//evil.example/")
    asked = parse_qs(urlsplit(answer["Location"]).query)

    assert sorted(asked["scope"][0].split()) == ["email", "openid"]
    assert asked["nonce"] != ["mine"]
    assert "evil" not in come_back_target(company, ann)


def come_back_target(company: Company, ann: User) -> str:
    return str(enter(next="//evil.example/")[1]["Location"])


UNWANTED: dict[str, dict[str, Any]] = {
    "an e-mail that nobody has": {"email": "bob@desk.example"},
    "an e-mail that looks alike": {"email": "\u212aann@desk.example"},
    "an e-mail with other letters for ours": {"email": "ann@de\u017fk.example"},
    "no e-mail": {"email": None},
    "an e-mail that is no text": {"email": ["ann@desk.example"]},
    "not verified": {"email_verified": False},
    "verified in words": {"email_verified": "true"},
    "nothing said of verified": {"email_verified": None},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "another client": {"aud": "somebody-else"},
    "two clients, issued to another": {"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"},
    "no client": {"aud": None},
    "another nonce": {"nonce": "of-another-try"},
    "no nonce": {"nonce": None},
    "a nonce that is no text": {"nonce": None, "iat": None},
    "run out": {"exp": 1_700_000_000},
    "without an end": {"exp": None},
    "from the future": {"iat": 4_000_000_000, "exp": 4_000_000_600},
    "no subject": {"sub": None},
}


@pytest.mark.parametrize("lies", UNWANTED.values(), ids=UNWANTED)
def test_whoever_is_not_known_or_not_vouched_for_is_refused(company: Company, ann: User, lies: dict[str, Any]) -> None:
    company.lies = lies

    assert_refused(*enter())
    company.lies = {}
    assert is_in(enter()[0])


def test_a_person_who_was_switched_off_is_refused(company: Company, ann: User) -> None:
    User.objects.filter(pk=ann.pk).update(is_active=False)

    assert_refused(*enter())


def test_a_person_who_was_switched_off_later_is_refused_too(company: Company, ann: User) -> None:
    enter()
    User.objects.filter(pk=ann.pk).update(is_active=False)

    browser, answer = enter()

    assert answer.status_code == 403
    assert not is_in(browser)


def test_another_key_of_the_same_name_signs_nothing(company: Company, ann: User) -> None:
    company.signed_with = new_key()

    assert_refused(*enter())


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_that_chooses_how_it_is_signed_is_refused(company: Company, ann: User, algorithm: str) -> None:
    # HS256 by what everybody can read, or by nothing at all.
    company.algorithm = algorithm
    company.signed_with = str(company.keys()["keys"][0]["n"]) if algorithm == "HS256" else None
    if algorithm == "none":
        company.id_token = lambda nonce: unsigned(company, nonce)  # type: ignore[method-assign] # one lie more

    assert_refused(*enter())


def unsigned(company: Company, nonce: str) -> str:
    claims = {"iss": company.address, "aud": CLIENT, "iat": 1, "exp": 4_000_000_000, "nonce": nonce, **company.person}
    return jwt.encode(claims, None, algorithm="none", headers={"kid": company.kid})


def test_without_an_id_token_nobody_enters(company: Company, ann: User) -> None:
    company.sends_no_id_token = True

    assert_refused(*enter())


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "https://evil.example/"},
    ],
)
def test_a_provider_that_speaks_for_another_is_refused(
    company: Company, ann: User, configuration: dict[str, Any]
) -> None:
    company.configuration = configuration

    answer = Client().post(START)

    assert answer.status_code == 403


def test_a_provider_that_is_not_there_is_no_fault_of_ours(company: Company, ann: User, settings: LazySettings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:9"

    assert Client().post(START).status_code == 403


def test_what_comes_back_counts_for_the_browser_that_left_and_once(company: Company, ann: User) -> None:
    thief, victim = Client(), Client()
    address = there(thief)
    back = urlsplit(httpx.get(address, trust_env=False).headers["Location"])

    assert_refused(victim, victim.get(f"{back.path}?{back.query}"))
    assert thief.get(f"{back.path}?{back.query}").status_code == 302
    assert Client().get(f"{back.path}?{back.query}").status_code == 403


def test_a_token_of_another_try_is_refused_by_its_nonce(company: Company, ann: User) -> None:
    """Somebody put their own code into my way back: the state is mine, the id token is of their try."""
    mine, theirs = Client(), Client()
    my_try, their_try = there(mine), there(theirs)
    code = company.code_for(
        {
            **{name: values[0] for name, values in parse_qs(urlsplit(my_try).query).items()},
            "nonce": parse_qs(urlsplit(their_try).query)["nonce"][0],
        }
    )
    state = parse_qs(urlsplit(my_try).query)["state"][0]

    assert_refused(mine, mine.get(f"{START}callback/", {"code": code, "state": state}))


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?code=x", "?state=x&code=x", "?error=x&state=x"])
def test_a_way_back_that_nobody_began_is_refused(company: Company, ann: User, query: str) -> None:
    browser = Client()

    assert_refused(browser, browser.get(f"{START}callback/{query}"))


def test_the_second_factor_is_still_asked_for(company: Company, ann: User, settings: LazySettings) -> None:
    settings.MFA_REQUIRED = True
    TOTP.activate(ann, generate_totp_secret())

    browser, answer = enter()

    assert answer["Location"].startswith("/accounts/2fa/authenticate/")
    assert not is_in(browser)
    assert not AuditEntry.objects.filter(action="person.logged_in").exists()


def test_without_a_factor_the_desk_asks_for_one_first(company: Company, ann: User, settings: LazySettings) -> None:
    settings.MFA_REQUIRED = True

    browser, _ = enter()

    assert browser.get("/items/")["Location"] == "/accounts/2fa/"


def test_one_subject_opens_one_account(company: Company, ann: User) -> None:
    """So two accounts can never be the two people of one refund by one log-in at the company."""
    enter()
    other = UserFactory(email="ann.other@desk.example", role=Role.SUPERVISOR)
    company.person["email"] = other.email

    browser, answer = enter()

    assert answer.status_code == 403
    assert not is_in(browser)
    assert list(SocialAccount.objects.values_list("user", flat=True)) == [ann.pk]
    assert not is_same_person(ann, other)


def test_one_account_is_opened_by_one_subject(company: Company, ann: User) -> None:
    """An e-mail that the company gave to somebody new is not the account of who had it before."""
    enter()
    company.person["sub"] = "subject-2"

    assert enter()[1].status_code == 403

    admin = UserFactory(role=Role.ADMIN)
    reset_factor(person_id=ann.pk, actor=admin, origin=Origin(Source.SCREEN, actor=admin), now=timezone.now())
    assert is_in(enter()[0])


def test_the_same_subject_of_another_issuer_is_somebody_else(
    company: Company, ann: User, key: RSAPrivateKey, settings: LazySettings
) -> None:
    enter()
    with running(key) as other:
        other.person = dict(company.person)
        settings.OIDC_ISSUER = other.address
        settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = other.address

        assert enter()[1].status_code == 403


def test_the_provider_is_asked_for_its_keys_once_and_anew_when_they_change(company: Company, ann: User) -> None:
    enter()
    enter()
    assert company.asked.count("/jwks_uri") == 1
    assert company.asked.count("/.well-known/openid-configuration") == 1

    company.key, company.kid = new_key(), "key-of-tomorrow"

    assert is_in(enter()[0])
    assert company.asked.count("/jwks_uri") == 2


def test_nothing_is_there_while_it_is_off(ann: User) -> None:
    browser = Client()

    assert START not in browser.get("/accounts/login/").content.decode()
    assert browser.post(START).status_code == 404
    assert browser.get(f"{START}callback/").status_code == 404


def test_the_button_stands_on_the_log_in_page(company: Company) -> None:
    page = Client().get("/accounts/login/?next=/refunds/").content.decode()

    assert "Log in with Example Ltd" in page
    assert page.count('name="next"') == 3, "by password, by passkey, by the company"
    assert SECRET not in page


def test_the_librarys_own_ways_in_are_closed(company: Company, ann: User) -> None:
    """They would take an id token without its nonce and signature, or open a page to sign up by."""
    SocialApp.objects.create(
        provider="openid_connect", provider_id="other", name="x", client_id=CLIENT, settings={"server_url": "x"}
    )
    for path in (
        "oidc/openid_connect/login/",
        "oidc/openid_connect/login/callback/",
        "oidc/other/login/",
        "oidc/other/login/callback/",
        "3rdparty/signup/",
        "3rdparty/",
        "social/signup/",
    ):
        inside = Client()
        inside.force_login(ann)
        for answer in (inside.get(f"/accounts/{path}"), inside.post(f"/accounts/{path}")):
            assert answer.status_code == 404, path
        assert Client().post(f"/accounts/{path}")["Location"].startswith("/accounts/login/")
