"""Live invariants: what the tests prove is asked of the live tables too, every few minutes.

Each is a query that finds the rows which break a promise; it finds none while all is well. They look at what
constraints cannot hold: across rows, across tables, and at a database that somebody edited by hand.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, zip_longest

from django.conf import settings
from django.db import connection
from django.db.models import Case, Count, F, Max, Sum, When
from django.db.models.functions import Coalesce
from django.tasks import task
from django.utils import timezone
from django.utils.translation import gettext_lazy

from withdrawals.assetpay.callbacks import Kind
from withdrawals.models import (
    Attempt,
    AuditEntry,
    AuditHead,
    Cancellation,
    CancellationState,
    Delivery,
    EntryKind,
    InvariantResult,
    Item,
    Refund,
    RefundState,
    Verdict,
)
from withdrawals.models.audit_triggers import missing_triggers
from withdrawals.models.cancellation import OPEN_STATES
from withdrawals.models.money import UsdField
from withdrawals.models.refund_rules import REVERTED_BY_USER
from withdrawals.models.status import FINAL, UNDELIVERED, Status
from withdrawals.models.words import Words

log = logging.getLogger(__name__)

NAMED_ROWS = 20
COUNTED_ROWS = 1_000
NEWEST_ENTRIES = 500
# What one transaction changes may be seen by the next query; what stays wrong for this long is wrong.
SETTLED_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class Invariant:
    """A promise, the property of docs/faults.md that it stands for, and the query that finds what breaks it."""

    name: str
    promise: Words
    broken_rows: Callable[[datetime], Iterable[str]]


def _two_open_cancellations(_: datetime) -> Iterable[str]:
    rows = Cancellation.objects.open().values("item_id").annotate(count=Count("pk")).filter(count__gt=1)
    return (f"item {row['item_id']}: {row['count']} open" for row in rows.order_by("item_id"))


def _gaps_in_numbers(_: datetime) -> Iterable[str]:
    rows = Cancellation.objects.values("item_id").annotate(count=Count("pk"), last=Max("number"))
    broken = rows.exclude(count=F("last")).order_by("item_id")
    return (f"item {row['item_id']}: {row['count']} numbered up to {row['last']}" for row in broken)


def _sent_without_permit(_: datetime) -> Iterable[str]:
    rows = Attempt.objects.values("request_id").annotate(permits=Count("permit")).filter(permits=0)
    return (f"call {row['request_id']}" for row in rows.order_by("request_id"))


def _over_the_limit(now: datetime) -> Iterable[str]:
    limit: int = settings.ASSETPAY_CANCELS_PER_MINUTE
    calls = Attempt.objects.filter(started_at__gte=now - timedelta(hours=1)).values("request_id")
    starts = sorted(row["at"] for row in calls.annotate(at=Max("started_at")))
    for first, last in zip(starts, starts[limit:], strict=False):
        if last - first < timedelta(seconds=60):
            yield f"more than {limit} calls in the minute from {first:%H:%M:%S} UTC"


def _stuck_in_sending(now: datetime) -> Iterable[str]:
    rows = Cancellation.objects.filter(state=CancellationState.SENDING, lease_until__lt=now - SETTLED_AFTER)
    return (f"cancellation {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _open_though_ended(now: datetime) -> Iterable[str]:
    rows = Cancellation.objects.filter(
        state__in=OPEN_STATES, item__status__in=FINAL, item__status_changed_at__lt=now - SETTLED_AFTER
    )
    return (f"cancellation {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _acknowledged_approval(_: datetime) -> Iterable[str]:
    approvals = [Kind.WITHDRAWAL_APPROVAL, Kind.CRYPTO_APPROVAL]
    rows = Delivery.objects.filter(verdict__in=[Verdict.APPLIED, Verdict.NOTED], kind__in=approvals)
    return (f"delivery {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _never_understood(now: datetime) -> Iterable[str]:
    rows = Delivery.objects.filter(verdict=Verdict.RECEIVED, last_received_at__lt=now - SETTLED_AFTER)
    return (f"delivery {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _refund_is_not_its_ledger(_: datetime) -> Iterable[str]:
    signed = Case(When(entries__kind=EntryKind.CONFIRMATION, then=F("entries__amount")), default=-F("entries__amount"))
    rows = Refund.objects.annotate(ledger=Coalesce(Sum(signed), 0, output_field=UsdField()))
    return (f"refund {pk}" for pk in rows.exclude(net=F("ledger")).order_by("pk").values_list("pk", flat=True))


def _paid_more_than_the_price(_: datetime) -> Iterable[str]:
    # No price, or one of zero, leaves the amount to people; an earlier price that comes later contradicts the refund.
    rows = Refund.objects.filter(price__gt=0, contradicted_at=None, net__gt=F("item__first_price")).order_by("pk")
    return (f"refund {pk}" for pk in rows.values_list("pk", flat=True))


def _undelivered_without_refund(now: datetime) -> Iterable[str]:
    rows = Item.objects.filter(
        status__in=UNDELIVERED, refund=None, trade__type="withdraw", status_changed_at__lt=now - SETTLED_AFTER
    )
    return (f"item {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _refund_without_cause(_: datetime) -> Iterable[str]:
    rows = Refund.objects.filter(state=RefundState.DUE).exclude(item__status__in=UNDELIVERED)
    return (f"refund {pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))


def _reversed_by_the_customer_and_due(_: datetime) -> Iterable[str]:
    rows = Refund.objects.filter(state=RefundState.DUE, item__status=Status.REVERTED).select_related("item__trade")
    return (f"refund {row.pk}" for row in rows.order_by("pk").iterator() if REVERTED_BY_USER in row.item.trade.signs)


def _log_has_a_gap(_: datetime) -> Iterable[str]:
    head = AuditHead.objects.get(pk=1)
    count, last = AuditEntry.objects.aggregate(count=Count("pk"), last=Max("number")).values()
    if not count == (last or 0) == head.number:
        yield f"{count} entries, the last is {last}, the head is at {head.number}"


def _newest_entries_do_not_link(_: datetime) -> Iterable[str]:
    # The whole chain is `verify_audit`'s; what was added lately is looked at here.
    newest = list(AuditEntry.objects.order_by("-number")[:NEWEST_ENTRIES])
    for entry, former in zip_longest(newest, newest[1:]):
        if entry.hash != entry.content_hash():
            yield f"entry {entry.number} was edited"
        elif former is not None and entry.previous_hash != former.hash:
            yield f"entry {entry.number} does not follow {former.number}"


def _triggers_missing(_: datetime) -> Iterable[str]:
    return missing_triggers(connection)


INVARIANTS = (
    Invariant(
        "one-open-cancellation",
        gettext_lazy("An item has at most one open cancellation (P9)."),
        _two_open_cancellations,
    ),
    Invariant(
        "cancellations-numbered",
        gettext_lazy("The cancellations of an item are numbered without gaps (P9)."),
        _gaps_in_numbers,
    ),
    Invariant(
        "sent-under-permit", gettext_lazy("Nothing was sent to AssetPay without a permit (P10)."), _sent_without_permit
    ),
    Invariant(
        "within-the-limit",
        gettext_lazy("No minute of the last hour holds more cancels than the limit (P14)."),
        _over_the_limit,
    ),
    Invariant(
        "sending-ends", gettext_lazy("No cancellation stays with a worker that is gone (P11)."), _stuck_in_sending
    ),
    Invariant(
        "ended-items-rest", gettext_lazy("An item that has ended holds no open cancellation (P6)."), _open_though_ended
    ),
    Invariant("approvals-unanswered", gettext_lazy("No approval was ever acknowledged (P16)."), _acknowledged_approval),
    Invariant(
        "deliveries-understood", gettext_lazy("Every callback that was kept has its verdict (P8)."), _never_understood
    ),
    Invariant(
        "refund-is-its-ledger",
        gettext_lazy("What a refund paid is the sum of its ledger (P21)."),
        _refund_is_not_its_ledger,
    ),
    Invariant(
        "refund-within-price", gettext_lazy("No refund paid more than the item cost (P19)."), _paid_more_than_the_price
    ),
    Invariant(
        "undelivered-has-refund",
        gettext_lazy("An item that ended undelivered has its refund (P20)."),
        _undelivered_without_refund,
    ),
    Invariant(
        "refund-has-cause",
        gettext_lazy("No refund is due for an item that was delivered or is open (P22)."),
        _refund_without_cause,
    ),
    Invariant(
        "reversed-by-customer",
        gettext_lazy("What the customer reversed is never due without a look (P22)."),
        _reversed_by_the_customer_and_due,
    ),
    Invariant("log-without-gap", gettext_lazy("The audit log has no gap and ends at its head (P25)."), _log_has_a_gap),
    Invariant(
        "log-links",
        gettext_lazy("The newest entries of the audit log are unedited and linked (P25)."),
        _newest_entries_do_not_link,
    ),
    Invariant(
        "triggers-stand",
        gettext_lazy("The database refuses changes of the audit log and the ledger (F74)."),
        _triggers_missing,
    ),
)


@task
def check_invariants() -> int:
    """Look at all of them and keep what was found; how many are broken. Run twice, it finds the same."""
    return look_at_invariants(now=timezone.now())


def look_at_invariants(*, now: datetime) -> int:
    """As `check_invariants`. One that cannot be asked counts as broken: nobody knows that it holds."""
    broken = 0
    for invariant in INVARIANTS:
        try:
            rows = list(islice(invariant.broken_rows(now), COUNTED_ROWS))
        except Exception as error:
            log.exception("the invariant %s could not be looked at", invariant.name)
            rows = [f"could not be looked at ({type(error).__name__})"]
        broken += bool(rows)
        if rows:
            log.error("the invariant %s is broken by %s rows", invariant.name, len(rows))
        before = InvariantResult.objects.filter(name=invariant.name).first()
        since = (before.broken_since if before else None) or now
        InvariantResult.objects.update_or_create(
            name=invariant.name,
            defaults={
                "checked_at": now,
                "broken": len(rows),
                "rows": rows[:NAMED_ROWS],
                "broken_since": since if rows else None,
            },
        )
    return broken
