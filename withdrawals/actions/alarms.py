"""Watching what comes in: each detector looks at the tables and says what is wrong, or nothing."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median

from django.db import transaction
from django.db.models import Count, Max
from django.tasks import task
from django.utils import timezone

from withdrawals.actions.anchors import overdue_places
from withdrawals.actions.audit import CLOCK, Fact, Origin, record
from withdrawals.models import (
    Alarm,
    AlarmKind,
    AuditCheck,
    Delivery,
    Item,
    ReadState,
    RejectedCall,
    Sighting,
    Source,
    Trade,
)
from withdrawals.models.sighting import ERROR_KEY
from withdrawals.outbound.notices import NoticeFailed, send_notice

log = logging.getLogger(__name__)

MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=7)
SKEW_WARNING_SECONDS, SKEW_CRITICAL_SECONDS = 30, 120
QUIET_AT_LEAST = 15 * MINUTE
DELIVERIES_FOR_A_RHYTHM = 50
NOTICES_PER_HOUR = 10
CALLBACK_KEYS = ("MERCHANT_CALLBACK_URL_DISABLED", "MERCHANT_NO_CALLBACK_URL", "CALLBACK_URL_TEST_FAILED")


def approvals_here(now: datetime) -> str:
    """Approvals came without the copy's mark: AssetPay itself is calling, or the mark is lost on the way."""
    came = Delivery.objects.unmarked_approvals(since=now - DAY).count()
    return f"{came} in the last 24 hours." if came else ""


def wrong_secret(now: datetime) -> str:
    """Well formed signatures that no secret of ours made: many, or some and nothing genuine since."""
    failed = RejectedCall.objects.filter(reason="signature", received_at__gte=now - 5 * MINUTE)
    count, last = failed.aggregate(count=Count("pk"), last=Max("received_at")).values()
    if count < 2:
        return ""
    genuine_since = Delivery.objects.filter(last_received_at__gte=last).exists()
    if count < 5 and genuine_since:
        return ""
    since = "and none was genuine since" if not genuine_since else "among genuine ones"
    return f"{count} calls in five minutes, {since}."


def clock_skew(now: datetime) -> str:
    """The median distance between AssetPay's signed time and our clock; a few odd ones do not move it."""
    # By arrival, not by our own time: after a step back of this clock the newest carry the lower one.
    recent = Delivery.objects.filter(received_at__gte=now - 10 * MINUTE).order_by("-pk")
    times = list(recent.values_list("received_at", "signed_at", "is_late")[:20])
    # A late one now and then is an old retry; nothing but late ones is a clock.
    if not all(is_late for *_, is_late in times[:5]):
        times = [each for each in times if not each[2]]
    ages = [(received - signed).total_seconds() for received, signed, _ in times]
    if ages and abs(median(ages)) > SKEW_WARNING_SECONDS:
        degree = "critical: " if abs(median(ages)) > SKEW_CRITICAL_SECONDS else ""
        return f"{degree}{median(ages):+.0f} s, by the last {len(ages)} callbacks."
    ahead = RejectedCall.objects.filter(reason="future", received_at__gte=now - 5 * MINUTE).count()
    return f"critical: {ahead} callbacks in five minutes came from the future." if ahead >= 2 else ""


def callbacks_missed(now: datetime) -> str:
    """States of the last hour that only a read told, with no callback of their trade near them."""
    missed = Item.objects.learned_by_reading(now).count()
    if not missed:
        return ""
    changed = Item.objects.changed_lately(now).count()
    share = 100 * missed / changed
    return f"{missed} of {changed} changes in the last hour ({share:.0f} %) were learned only by reading."


def callbacks_silent(now: datetime) -> str:
    """No callback for ten times the usual pause, while trades are open that should bring some."""
    week = Delivery.objects.filter(received_at__gte=now - WEEK)
    count, last = week.aggregate(count=Count("pk"), last=Max("last_received_at")).values()
    if count < DELIVERIES_FOR_A_RHYTHM or not Trade.objects.still_open().exists():
        return ""
    first = week.order_by("received_at").values_list("received_at", flat=True)[0]
    usual = (last - first) / count
    if now - last <= max(10 * usual, QUIET_AT_LEAST):
        return ""
    return f"The last came {_span(now - last)} ago; usual is one every {_span(usual)}."


def callbacks_disabled(now: datetime) -> str:
    """AssetPay's own word, in an answer to one of our calls: a cancel or a read."""
    names = [f"{ERROR_KEY}{key}" for key in CALLBACK_KEYS]
    said = Sighting.objects.filter(name__in=names, last_seen_at__gte=now - DAY).order_by("-last_seen_at").first()
    return f"{said.name.removeprefix(ERROR_KEY)}, on {said.last_seen_at:%d %b at %H:%M} UTC." if said else ""


def deliveries_stuck(now: datetime) -> str:
    """Kept without effect; nobody has mended them yet."""
    stuck = Delivery.objects.needing_a_person().filter(received_at__lte=now).count()
    return f"{stuck} wait for a person." if stuck else ""


def reads_failing(now: datetime) -> str:
    """Reads failed, and none has worked since."""
    state = ReadState.objects.filter(pk=1).first()
    if state is None or state.failed_at is None or (state.succeeded_at and state.succeeded_at > state.failed_at):
        return ""
    return f"Since {state.failed_at:%d %b %H:%M} UTC: {state.failure}"


def anchors_failing(now: datetime) -> str:
    """The head of the audit log moved, and a configured place has not been told for minutes."""
    overdue = overdue_places(now=now)
    return f"{', '.join(overdue)}." if overdue else ""


def log_tampered(now: datetime) -> str:
    """What the last check of the audit log found."""
    last = AuditCheck.objects.ended().first()
    return last.problem if last and last.kind else ""


DETECTORS: dict[AlarmKind, Callable[[datetime], str]] = {
    AlarmKind.APPROVALS_HERE: approvals_here,
    AlarmKind.WRONG_SECRET: wrong_secret,
    AlarmKind.CLOCK_SKEW: clock_skew,
    AlarmKind.CALLBACKS_MISSED: callbacks_missed,
    AlarmKind.CALLBACKS_SILENT: callbacks_silent,
    AlarmKind.CALLBACKS_DISABLED: callbacks_disabled,
    AlarmKind.DELIVERIES_STUCK: deliveries_stuck,
    AlarmKind.READS_FAILING: reads_failing,
    AlarmKind.ANCHORS_FAILING: anchors_failing,
    AlarmKind.LOG_TAMPERED: log_tampered,
}


@task
def watch_callbacks() -> int:
    """Look at everything that can be wrong, and tell people; how many alarms ring. Run twice, it finds the same."""
    now = timezone.now()
    ringing = watch(now=now)
    notify(now=now)
    return ringing


def watch(*, now: datetime) -> int:
    """Raise what has become wrong, clear what is right again; how many alarms ring."""
    ringing = 0
    before = set(Alarm.objects.ringing().values_list("kind", flat=True))
    for kind, detect in DETECTORS.items():
        try:
            detail = detect(now)
            if detail or kind in before:
                ringing += _follow(kind, detail, now=now)
        except Exception:
            # One that fails must not silence the others; what it last said stays.
            log.exception("the detector of %s failed", kind)
    return ringing


def _follow(kind: AlarmKind, detail: str, *, now: datetime) -> bool:
    with transaction.atomic():
        alarm = Alarm.objects.ringing().select_for_update().filter(kind=kind).first()
        facts = []
        if alarm is None and detail:
            Alarm.objects.bulk_create(
                [Alarm(kind=kind, detail=detail[:500], raised_at=now, changed_at=now)], ignore_conflicts=True
            )
            facts = [Fact("alarm.raised", after={"alarm": str(kind), "detail": detail[:500]})]
        elif alarm is not None and not detail:
            Alarm.objects.filter(pk=alarm.pk).update(cleared_at=now, changed_at=now)
            facts = [Fact("alarm.cleared", before={"alarm": str(kind), "detail": alarm.detail})]
        elif alarm is not None and detail != alarm.detail:
            # Only the figures moved; that is no fact for the log.
            Alarm.objects.filter(pk=alarm.pk).update(detail=detail[:500], changed_at=now)
        record(facts, origin=Origin(Source.WORKER, name=CLOCK), now=now)
    return bool(detail)


def notify(*, now: datetime) -> int:
    """Send a notice of each alarm that nobody was told of, at most ten an hour; how many went out.

    The row is marked first, in a transaction of its own: a crash between costs a notice, never a flood of them.
    """
    sent = 0
    for alarm in Alarm.objects.ringing().filter(notified_at=None):
        if Alarm.objects.filter(notified_at__gte=now - HOUR).count() >= NOTICES_PER_HOUR:
            break
        if not Alarm.objects.filter(pk=alarm.pk, notified_at=None).update(notified_at=now):
            continue
        try:
            send_notice(alarm.get_kind_display(), f"{alarm.detail}\n\n{alarm.advice}")
            sent += 1
        except NoticeFailed:
            log.warning("a notice could not be sent", exc_info=True)
    return sent


def _span(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"
