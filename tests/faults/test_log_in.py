"""F62 to F64: guessing at log-in, in several spellings and processes, and a second factor used twice."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
import time_machine
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import LazySettings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tests.factories import PASSWORD, UserFactory
from tests.faults.door import runs
from tests.faults.test_load import Desk
from withdrawals.accounts import plain_spelling

LOGIN = "/accounts/login/"
TOO_MANY = "Too many failed login attempts"
SPELLINGS = [
    "victim@desk.example",
    "VICTIM@desk.example",
    " victim@Desk.Example ",
    "\uff56\uff49\uff43\uff54\uff49\uff4d@desk.example",  # full width
    "víctim@desk.example",
    "vi\u0301ctim@desk.example",
    "vict\u200bim@desk.example",
    "victim@desk.exampl\u0435"[:-1] + "e",
]


def guess(browser: Client, email: str, *, source: int = 1) -> str:
    """One wrong password from one address; what the page says."""
    answer = browser.post(
        LOGIN,
        {"login": email, "password": "not-the-password"},
        REMOTE_ADDR=f"10.{source // 65536}.{source // 256 % 256}.{source % 256}",
    )
    return answer.content.decode()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_f62_every_spelling_is_one_account(spelling: str) -> None:
    assert plain_spelling(spelling) == "victim@desk.example"


@pytest.mark.django_db
@pytest.mark.parametrize("guesses", runs(240, 10_000))
def test_f62_no_account_is_guessed_at_more_than_sixty_times_an_hour(guesses: int) -> None:
    UserFactory(email="victim@desk.example")
    start, browser, let_through = timezone.now(), Client(), 0

    for number in range(guesses):
        with time_machine.travel(start + timedelta(seconds=3600 * number / guesses), tick=False):
            let_through += TOO_MANY not in guess(browser, SPELLINGS[number % 3], source=number)

    assert 5 <= let_through <= 60


@pytest.mark.django_db
def test_f62_after_a_burst_the_account_is_closed_for_every_spelling_and_the_right_password_too() -> None:
    person = UserFactory(email="victim@desk.example")
    browser = Client()
    for number in range(6):
        guess(browser, SPELLINGS[number % 3], source=number)

    answer = browser.post(LOGIN, {"login": person.email, "password": PASSWORD}, REMOTE_ADDR="10.9.9.9")

    assert TOO_MANY in answer.content.decode()


@pytest.mark.django_db
def test_f62_guesses_at_log_in_at_a_fresh_proof_and_at_a_new_password_share_one_counter() -> None:
    person = UserFactory()
    browser = Client()
    browser.force_login(person)
    form = {"oldpassword": "wrong-one", "password1": "another-skin-22", "password2": "another-skin-22"}

    for number in range(2):
        browser.post("/accounts/reauthenticate/", {"password": "wrong-one"}, REMOTE_ADDR=f"10.1.0.{number}")
        browser.post("/accounts/password/change/", form, REMOTE_ADDR=f"10.2.0.{number}")
    guess(Client(), person.email)

    assert TOO_MANY in guess(Client(), person.email, source=2)
    assert person.check_password(PASSWORD)


@pytest.mark.django_db
def test_f62_a_spray_of_names_does_not_make_the_counter_forget() -> None:
    UserFactory(email="victim@desk.example")
    for number in range(6):
        guess(Client(), "victim@desk.example", source=number)

    for number in range(400):
        cache.set(f"somebody-else-{number}", [1.0], 3600)

    assert TOO_MANY in guess(Client(), "victim@desk.example", source=99)


@pytest.mark.django_db
def test_f62_the_control_a_cache_of_djangos_own_size_forgets(settings: LazySettings) -> None:
    backend = settings.CACHES["default"] | {"OPTIONS": {"MAX_ENTRIES": 300}}
    settings.CACHES = {"default": backend}
    UserFactory(email="victim@desk.example")
    for number in range(6):
        guess(Client(), "victim@desk.example", source=number)

    for number in range(400):
        cache.set(f"somebody-else-{number}", [1.0], 3600)

    assert TOO_MANY not in guess(Client(), "victim@desk.example", source=99)


@pytest.mark.django_db
def test_f63_a_forwarded_address_that_no_proxy_vouches_for_changes_nothing() -> None:
    said = [
        Client().post(
            LOGIN,
            {"login": f"nobody-{number}@desk.example", "password": "wrong"},
            headers={"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"},
        )
        for number in range(25)
    ]

    assert TOO_MANY not in said[10].content.decode()
    assert TOO_MANY in said[-1].content.decode()


class CountingHasher(MD5PasswordHasher):
    """The tests' hasher; `runs` counts how often it had to work."""

    algorithm = "counting"
    runs = 0

    def encode(self, password: str, salt: str) -> str:
        """One piece of work."""
        type(self).runs += 1
        return super().encode(password, salt)


@pytest.mark.django_db
def test_f62_known_and_unknown_accounts_cost_the_same_work_and_get_the_same_words(settings: LazySettings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    known, closed, invited = UserFactory(), UserFactory(is_active=False), UserFactory()
    invited.set_unusable_password()
    invited.save()
    seen = {}

    for source, email in enumerate([known.email, closed.email, invited.email, "nobody@desk.example"]):
        CountingHasher.runs = 0
        page = guess(Client(), email, source=source)
        words = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|data-server-now="[^"]+"', "", page.replace(email, ""))
        seen[email] = (CountingHasher.runs, words)

    assert len(set(seen.values())) == 1, {email: work for email, (work, _) in seen.items()}
    assert seen[known.email][0] == 1


@pytest.fixture
def told_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that is started next believes its one proxy about addresses, and looks at a password quickly."""
    monkeypatch.setenv("TRUSTED_PROXY_COUNT", "1")
    monkeypatch.setenv("DESK_SETTINGS", "tests.faults.quick_passwords")


def posted(browser: httpx.Client, path: str, **form: str) -> httpx.Response:
    """Fill in the form at `path`."""
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', browser.get(path).text)
    assert token is not None
    return browser.post(path, data={"csrfmiddlewaretoken": token[1], **form})


def browser_of(desk: Desk, number: int) -> httpx.Client:
    """Somebody at an address of their own, as the proxy says."""
    headers = {"X-Forwarded-For": f"203.0.113.{number}"}
    return httpx.Client(base_url=desk.url, headers=headers, trust_env=False, timeout=60, follow_redirects=True)


def at_once[Outcome](many: int, act: Callable[[int], Outcome]) -> list[Outcome]:
    """All at one instant, each in a thread of its own."""
    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(act, range(many)))


def test_f62_two_processes_share_one_counter(told_server: None, desk: Desk, transactional_db: None) -> None:
    person = UserFactory()
    browsers = [browser_of(desk, number) for number in range(16)]

    def try_it(number: int) -> bool:
        return TOO_MANY not in posted(browsers[number], LOGIN, login=person.email, password="wrong-one").text

    let_through = sum(at_once(len(browsers), try_it))

    for browser in browsers:
        browser.close()
    assert let_through <= 5


@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_f64_a_code_opens_one_session_in_two_processes(
    told_server: None, desk: Desk, transactional_db: None, kind: str
) -> None:
    person, secret = UserFactory(), generate_totp_secret()
    TOTP.activate(person, secret)
    codes = RecoveryCodes.activate(person).generate_codes()
    browsers = [browser_of(desk, number) for number in range(4)]
    for browser in browsers:
        posted(browser, LOGIN, login=person.email, password=PASSWORD)
    code = (
        codes[0] if kind == "recovery" else format_hotp_value(hotp_value(secret, int(timezone.now().timestamp()) // 30))
    )

    at_once(len(browsers), lambda number: posted(browsers[number], "/accounts/2fa/authenticate/", code=code))
    inside = [browser.get("/now/", follow_redirects=False).status_code == 200 for browser in browsers]

    for browser in browsers:
        browser.close()
    assert sum(inside) == 1
