"""Ringing: one wake-up at a time, and none the less for rows that were cleared away."""

from datetime import timedelta

import pytest
from django_tasks_db.models import DBTaskResult

from tests.wire import NOON
from withdrawals.actions.clock import GIVEN_UP_AFTER, Bell
from withdrawals.actions.sending import drain_cancellations
from withdrawals.management.commands.clock import forget_finished_wake_ups

pytestmark = pytest.mark.django_db(transaction=True)


def waiting() -> int:
    return DBTaskResult.objects.filter(status="READY").count()


def finish_all() -> None:
    DBTaskResult.objects.update(status="SUCCESSFUL", started_at=NOON, finished_at=NOON)


def test_a_bell_stays_with_one_waiting_wake_up() -> None:
    bell = Bell(drain_cancellations)

    bell.ring(now=NOON)
    bell.ring(now=NOON + timedelta(hours=1))

    assert waiting() == 1


def test_a_wake_up_whose_worker_died_is_given_up() -> None:
    bell = Bell(drain_cancellations)
    bell.ring(now=NOON)
    DBTaskResult.objects.update(status="RUNNING", started_at=NOON)

    bell.ring(now=NOON + GIVEN_UP_AFTER - timedelta(seconds=1))
    assert waiting() == 0
    bell.ring(now=NOON + GIVEN_UP_AFTER)

    assert waiting() == 1


def test_a_bell_still_rings_after_the_hourly_clearing_away() -> None:
    bell = Bell(drain_cancellations)
    bell.ring(now=NOON)
    finish_all()
    forget_finished_wake_ups()
    assert not DBTaskResult.objects.exists()

    bell.ring(now=NOON + timedelta(hours=1))

    assert waiting() == 1
