"""What happens to the people of the desk: each step is noted, and there is always an admin left."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier
from unittest import mock

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet

from tests.desk import ask, clock_at, item_of, person, see
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import people
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import arm_cancellation
from withdrawals.actions.people import (
    PersonRefused,
    change_role,
    create_person,
    end_sessions,
    reset_factor,
    switch_off,
    switch_on,
)
from withdrawals.actions.sending import claim_next, drain, record_answer
from withdrawals.assetpay.errors import OutcomeUnknown, ToldToWait
from withdrawals.models import AuditEntry, Cancellation, Role, Source, User
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db

WAIT = ToldToWait(seconds=5, key="FLEET_DEGRADED", code=1011, message="", request_id="r", http_status=503, stated=True)
LOST = OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r", lost_answer=True)


def by(actor: User) -> dict[str, object]:
    """Who acts, and when."""
    return {"actor": actor, "origin": Origin(Source.SCREEN, actor=actor), "now": NOON}


def role_of(who: User) -> list[str]:
    """Their roles as the tables say."""
    return list(who.groups.values_list("name", flat=True))


def test_another_role_takes_the_place_of_the_old_one_and_is_noted() -> None:
    admin, agent = person(Role.ADMIN), person()

    change_role(person_id=agent.pk, role=Role.SUPERVISOR, **by(admin))  # type: ignore[arg-type]

    entry = AuditEntry.objects.get()
    assert role_of(agent) == ["supervisor"]
    assert (entry.action, entry.actor, entry.before["role"], entry.after) == (
        "person.role_changed",
        admin,
        "agent",
        {"email": agent.email, "role": "supervisor"},
    )


@pytest.mark.parametrize("deed", [switch_off, switch_on, reset_factor])
def test_nobody_does_it_to_themselves(deed: object) -> None:
    admin, _ = person(Role.ADMIN), person(Role.ADMIN)

    with pytest.raises(PersonRefused, match="You cannot"):
        deed(person_id=admin.pk, **by(admin))  # type: ignore[operator]
    with pytest.raises(PersonRefused, match="You cannot"):
        change_role(person_id=admin.pk, role=Role.AGENT, **by(admin))  # type: ignore[arg-type]

    assert not AuditEntry.objects.exists()


def test_a_closed_account_opens_by_a_new_link_alone() -> None:
    admin, agent = person(Role.ADMIN), person()
    link = people.one_time_path(agent)

    switch_off(person_id=agent.pk, **by(admin))  # type: ignore[arg-type]
    switch_on(person_id=agent.pk, **by(admin))  # type: ignore[arg-type]

    agent.refresh_from_db()
    assert (agent.is_active, agent.has_usable_password(), agent.session_epoch) == (True, False, 1)
    assert people.one_time_path(agent) != link
    actions = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    assert actions == ["person.switched_off", "person.switched_on"]


def test_a_lost_factor_is_forgotten_with_every_session() -> None:
    admin, agent = person(Role.ADMIN), person()
    TOTP.activate(agent, generate_totp_secret())

    reset_factor(person_id=agent.pk, **by(admin))  # type: ignore[arg-type]

    agent.refresh_from_db()
    assert (agent.authenticator_set.count(), agent.session_epoch) == (0, 1)
    assert AuditEntry.objects.get().action == "person.factor_reset"


def test_everybody_may_end_their_own_sessions() -> None:
    admin = person(Role.ADMIN)

    end_sessions(person_id=admin.pk, **by(admin))  # type: ignore[arg-type]

    assert User.objects.get().session_epoch == 1


def test_an_admin_of_yesterday_changes_nothing() -> None:
    former, agent = person(Role.ADMIN), person()
    person(Role.ADMIN)
    former.groups.clear()

    with pytest.raises(PersonRefused, match="no admin any more"):
        switch_off(person_id=agent.pk, **by(former))  # type: ignore[arg-type]


def admins_after_two_demote_each_other() -> tuple[int, list[object]]:
    """Two admins, each taking the role from the other at one instant; and how many are left."""
    pair = [person(Role.ADMIN), person(Role.ADMIN)]

    outcomes = race(
        2,
        lambda number: change_role(person_id=pair[1 - number].pk, role=Role.AGENT, **by(pair[number])),  # type: ignore[arg-type]
    )

    return User.objects.admins().count(), list(outcomes)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(5))
def test_two_admins_cannot_demote_each_other_at_once(turn: int) -> None:
    left, outcomes = admins_after_two_demote_each_other()

    assert left == 1
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PersonRefused", "User"]
    assert verify_chain().problem == ""


@contextmanager
def without_the_lock() -> Iterator[None]:
    """Rows are read as they stand, and both readers have read before either writes."""
    both_have_read = Barrier(2)
    checked = people._keep_an_admin

    def wait(who: User) -> None:
        checked(who)
        both_have_read.wait(timeout=10)

    with (
        mock.patch.object(QuerySet, "select_for_update", lambda rows, **_: rows),
        mock.patch.object(people, "_keep_an_admin", wait),
        mock.patch.object(people, "record"),  # its own lock on the log's head comes after, and is not what is tried
    ):
        yield


@pytest.mark.django_db(transaction=True)
def test_the_control_without_the_lock_nobody_is_left() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, lock or not")

    with without_the_lock():
        left, _ = admins_after_two_demote_each_other()

    assert left == 0


def test_the_last_admin_stays_where_the_actor_is_gone_from_the_count() -> None:
    admin, other = person(Role.ADMIN), person(Role.ADMIN)
    Group.objects.get(name=Role.ADMIN.value)
    switch_off(person_id=other.pk, **by(admin))  # type: ignore[arg-type]

    assert list(User.objects.admins()) == [admin]


def test_who_is_switched_off_leaves_nothing_that_could_still_be_sent() -> None:
    admin, agent, colleague = person(Role.ADMIN), person(), person()
    for number in range(4):
        see(trade_snapshot(f"trade-{number}", createdAt=stamp(NOON - timedelta(minutes=10 if number == 0 else 60))))
    armed = arm_cancellation(
        item_id=item_of("trade-0").pk, reason="r", note="", actor=agent,
        origin=Origin(Source.SCREEN, actor=agent), now=NOON,
    )  # fmt: skip
    sent, waiting = ask(item_of("trade-1"), actor=agent), ask(item_of("trade-2"), actor=agent)
    assert claim_next(now=NOON) is not None
    others = ask(item_of("trade-3"), actor=colleague)

    switch_off(person_id=agent.pk, **by(admin))  # type: ignore[arg-type]

    rows = {row.pk: row for row in Cancellation.objects.all()}
    states = [rows[each.pk].state for each in (armed, sent, waiting, others)]
    assert states == ["withdrawn", "sending", "withdrawn", "requested"]
    assert f"{agent.email}, who asked for it, was switched off" in rows[armed.pk].ended_because
    assert AuditEntry.objects.get(action="person.switched_off").after["taken_back"] == 2
    taken_back = AuditEntry.objects.filter(action="cancellation.withdrawn", actor=admin)
    assert sorted(taken_back.values_list("item", flat=True)) == sorted([armed.item_id, waiting.item_id])
    assert ask(item_of("trade-2"), actor=colleague, now=NOON).state == "requested", "a colleague may ask for it again"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (WAIT, "withdrawn"),
        (LOST, "uncertain"),
    ],
    ids=["told to wait", "answer lost"],
)
@pytest.mark.parametrize("when", ["before the answer", "after it"])
def test_what_was_on_its_way_when_its_person_was_switched_off_does_not_leave_again(
    answer: Exception, state: str, when: str
) -> None:
    admin, agent = person(Role.ADMIN), person()
    see(trade_snapshot())
    ask(item_of(), actor=agent)
    claim = claim_next(now=NOON)
    assert claim is not None

    acts = [
        lambda: switch_off(person_id=agent.pk, **by(admin)),  # type: ignore[arg-type]
        lambda: record_answer(claim, answer, now=NOON),
    ]
    for act in acts if when == "before the answer" else reversed(acts):
        act()
    drain(clock=clock_at(NOON + timedelta(minutes=5)))

    asked = Cancellation.objects.get()
    assert (asked.state, asked.may_resend, asked.attempts.count()) == (state, False, 1)
    assert agent.email in (asked.ended_because or asked.waits_for)
    assert list(Cancellation.objects.outcome_unknown()) == ([asked] if state == "uncertain" else [])


@pytest.mark.parametrize("how", ["switched off at the desk", "closed past it"])
def test_a_worker_that_is_at_it_sends_nothing_in_the_name_of_a_closed_account(how: str) -> None:
    admin, agent = person(Role.ADMIN), person()
    see(trade_snapshot(items=[item_document("first"), item_document("second")]))
    ask(item_of(item_id="first"), actor=agent)
    claim = claim_next(now=NOON)
    assert claim is not None
    if how == "closed past it":
        ask(item_of(item_id="second"), actor=agent)
        User.objects.filter(pk=agent.pk).update(is_active=False)
    else:
        switch_off(person_id=agent.pk, **by(admin))  # type: ignore[arg-type]

    record_answer(claim, WAIT, now=NOON)

    # The worker's next claim, without the look at closed accounts with which another one would begin.
    assert claim_next(now=NOON + timedelta(minutes=5)) is None


def mira_is_invited_by(contenders: int) -> list[object]:
    """What came of so many admins who make the same account at one instant; each has looked before any writes."""
    admins = [person(Role.ADMIN) for _ in range(contenders)]
    all_have_looked = Barrier(contenders)
    make = people.User.objects.create_user

    def wait(*args: object) -> User:
        if connection.vendor != "sqlite":
            all_have_looked.wait(timeout=20)
        return make(*args)  # type: ignore[arg-type]

    with mock.patch.object(people.User.objects, "create_user", wait):
        return list(
            race(
                contenders,
                lambda number: create_person(
                    email="Mira@desk.example",
                    role=Role.AGENT,
                    password=None,
                    origin=Origin(Source.SCREEN, actor=admins[number]),
                    now=NOON,
                ),
            )
        )


@pytest.mark.django_db(transaction=True)
def test_of_two_who_invite_one_person_at_once_the_second_is_told_so() -> None:
    outcomes = mira_is_invited_by(2)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["PersonRefused", "User"]
    assert "already has an account" in str(next(each for each in outcomes if isinstance(each, PersonRefused)))
    assert AuditEntry.objects.filter(action="person.created").count() == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_catch_the_second_meets_a_fault_of_ours() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time, so that the second one sees the first")

    with mock.patch.object(people, "IntegrityError", ZeroDivisionError):
        outcomes = mira_is_invited_by(2)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IntegrityError", "User"]
