"""What happens to the people of the desk: each step is noted, and there is always an admin left."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier
from unittest import mock

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet

from tests.desk import person
from tests.races import race
from tests.wire import NOON
from withdrawals.actions import people
from withdrawals.actions.audit import Origin
from withdrawals.actions.people import (
    PersonRefused,
    change_role,
    end_sessions,
    reset_factor,
    switch_off,
    switch_on,
)
from withdrawals.models import AuditEntry, Role, Source, User
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db


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
