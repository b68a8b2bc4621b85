"""How long somebody stays logged in, and what ends a session at its next request."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import LazySettings
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from tests.factories import PASSWORD, ItemFactory, RefundFactory, UserFactory
from tests.views.conftest import LogIn
from withdrawals.actions.audit import Origin
from withdrawals.actions.people import end_sessions, switch_off
from withdrawals.middleware import BACKGROUND_PATH
from withdrawals.models import AuditEntry, Refund, RefundState, Role, Source, User

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
LOGIN = "/accounts/login/"
BY_ITSELF = {"X-Background": "1"}


def is_in(browser: Client) -> bool:
    """Whether the desk still knows whose browser this is; asked as a page does by itself, which is no use."""
    return browser.get("/now/").status_code == 200


def test_f65_a_session_left_alone_for_fifteen_minutes_has_ended(agent: Client) -> None:
    start = timezone.now()

    with time_machine.travel(start + timedelta(minutes=14)):
        assert is_in(agent)
    with time_machine.travel(start + timedelta(minutes=15, seconds=1)):
        answer = agent.get("/items/")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/items/")


def test_f65_use_keeps_a_session_and_ten_hours_end_it_all_the_same(agent: Client) -> None:
    start = timezone.now()

    for minutes in range(10, 600, 10):
        with time_machine.travel(start + timedelta(minutes=minutes)):
            assert agent.get("/alarms/").status_code == 200, minutes
    with time_machine.travel(start + timedelta(minutes=600, seconds=1)):
        assert not is_in(agent)


@pytest.mark.parametrize("by", ["header", "row", "now"])
def test_f65_what_a_page_asks_by_itself_does_not_keep_a_session(agent: Client, by: str) -> None:
    item, start = ItemFactory(), timezone.now()
    path, headers = {
        "header": ("/items/", BY_ITSELF),
        "row": (f"/items/{item.pk}/row/", {"HX-Request": "true"}),
        "now": ("/now/", {}),
    }[by]

    answers = []
    for minutes in range(1, 17):
        with time_machine.travel(start + timedelta(minutes=minutes, seconds=1)):
            answers.append(agent.get(path, headers=headers).status_code)

    assert answers[:14] == [200] * 14
    assert set(answers[14:]) <= {302, 401}


def test_f65_the_control_a_request_by_hand_keeps_it(agent: Client) -> None:
    start = timezone.now()

    for minutes in range(1, 17):
        with time_machine.travel(start + timedelta(minutes=minutes)):
            assert agent.get("/alarms/").status_code == 200


def test_every_address_that_a_template_polls_is_known_for_one_or_carries_the_header() -> None:
    """HTMX polls carry the header by refresh.js; what fetches by itself must be an address that does not count."""
    scripts = (TEMPLATES.parent / "static" / "js").glob("*.js")
    fetching = [path.name for path in scripts if re.search(r"\bfetch\(|EventSource\(|sendBeacon\(", path.read_text())]
    base = (TEMPLATES / "base.html").read_text()

    assert "refresh.js" in base
    assert "server_now" in base
    assert set(fetching) <= {"countdown.js", "live.js"}, "a script that fetches: is its address in BACKGROUND_PATH?"
    assert all(BACKGROUND_PATH.fullmatch(path) for path in ("/now/", "/live/presence/", "/items/12/row/"))
    assert not any(BACKGROUND_PATH.fullmatch(path) for path in ("/", "/items/", "/items/12/cancel/", "/alive/"))


def test_f67_a_role_taken_away_is_gone_at_the_next_request(agent: Client) -> None:
    person = User.objects.get()
    assert agent.get("/items/").status_code == 200

    person.groups.clear()

    assert agent.get("/items/").status_code == 403


def test_f65_a_person_who_is_switched_off_is_out_at_the_next_request(log_in: LogIn) -> None:
    admin, person = UserFactory(role=Role.ADMIN), UserFactory()
    first, second, unused = log_in(person), log_in(person), log_in(person)
    assert [is_in(first), is_in(second)] == [True, True]

    switch_off(person_id=person.pk, actor=admin, origin=Origin(Source.SCREEN, actor=admin), now=timezone.now())

    assert [is_in(first), is_in(second), is_in(unused)] == [False] * 3
    assert Client().login(email=person.email, password=PASSWORD) is False


def test_f65_sessions_that_were_ended_are_over_and_a_new_log_in_works(log_in: LogIn) -> None:
    admin, person, other = UserFactory(role=Role.ADMIN), UserFactory(), UserFactory()
    old, unconcerned, unused = log_in(person), log_in(other), log_in(person)
    assert [is_in(old), is_in(unconcerned)] == [True, True]

    end_sessions(person_id=person.pk, actor=admin, origin=Origin(Source.SCREEN, actor=admin), now=timezone.now())

    person.refresh_from_db()
    assert [is_in(old), is_in(unused)] == [False, False]
    assert [is_in(unconcerned), is_in(log_in(person))] == [True, True]


def test_f65_the_cookie_of_before_a_log_out_opens_nothing(agent: Client) -> None:
    cookie = agent.cookies["session"].value
    agent.post("/accounts/logout/")
    thief = Client()
    thief.cookies["session"] = cookie

    assert not is_in(thief)


def test_f65_a_new_password_ends_the_other_sessions_and_is_noted_without_being_told(log_in: LogIn) -> None:
    person = UserFactory()
    mine, other = log_in(person), log_in(person)
    assert [is_in(mine), is_in(other)] == [True, True]
    form = {"oldpassword": PASSWORD, "password1": "another-skin-22", "password2": "another-skin-22"}

    mine.post("/accounts/password/change/", form)

    entry = AuditEntry.objects.get(action="person.password_changed")
    assert [is_in(mine), is_in(other)] == [True, False]
    assert (entry.actor, entry.after) == (person, {"email": person.email, "by_one_time_link": False})
    assert "another-skin" not in str(entry.__dict__)


@pytest.mark.django_db(transaction=True)  # the library tells of a factor when it is committed
def test_f64_a_factor_set_up_in_one_session_ends_the_others(log_in: LogIn) -> None:
    person = UserFactory()
    mine, other = Client(), log_in(person)
    assert is_in(other)
    mine.post(LOGIN, {"login": person.email, "password": PASSWORD})
    mine.post("/accounts/reauthenticate/", {"password": PASSWORD})
    secret = mine.get("/accounts/2fa/totp/activate/").context["form"].secret
    code = format_hotp_value(hotp_value(secret, int(timezone.now().timestamp()) // 30))

    mine.post("/accounts/2fa/totp/activate/", {"code": code})

    assert person.authenticator_set.filter(type="totp").exists()
    assert [is_in(mine), is_in(other)] == [True, False]


def test_f65_the_key_of_a_session_is_new_at_log_in_and_at_a_fresh_proof() -> None:
    person, browser = UserFactory(), Client()
    fixed = browser.session
    fixed["known to a thief"] = True
    fixed.save()
    browser.cookies["session"] = fixed.session_key

    browser.post(LOGIN, {"login": person.email, "password": PASSWORD})
    at_log_in = browser.session.session_key
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    at_proof = browser.session.session_key

    assert len({fixed.session_key, at_log_in, at_proof}) == 3
    for key, is_alive in ((fixed.session_key, False), (at_log_in, False), (at_proof, True)):
        thief = Client()
        thief.cookies["session"] = str(key)
        assert is_in(thief) == is_alive


def test_f66_every_fragment_of_a_session_that_ended_leads_the_whole_page_to_log_in() -> None:
    item, refund = ItemFactory(), RefundFactory()
    paths = ["/", "/items/", f"/items/{item.pk}/row/", f"/items/{item.pk}/cancel/", f"/refunds/{refund.pk}/confirm/"]
    browser = Client(headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/items/?tab=open"})

    for path in paths:
        for answer in (browser.get(path), browser.post(path)):
            assert answer.status_code == 401
            assert answer["HX-Redirect"] == "/accounts/login/?next=%2Fitems%2F%3Ftab%3Dopen"
            assert answer.content == b""


def test_f65_money_asks_who_it_is_after_five_minutes_and_comes_back_to_the_dialog(log_in: LogIn) -> None:
    refund, person = RefundFactory(), UserFactory()
    browser, start = log_in(person), timezone.now()
    path = f"/refunds/{refund.pk}/confirm/"
    form = {"reference": "payout-7", "seen": refund.fingerprint(), "next": "/refunds/?state=due"}

    with time_machine.travel(start + timedelta(minutes=5, seconds=1), tick=False):
        refused = browser.post(path, form)
        in_dialog = browser.get(path, {"next": "/refunds/?state=due"}, headers={"HX-Request": "true"})
        still = Refund.objects.get().state
        proved = browser.post(refused["Location"], {"password": PASSWORD})
        confirmed = browser.post(path, form)

    back = f"{path}?next=%2Frefunds%2F%3Fstate%3Ddue"
    assert refused["Location"].startswith("/accounts/reauthenticate/?next=%2Frefunds%2F")
    assert (in_dialog.status_code, in_dialog["HX-Redirect"]) == (401, refused["Location"])
    assert still == RefundState.DUE
    assert (proved.status_code, proved["Location"]) == (302, back)
    assert confirmed.status_code == 303
    assert Refund.objects.get().state == RefundState.CONFIRMED


def test_f65_a_wrong_password_is_no_fresh_proof(log_in: LogIn) -> None:
    refund, start = RefundFactory(), timezone.now()
    browser = log_in(Role.AGENT)
    path = f"/refunds/{refund.pk}/confirm/"

    with time_machine.travel(start + timedelta(minutes=6), tick=False):
        browser.post("/accounts/reauthenticate/", {"password": "not-the-password"})
        answer = browser.get(path)

    assert answer["Location"].startswith("/accounts/reauthenticate/")


def test_f64_a_fresh_proof_by_the_app_counts_too(log_in: LogIn, settings: LazySettings) -> None:
    refund, person, secret, start = RefundFactory(), UserFactory(), generate_totp_secret(), timezone.now()
    browser = log_in(person)
    TOTP.activate(person, secret)
    later = start + timedelta(minutes=6)

    with time_machine.travel(later, tick=False):
        code = format_hotp_value(hotp_value(secret, int(later.timestamp()) // 30))
        browser.post("/accounts/2fa/reauthenticate/", {"code": code})
        answer = browser.get(f"/refunds/{refund.pk}/confirm/")

    assert answer.status_code == 200


def test_a_second_role_is_no_way_round_the_matrix(log_in: LogIn) -> None:
    person = UserFactory(role=Role.AUDITOR)
    browser = log_in(person)
    assert browser.get("/audit/").status_code == 200

    person.groups.set([Group.objects.get(name=Role.AGENT.value)])

    assert browser.get("/audit/").status_code == 403
