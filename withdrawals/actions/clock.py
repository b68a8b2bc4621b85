"""Ringing: enqueue a wake-up, unless the last one still waits for a worker. And the signs of life of who rings."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.tasks import Task, TaskResult, TaskResultStatus, task
from django.tasks.exceptions import TaskResultDoesNotExist
from django.utils import timezone

from withdrawals.models import Beating, Heartbeat

log = logging.getLogger(__name__)

# A worker killed in the middle leaves its task running for ever; after this long it counts as dead.
GIVEN_UP_AFTER = timedelta(seconds=120)
# Where a customer waits, it is not given that long: a second wake-up beside a slow one is harmless.
URGENT_GIVEN_UP_AFTER = timedelta(seconds=15)


class Bell:
    """Rings one task. While no worker runs it stays with one waiting wake-up, so that none pile up."""

    def __init__(self, wake_up: Task[[], Any], *, given_up_after: timedelta = GIVEN_UP_AFTER) -> None:
        self.wake_up = wake_up
        self.given_up_after = given_up_after
        self.last: TaskResult[[], Any] | None = None

    def ring(self, *, now: datetime) -> None:
        """Enqueue the wake-up where none of ours waits or runs. A database that is away is tried again next time."""
        try:
            close_old_connections()
            if not self._is_outstanding(now):
                self.last = self.wake_up.enqueue()
        except DatabaseError:
            log.warning("the clock could not ring %s", self.wake_up.name, exc_info=True)

    def _is_outstanding(self, now: datetime) -> bool:
        if self.last is None:
            return False
        try:
            self.last.refresh()
        except TaskResultDoesNotExist:  # it is over so long that its row was cleared away
            return False
        if self.last.status == TaskResultStatus.READY:
            return True
        started_at = self.last.started_at
        return (
            self.last.status == TaskResultStatus.RUNNING
            and started_at is not None
            and now - started_at < self.given_up_after
        )


def beat(who: Beating, *, now: datetime) -> None:
    """Note that a process of this kind lives. Repeatable; a database that is away is tried again next time."""
    try:
        if not Heartbeat.objects.filter(name=who).update(at=now):
            Heartbeat.objects.get_or_create(name=who, defaults={"at": now})
    except DatabaseError:
        log.warning("a heartbeat could not be noted", exc_info=True)


@task
def show_life() -> None:
    """A worker lives where this ran."""
    beat(Beating.WORKER, now=timezone.now())
