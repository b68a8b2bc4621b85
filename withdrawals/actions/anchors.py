"""Anchoring the audit log: its head goes off this machine, every minute, to a file also every 100 entries."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.conf import settings

from withdrawals.models import Anchor, AnchorPlace, AuditAnchor, AuditEntry, AuditHead
from withdrawals.outbound.anchors import (
    AnchorFailed,
    anchor_line,
    append_to_file,
    post_to_slack,
    read_file,
    send_by_mail,
)

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)
ENTRIES = 100
# A mailbox and a channel are read by people: however busy the hour, the minutes alone count there.
READ_BY_PEOPLE = (AnchorPlace.EMAIL, AnchorPlace.SLACK)
# After this long without an anchor that is due, people are told.
OVERDUE = timedelta(minutes=3)


def configured_places() -> dict[AnchorPlace, Callable[[str], None]]:
    """Where anchors go, and how; empty where nobody configured a place."""
    places: dict[AnchorPlace, tuple[str, Callable[[str], None]]] = {
        AnchorPlace.FILE: (settings.AUDIT_ANCHOR_FILE, append_to_file),
        AnchorPlace.EMAIL: (settings.AUDIT_ANCHOR_EMAIL, send_by_mail),
        AnchorPlace.SLACK: (settings.AUDIT_ANCHOR_SLACK, post_to_slack),
    }
    return {place: send for place, (address, send) in places.items() if address}


def send_anchors(*, now: datetime) -> int:
    """Send the head to each place where it is due; how many took it. Run twice, nothing is due.

    No entry of the log tells of it: that would move the head, and so never end. What was sent is kept in a table.
    """
    head = AuditHead.objects.get(pk=1)
    sent = 0
    for place, send in configured_places().items():
        if not is_due(place, head, now=now):
            continue
        try:
            send(anchor_line(head.number, head.hash, now))
        except AnchorFailed as error:
            log.warning("the anchor of entry %s was not taken: %s, %s", head.number, place.label, error)
            continue
        kept = AuditAnchor(number=head.number, hash=head.hash, place=place, sent_at=now)
        AuditAnchor.objects.bulk_create([kept], ignore_conflicts=True)
        sent += 1
    return sent


def is_due(place: AnchorPlace, head: AuditHead, *, now: datetime) -> bool:
    """Whether this place should get the head now: it moved, and a minute or, in a file, 100 entries have gone by."""
    last = AuditAnchor.objects.last_at(place)
    if last is None:
        return head.number > 0
    if (last.number, last.hash) == (head.number, head.hash):
        return False
    if now < last.sent_at:
        # A clock that was set back must not silence the anchors, and a minute is a minute by that clock too.
        within = AuditAnchor.objects.filter(place=place, sent_at__gt=now - EVERY, sent_at__lte=now)
        return not within.exists()
    if now - last.sent_at >= EVERY:
        return True
    # A head that went back is a reason to tell at once.
    ran = head.number - last.number
    return place not in READ_BY_PEOPLE and not 0 <= ran < ENTRIES


def overdue_places(*, now: datetime) -> list[str]:
    """Places that have not got an anchor for too long, each with since when."""
    found = []
    for place in configured_places():
        last = AuditAnchor.objects.last_at(place)
        # What the place should know by now: the first entry after its last anchor is the oldest that waits.
        waiting = AuditEntry.objects.filter(number=(last.number if last else 0) + 1).values_list("at", flat=True)
        since = waiting.first()
        if last is not None and since is not None:
            since = max(since, last.sent_at)
        if since is not None and now - since > OVERDUE:
            found.append(f"{place.label} since {since:%d %b %H:%M} UTC")
    return found


def known_anchors(*, after: int = 0) -> Iterator[Anchor]:
    """Every anchor of entries after `after` that this desk can get hold of: those that it kept, and the file's.

    Raises AnchorFailed where the configured file cannot be read, or lost what was written to it.
    """
    yield from AuditAnchor.objects.after(after).as_sent()
    if not settings.AUDIT_ANCHOR_FILE:
        return
    last = AuditAnchor.objects.last_at(AnchorPlace.FILE)
    has_last = last is None
    try:
        # Also where nothing is kept of it: whoever rewrites the log can empty our table, and not that file.
        for number, digest in read_file(settings.AUDIT_ANCHOR_FILE):
            has_last = has_last or (last is not None and (number, digest) == (last.number, last.hash))
            if number > after:
                yield Anchor(number, digest, "in the file")
    except AnchorFailed:
        if last is None:
            return  # nothing was sent there yet, so there need not be a file
        raise
    if last is not None and not has_last:
        raise AnchorFailed(f"the anchor of entry {last.number} was written to it and is not there")
