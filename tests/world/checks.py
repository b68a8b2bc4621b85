"""What must hold after every step, whatever happened: of the tables, and of the effects that AssetPay counted."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import mail
from django.db.models import QuerySet

from tests.actions.test_audit_replay import compare_with_the_tables, replayed
from withdrawals.actions.invariants import INVARIANTS
from withdrawals.models import (
    Alarm,
    Attempt,
    AuditEntry,
    Cancellation,
    CancellationState,
    Item,
    Refund,
    RefundEntry,
    RefundState,
)
from withdrawals.models.cancellation import OPEN_STATES
from withdrawals.models.prepared import found_models, rows_of
from withdrawals.models.status import LONG_AGO, UNDELIVERED, Status
from withdrawals.templatetags.desk import ACTION_WORDS

MINUTE = timedelta(seconds=60)
SAYS_NOTHING_WAS_DONE = ("wait", "not_sent")
# After these keys the same request may leave once more: nothing was done, by AssetPay's own word.
ASKED_AGAIN = ("TRADE_CANCEL_TOO_SOON", "TOKEN_EXPIRED", "TOKEN_INVALID_OR_EXPIRED", "INVALID_TOKEN")
ENDS = (Status.FAILED, Status.DECLINED, Status.CANCELED, Status.COMPLETED)
PAYABLE = (RefundState.DUE, RefundState.AWAITING, RefundState.CONFIRMED)


WHOLE_LOOK_EVERY = 5


# Written once each, for all steps: with statements made anew a look took as long as the step before it.
def _items() -> QuerySet[Item]:
    return Item.objects.select_related("trade").defer("document", "trade__document")


def _cancellations() -> QuerySet[Cancellation]:
    return Cancellation.objects.order_by("pk")


def _attempts() -> QuerySet[Attempt]:
    return Attempt.objects.order_by("cancellation", "number")


def _refunds() -> QuerySet[Refund]:
    return Refund.objects.all()


def _added(last: int) -> QuerySet[AuditEntry, Any]:
    columns = ("number", "action", "item", "before", "after")
    return AuditEntry.objects.filter(number__gt=last).order_by("number").values_list(*columns)


def _kinds() -> QuerySet[RefundEntry, Any]:
    return RefundEntry.objects.values_list("kind")


class Witness:
    """Remembers what was true once and must stay so, and what AssetPay itself ever said of each item."""

    def __init__(self) -> None:
        self.closed: dict[int, str] = {}
        self.weights: dict[int, tuple[int, datetime]] = {}
        self.history: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.calls: list[dict[str, Any]] = []
        self.looks = 0
        self.log: Counter[str] = Counter()
        self.last_entry = 0
        self.told: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
        # What there is, for those who choose what to do next.
        self.trades, self.items, self.asked, self.refunds = 0, 0, Counter[str](), 0

    def hear(self, trade: dict[str, Any]) -> None:
        """AssetPay's own word on a trade, however it became known."""
        for item in trade["items"]:
            self.history[trade["id"], item["id"]].add(item["status"])

    def look(self, now: datetime, *, whole: bool = False) -> None:
        """What must hold after every step; now and then, and at the end, the live invariants and the whole log too.

        Raises AssertionError.
        """
        self.looks += 1
        self._read_the_log()
        items = {item.pk: item for item in found_models(_items).models()}
        cancellations = found_models(_cancellations).models()
        attempts: dict[int, list[Attempt]] = defaultdict(list)
        for attempt in found_models(_attempts).models():
            attempts[attempt.cancellation_id].append(attempt)
        refunds = found_models(_refunds).models()
        self.trades, self.items = len({item.trade_id for item in items.values()}), len(items)
        self.asked, self.refunds = Counter(str(each.state) for each in cancellations), len(refunds)
        self._effects(cancellations, attempts, refunds)
        for each in cancellations:
            self._one(each, items[each.item_id], attempts[each.pk])
        self._refunds(refunds, items)
        self._mirror(items)
        if whole or self.looks % WHOLE_LOOK_EVERY == 0:
            for invariant in INVARIANTS:
                assert list(invariant.broken_rows(now)) == [], invariant.promise
            compare_with_the_tables(replayed())
            assert len(mail.outbox) <= Alarm.objects.exclude(notified_at=None).count(), "a notice went out twice"

    def _read_the_log(self) -> None:
        """What was added to it, each entry linked to the last, its old value what the one before left (P24, P25)."""
        for number, action, item, before, after in rows_of(_added, last=self.last_entry):
            self.last_entry += 1
            assert number == self.last_entry
            self.log[action] += 1
            assert action in ACTION_WORDS, f"{action} would be read by people as it is"
            if action.startswith("cancellation.") and "cancellation" in after:
                row = self.told["cancellation", item]
                assert row.get("cancellation") == before.get("cancellation") or "cancellation" not in before, action
                row |= after

    def _effects(
        self, cancellations: list[Cancellation], attempts: dict[int, list[Attempt]], refunds: list[Refund]
    ) -> None:
        """Calls counted at AssetPay, and entries of the log, against the rows."""
        assert self.log["cancellation.requested"] + self.log["cancellation.armed"] == len(cancellations)
        assert self.log["refund.opened"] == len(refunds)
        kinds = Counter(kind for (kind,) in rows_of(_kinds))
        said = (self.log["refund.confirmed"], self.log["refund.compensated"])
        assert said == (kinds["confirmation"], kinds["compensation"])
        known = {str(attempt.request_id): attempt for each in attempts.values() for attempt in each}
        sent = Counter(call["callerRequestId"] for call in self.calls)
        assert set(sent) <= set(known), "sent without a committed intent"
        assert set(sent.values()) <= {1}, "one request was sent twice"
        limit = settings.ASSETPAY_CANCELS_PER_MINUTE
        times = sorted(datetime.fromisoformat(call["time"]) for call in self.calls)
        crowded = [first for first, last in zip(times, times[limit:], strict=False) if last - first < MINUTE]
        assert crowded == [], "more calls within a minute than the limit, by AssetPay's own clock"
        for call in self.calls:
            outcome = known[call["callerRequestId"]].outcome
            assert outcome != "not_sent", "what AssetPay got was called not sent"
            if call["status"] == 200 and call["fault"] is None and call["route"] == "cancel_item":
                assert outcome in ("accepted", "unknown", "sending"), "AssetPay's yes was taken for something else"

    def _one(self, cancellation: Cancellation, item: Item, attempts: list[Attempt]) -> None:
        """P11 to P13 of one cancellation."""
        state, key = cancellation.state, cancellation.pk
        assert self.closed.get(key, state) == state, f"{self.closed[key]} became {state}"
        if state not in OPEN_STATES:
            self.closed[key] = state
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        resends = 0
        for attempt in attempts[:-1]:
            if attempt.outcome == "unknown":
                resends += 1
                assert (attempt.http_status or 0) < 500, "sent again after a 5xx"
            elif attempt.outcome == "refused":
                assert attempt.key in ASKED_AGAIN, f"sent again after {attempt.key}"
                resends = 0 if attempt.key == "TRADE_CANCEL_TOO_SOON" else resends
            else:
                assert attempt.outcome in SAYS_NOTHING_WAS_DONE, f"sent again after {attempt.outcome}"
            assert resends <= 1, "sent again twice after lost answers"
        said = self.history[item.trade.assetpay_id, item.assetpay_id]
        if state == CancellationState.CONFIRMED:
            assert said & {*UNDELIVERED}, "called undone, and AssetPay never said so"
        if state == CancellationState.OVERTAKEN:
            assert Status.COMPLETED in said, "called delivered, and AssetPay never said so"
        if state == CancellationState.ACCEPTED:
            ids = {str(attempt.request_id) for attempt in attempts}
            answered = [call for call in self.calls if call["callerRequestId"] in ids and call["status"] == 200]
            assert answered, "called accepted, and AssetPay never answered so"

    def _refunds(self, refunds: list[Refund], items: dict[int, Item]) -> None:
        """P20, P22: nothing is payable of which AssetPay never said that it ended undelivered."""
        for refund in refunds:
            item = items[refund.item_id]
            said = self.history[item.trade.assetpay_id, item.assetpay_id]
            if refund.state in PAYABLE:
                assert said & {*UNDELIVERED}, "payable, and AssetPay never said that it came back"
            assert 0 <= refund.net <= (refund.amount or 0) <= max(refund.price or 0, refund.amount or 0)

    def _mirror(self, items: dict[int, Item]) -> None:
        """P3, P4: what the mirror knows of an item never goes back."""
        for item in items.values():
            # Written down here once more: the product's own scales are what is being looked at.
            rank = 2 if item.status == Status.REVERTED else int(item.status in ENDS)
            weight = (rank, item.status_reported_at or LONG_AGO)
            assert weight >= self.weights.get(item.pk, weight), f"{item.status}: the mirror went back"
            self.weights[item.pk] = weight
            assert item.status in self.history[item.trade.assetpay_id, item.assetpay_id], "AssetPay never said that"
