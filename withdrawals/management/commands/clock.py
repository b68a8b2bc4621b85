"""`manage.py clock`: wakes the same functions again and again, so that a lost wake-up costs only time."""

import signal
from typing import Any

from apscheduler.schedulers.blocking import BlockingScheduler
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from withdrawals.actions.alarms import watch_callbacks
from withdrawals.actions.audit_checks import keep_log
from withdrawals.actions.clock import URGENT_GIVEN_UP_AFTER, Bell, beat, show_life
from withdrawals.actions.invariants import check_invariants
from withdrawals.actions.looking import LOOK_SECONDS, look_at_assetpay
from withdrawals.actions.refund_approvals import expire_approvals
from withdrawals.actions.sending import drain_cancellations
from withdrawals.actions.trades import reconcile_trades
from withdrawals.actions.wallet import read_wallet
from withdrawals.models import Beating

SENDER_SECONDS = 2
# An alarm must ring within a minute.
WATCH_SECONDS = 20
# An anchor of the audit log is due every minute, in a file also every 100 entries.
LOG_SECONDS = 5
EXPIRY_SECONDS = 60
LIFE_SECONDS = 10
INVARIANT_SECONDS = 180
HOUR = 3_600


class Command(BaseCommand):
    """Rings until it is stopped. Several clocks only wake twice, which is harmless."""

    help = "Wake the sender and the reconciliation by the clock."

    def handle(self, *args: Any, **options: Any) -> None:
        """One job for each thing to wake; none piles up while nobody works."""
        scheduler = BlockingScheduler(timezone="UTC", job_defaults={"max_instances": 1, "coalesce": True})
        urgent = [Bell(each, given_up_after=URGENT_GIVEN_UP_AFTER) for each in (drain_cancellations, look_at_assetpay)]
        scheduler.add_job(ring, "interval", urgent[:1], seconds=SENDER_SECONDS)
        scheduler.add_job(ring, "interval", urgent[1:], seconds=LOOK_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(reconcile_trades)], seconds=settings.RECONCILE_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(watch_callbacks)], seconds=WATCH_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(keep_log)], seconds=LOG_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(read_wallet)], seconds=settings.RECONCILE_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(expire_approvals)], seconds=EXPIRY_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(show_life)], seconds=LIFE_SECONDS)
        scheduler.add_job(ring, "interval", [Bell(check_invariants)], seconds=INVARIANT_SECONDS)
        scheduler.add_job(show_own_life, "interval", seconds=LIFE_SECONDS)
        scheduler.add_job(forget_finished_wake_ups, "interval", seconds=HOUR)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: scheduler.shutdown(wait=False))
        scheduler.start()


def ring(bell: Bell) -> None:
    """Ring one bell now."""
    bell.ring(now=timezone.now())


def show_own_life() -> None:
    """So that whoever watches /metrics learns when no clock runs any more."""
    close_old_connections()
    beat(Beating.CLOCK, now=timezone.now())


def forget_finished_wake_ups() -> None:
    """Their rows say nothing that the domain tables do not."""
    close_old_connections()
    call_command("prune_db_task_results", min_age_days=0, failed_min_age_days=7, verbosity=0)
