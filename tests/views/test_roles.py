"""Every cell of `tests/roles.toml`: each address, by each method, asked for by each role."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from tests.factories import UserFactory
from tests.roles import METHODS, NOBODY, ROOT, STRANGER, VIEWERS, Rule, address, routes, rules
from withdrawals.models import Role, User
from withdrawals.sessions import PROVED

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

LOGINS, PROOF = ("/accounts/login/", "/admin/login/"), "/accounts/reauthenticate/"
RULES = rules()
NOUNS = sorted({rule.route.split("/")[0] for rule in RULES.values()})
LIBRARIES = ("accounts", "admin")
REFUSALS = {403, 404, 405}


def of(noun: str) -> list[Rule]:
    """The lines of the matrix whose addresses begin with this noun."""
    return [rule for rule in RULES.values() if rule.route.split("/")[0] == noun]


def browsers() -> dict[str, Client]:
    """A browser for everybody that the matrix names, each logged in anew."""
    people = {role.value: UserFactory(role=role) for role in Role}
    people[STRANGER] = UserFactory(role=False)
    people[ROOT] = User.objects.create_superuser("root@desk.example", "withdraw-skins-1")
    found = {NOBODY: Client()}
    for name, person in people.items():
        # So that the pages about factors have something to show.
        TOTP.activate(person, generate_totp_secret())
        RecoveryCodes.activate(person)
        found[name] = Client()
        found[name].force_login(person)
    return found


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens in here did not."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_every_address_has_a_line_in_the_matrix() -> None:
    missing = [route for route in routes() if route not in RULES]
    lines = "\n".join(f"'{route}' = {{ GET = \"desk\" }}" for route in missing)

    assert not missing, f"Say in tests/roles.toml who may use it, by method (and `proof = true` for money):\n{lines}"


def test_the_matrix_names_no_address_that_is_gone() -> None:
    assert set(RULES) - set(routes()) == set()


def test_the_matrix_names_nobody_who_is_not_there() -> None:
    named = {viewer for rule in RULES.values() for viewers in rule.allowed.values() for viewer in viewers}

    assert named <= set(VIEWERS)


@pytest.mark.parametrize("noun", NOUNS)
def test_f61_p27_each_role_reaches_what_the_matrix_allows_and_nothing_else(noun: str) -> None:
    everybody, wrong = browsers(), []

    for rule in of(noun):
        path = address(rule.route)
        for method in METHODS:
            for viewer, browser in everybody.items():
                with undone():
                    cookies = browser.cookies.copy()
                    answer = browser.generic(method, path)
                    browser.cookies = cookies
                    if _let_in(answer) != (viewer in rule.allowed[method]):
                        said = f"{answer.status_code} {answer.get('Location', '')}"
                        wrong.append(f"{method} {rule.route} by {viewer}: {said}")

    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun not in LIBRARIES])
def test_no_other_method_is_answered(noun: str) -> None:
    everybody = browsers()

    for rule in of(noun):
        path = address(rule.route)
        for method in ("PUT", "PATCH", "DELETE"):
            for viewer in (Role.SUPERVISOR, Role.ADMIN, NOBODY):
                answer = everybody[viewer].generic(method, path)

                # The callback door says 503 to what it did not decide.
                assert not _let_in(answer) or answer.status_code == 503, f"{method} {path}: {answer.status_code}"


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun not in LIBRARIES])
def test_f65_a_fresh_proof_is_asked_for_exactly_where_the_matrix_says_so(noun: str) -> None:
    everybody = browsers()
    for browser in everybody.values():
        session = browser.session
        session[PROVED] = session.get(PROVED, 0) - 301
        session.save()

    for rule in of(noun):
        viewer = next((role for role in Role.values if role in rule.allowed["POST"]), "")
        if viewer and NOBODY not in rule.allowed["POST"]:
            with undone():
                answer = everybody[viewer].post(address(rule.route))

            assert answer.get("Location", "").startswith(PROOF) == rule.asks_for_proof, rule.route


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun != "accounts"])
def test_f64_no_address_of_the_desk_opens_without_a_second_factor(settings: LazySettings, noun: str) -> None:
    settings.MFA_REQUIRED = True
    everybody = browsers()

    for rule in of(noun):
        path = address(rule.route)
        for method in METHODS:
            for viewer in (Role.SUPERVISOR, Role.ADMIN, ROOT):
                if NOBODY in rule.allowed[method]:
                    continue
                answer = everybody[viewer].generic(method, path)

                is_shut = answer.status_code in REFUSALS or answer.get("Location", "").startswith("/accounts/")
                assert is_shut, f"{method} {path} by {viewer}: {answer.status_code} {answer.get('Location', '')}"


def _let_in(answer: HttpResponse) -> bool:
    return answer.status_code not in REFUSALS and not answer.get("Location", "").startswith(LOGINS)
