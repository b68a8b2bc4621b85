"""Checking the audit log as a whole. A log of a million entries takes most of a minute, so it goes slice by slice."""

import time
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.tasks import task
from django.utils import timezone

from withdrawals.actions.anchors import known_anchors, send_anchors
from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.models import AuditCheck, AuditHead, Source, User
from withdrawals.models.audit_chain import Walk, by_number
from withdrawals.outbound.anchors import AnchorFailed

# How long one wake-up walks before it lets the worker do something else: a cancellation may wait to be sent.
WORK_MS = 2_000
# What a page may wait for.
PAGE_MS = 300
# A check that nobody carried on with for this long is taken up again.
FORGOTTEN = timedelta(seconds=20)


def start_check(*, actor: User, origin: Origin, now: datetime) -> AuditCheck:
    """Begin to verify the log, or join the check that is running. A short log is done at once."""
    running = AuditCheck.objects.open().first()
    if running is not None:
        return running
    head = AuditHead.objects.get(pk=1)
    try:
        with transaction.atomic():
            check = AuditCheck.objects.create(asked_by=actor, asked_at=now, changed_at=now, target=head.number)
            record([Fact("audit.check_started", after={"entries": head.number})], origin=origin, now=now)
            carry_on_checking.enqueue()
    except IntegrityError:
        return AuditCheck.objects.order_by("-pk")[0]
    return advance_check(check, now=now, most_ms=PAGE_MS)


@task
def keep_log() -> int:
    """Send the anchors that are due, and take up a check that was left alone. Run twice, it finds nothing to do."""
    now = timezone.now()
    if AuditCheck.objects.open().filter(changed_at__lt=now - FORGOTTEN).exists():
        carry_on_checking.enqueue()
    return send_anchors(now=now)


@task
def carry_on_checking() -> int:
    """Walk on for a while, and wake again for the rest; the entry that was reached. Run twice, one of the two waits."""
    check = AuditCheck.objects.open().first()
    if check is None:
        return 0
    check = advance_check(check, now=timezone.now(), most_ms=WORK_MS)
    if check.is_open:
        carry_on_checking.enqueue()
    return check.number


def advance_check(check: AuditCheck, *, now: datetime, most_ms: int) -> AuditCheck:
    """Walk on from where the check stands, for about `most_ms` milliseconds; the check as it then is.

    Two at once do the same work; the one that is slower finds the row moved on, and changes nothing.
    """
    deadline = time.monotonic() + most_ms / 1_000
    try:
        walk = Walk(check.position, by_number(known_anchors(after=check.number)))
    except AnchorFailed as error:
        return _end(check, Walk(check.position, is_over=True), now=now, doubt=f"The anchor file: {error}.")
    while not walk.is_over and time.monotonic() < deadline:
        walk.go()
    if walk.is_over:
        return _end(check, walk, now=now)
    here = walk.position
    AuditCheck.objects.open().filter(pk=check.pk, number=check.number).update(
        number=here.number, hash=here.hash, anchored=here.anchored, changed_at=now
    )
    check.refresh_from_db()
    return check


def _end(check: AuditCheck, walk: Walk, *, now: datetime, doubt: str = "") -> AuditCheck:
    here, found = walk.position, walk.tampering
    kind, problem = (str(found.kind), found.sentence) if found else ("", doubt)
    bad_number = found.number if found else None
    with transaction.atomic():
        moved = (
            AuditCheck.objects.open()
            .filter(pk=check.pk, number=check.number)
            .update(
                is_open=False,
                ended_at=now,
                changed_at=now,
                number=here.number,
                hash=here.hash,
                anchored=here.anchored,
                kind=kind,
                bad_number=bad_number if isinstance(bad_number, int) else None,
                problem=problem[:300],
            )
        )
        if moved:
            after: dict[str, Value] = {"entries": here.number, "problem": problem[:300]}
            origin = Origin(Source.WORKER, name="audit check")
            record([Fact("audit.check_ended", after=after)], origin=origin, now=now)
    check.refresh_from_db()
    return check
