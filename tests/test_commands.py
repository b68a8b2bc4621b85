"""The operator's doors: what each command does, and how it refuses."""

import io
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from tests.desk import see
from tests.stories.conftest import Stage
from tests.stories.conftest import stage as stage  # the fixture
from tests.wire import trade_snapshot
from withdrawals.models import AuditEntry, Role, Trade, User


def told(name: str, *arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def type_(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role.values)
def test_create_agent_makes_a_person_who_can_log_in(role: str, typed: Any) -> None:
    typed("withdraw-skins-1\n")

    told("create_agent", "Somebody@Desk.example", "--role", role)

    person = User.objects.get(email="somebody@desk.example")
    assert [group.name for group in person.groups.all()] == [role]
    assert person.may("see_desk")
    assert Client().login(email="somebody@desk.example", password="withdraw-skins-1")
    assert AuditEntry.objects.get().action == "person.created"


@pytest.mark.django_db
def test_without_a_password_a_link_opens_the_account_once(typed: Any) -> None:
    typed("")
    link = told("create_agent", "somebody@desk.example", "--role", "agent").split()[-1]
    path = "/" + link.split("/", 3)[3]
    client = Client()

    form = client.get(path, follow=True)
    new = "a-password-of-my-own"
    done = client.post(form.request["PATH_INFO"], {"password1": new, "password2": new}, follow=True)

    assert done.status_code == 200
    assert Client().login(email="somebody@desk.example", password=new)
    again = Client().get(path, follow=True)
    assert b"password1" not in again.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("email", "password", "problem"),
    [
        ("nobody", "withdraw-skins-1", "valid e-?mail"),
        ("a@desk.example", "short", "at least 10"),
        ("taken@desk.example", "withdraw-skins-1", "already has an account"),
    ],
)
def test_create_agent_refuses_in_one_line(email: str, password: str, problem: str, typed: Any) -> None:
    User.objects.create_user("Taken@desk.example")
    typed(password)

    with pytest.raises(CommandError, match=problem):
        told("create_agent", email, "--role", "agent")

    assert User.objects.count() == 1


@pytest.mark.django_db
def test_create_agent_dry_run_makes_nobody(typed: Any) -> None:
    typed("withdraw-skins-1")
    told("create_agent", "a@desk.example", "--role", "agent", "--dry-run")

    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_demos_people_are_made_once_and_only_in_the_demo(settings: Settings) -> None:
    with pytest.raises(CommandError, match="DEMO"):
        told("load_demo")
    settings.DEMO = True

    told("load_demo")
    shown = told("load_demo")

    assert User.objects.count() == len(Role)
    assert "agent@demo.example" in shown


@pytest.mark.django_db
def test_verify_audit_says_how_many_entries_hold() -> None:
    see(trade_snapshot())

    assert told("verify_audit").startswith("2 entries verified")


def test_import_trades_brings_in_what_assetpay_knows(stage: Stage) -> None:
    first = stage.control.make_trade(external_id="order-1", announce=False)
    second = stage.control.make_trade(announce=False)

    shown = told("import_trades", "order-1", second["id"], "nobody-knows-this")

    assert "3 of 3 asked for, 2 found." in shown
    assert set(Trade.objects.values_list("assetpay_id", flat=True)) == {first["id"], second["id"]}


def test_import_trades_says_what_is_wrong_with_an_id(stage: Stage) -> None:
    with pytest.raises(CommandError, match=r"1 of 2 cannot be ids: 'a,b'"):
        told("import_trades", "order-1", "a,b")

    assert not Trade.objects.exists()


def test_import_trades_of_a_file_of_ten_thousand_shows_how_far_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [stage.control.make_trade(external_id=f"order {number}", announce=False)["id"] for number in range(3)]
    lines = [f"order {number}" for number in range(10_000)]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*lines, "", "order 7", " order 8 "])))

    shown = told("import_trades", "-").splitlines()

    assert len(shown) == 100
    assert shown[49].endswith("5,000 of 10,000 asked for, 3 found.")
    assert shown[49].startswith("█" * 15 + "░" * 15)
    assert shown[-1] == "█" * 30 + " 10,000 of 10,000 asked for, 3 found."
    assert set(Trade.objects.values_list("assetpay_id", flat=True)) == set(known)


def test_import_trades_draws_its_bar_in_place_on_a_terminal(stage: Stage) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    made = stage.control.make_trade(announce=False)

    call_command("import_trades", made["id"], *(f"unknown-{number}" for number in range(150)), stdout=screen)

    assert screen.getvalue().count("\r") == 2
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().endswith("151 of 151 asked for, 1 found.\n")


def test_reconcile_reads_back_what_no_callback_told(stage: Stage) -> None:
    item = stage.withdrawal()
    stage.control.change_item(item.trade.assetpay_id, item.assetpay_id, status="completed", announce=False)

    shown = told("reconcile", "--once")

    item.refresh_from_db()
    assert (shown, item.status) == ("1 trades changed.\n", "completed")
    assert told("reconcile", "--once") == "0 trades changed.\n"


@pytest.mark.django_db
def test_reconcile_that_cannot_reach_assetpay_says_so(settings: Settings) -> None:
    see(trade_snapshot())

    with pytest.raises(CommandError, match="Connect"):
        told("reconcile", "--once")


def test_import_trades_waits_as_long_as_assetpay_asks(stage: Stage) -> None:
    made = stage.control.make_trade(announce=False)
    stage.control.fault("rate_limited", route="read_trades", retry_after=1)

    shown = told("import_trades", made["id"])

    assert "asks to wait 1 s" in shown
    assert Trade.objects.get().assetpay_id == made["id"]


@pytest.mark.django_db
def test_a_forgotten_password_is_answered_by_a_link_that_works_once() -> None:
    person = User.objects.create_user("somebody@desk.example", "the-old-password")
    TOTP.activate(person, generate_totp_secret())

    link = told("one_time_link", "Somebody@desk.example").split()[-1]

    client, new = Client(), "a-password-of-my-own"
    form = client.get("/" + link.split("/", 3)[3], follow=True)
    client.post(form.request["PATH_INFO"], {"password1": new, "password2": new}, follow=True)
    person.refresh_from_db()
    assert person.check_password(new)
    assert person.authenticator_set.count() == 1
    assert AuditEntry.objects.filter(action="person.access_renewed").count() == 1


@pytest.mark.django_db
def test_a_lost_second_factor_is_forgotten_only_where_asked_for() -> None:
    person = User.objects.create_user("somebody@desk.example", "the-old-password")
    TOTP.activate(person, generate_totp_secret())

    told("one_time_link", "somebody@desk.example", "--reset-second-factor")

    assert person.authenticator_set.count() == 0


@pytest.mark.django_db
def test_a_link_for_nobody_is_refused() -> None:
    with pytest.raises(CommandError, match="Nobody"):
        told("one_time_link", "nobody@desk.example")


@pytest.mark.django_db(transaction=True)
def test_whoever_came_by_a_link_can_set_up_a_second_factor_and_work(settings: Settings, typed: Any) -> None:
    settings.MFA_REQUIRED = True
    typed("")
    path = "/" + told("create_agent", "new@desk.example", "--role", "agent").split()[-1].split("/", 3)[3]
    client, new = Client(), "a-password-of-my-own"
    form = client.get(path, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": new, "password2": new}, follow=True)
    client.post("/accounts/login/", {"login": "new@desk.example", "password": new})
    assert client.get("/items/").status_code == 302

    client.post("/accounts/reauthenticate/", {"password": new})
    page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    code = format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
    client.post("/accounts/2fa/totp/activate/", {"code": code})

    assert client.get("/items/").status_code == 200
