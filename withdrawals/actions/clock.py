"""Ringing: enqueue a wake-up, unless the last one still waits for a worker."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.tasks import Task, TaskResult, TaskResultStatus

log = logging.getLogger(__name__)

# A worker killed in the middle leaves its task running for ever; after this long it counts as dead.
GIVEN_UP_AFTER = timedelta(seconds=120)


class Bell:
    """Rings one task. While no worker runs it stays with one waiting wake-up, so that none pile up."""

    def __init__(self, wake_up: Task[[], Any]) -> None:
        self.wake_up = wake_up
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
        self.last.refresh()
        if self.last.status == TaskResultStatus.READY:
            return True
        started_at = self.last.started_at
        return (
            self.last.status == TaskResultStatus.RUNNING
            and started_at is not None
            and now - started_at < GIVEN_UP_AFTER
        )
