"""A model of the world: people, suppliers, AssetPay, the network and dying processes, drawn by hypothesis.

The desk's own views, actions and worker run against the sandbox over HTTP; both read one clock, which a step moves.
AssetPay sends no callback by itself here: what it would send is kept in order, and a step decides what becomes of it.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar
from unittest import mock

import simplejson
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sandbox.client import SandboxControl
from tests.desk import signed
from tests.faults import kills
from tests.faults.door import DOOR
from tests.faults.test_convergence import AFTER, held_by_assetpay, mirrored
from tests.together import in_one_thread
from tests.wire import NOON
from tests.world.checks import Witness
from tests.world.strokes import Killed, die, struck
from withdrawals import gateway
from withdrawals.actions import deliveries, looking, refund_approvals, sending, trades
from withdrawals.actions.alarms import notify, watch
from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import Call, answer_status
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.errors import AssetPayError
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.models import (
    AuditEntry,
    Batch,
    Cancellation,
    CancellationState,
    Delivery,
    Item,
    Refund,
    RefundEntry,
    RefundState,
    Route,
    Settlement,
    Source,
    Trade,
    User,
    Verdict,
)
from withdrawals.models.settlement import fingerprint_to_settle

AGENT, OTHER_AGENT, SUPERVISOR, OTHER_SUPERVISOR = range(4)
SCRIPTS = ("accept", "refuse", "late", "silent", "delivers_anyway", "accept_canceled")
MOVES = AFTER | {"completed": ["reverted"], "initiated": ["pending", "failed"]}
ANSWERED = (200, 302, 303, 404, 409, 422)
READ = Origin(Source.READ, name="world")
# What the network or AssetPay makes of the next call. None: nothing.
FAULTS: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    None,
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "status", "status": 500, "effect": True},
    {"kind": "status", "status": 503, "effect": False},
    {"kind": "html"},
    {"kind": "html", "status": 200, "effect": True},
    {"kind": "empty"},
    {"kind": "truncated"},
    {"kind": "wrong_ids"},
    {"kind": "rate_limited", "retry_after": 20},
    {"kind": "maintenance"},
    {"kind": "token_expired"},
    {"kind": "error", "key": "TRADE_CANCEL_TOO_SOON"},
    {"kind": "error", "key": "TRADE_NOT_CANCELLABLE"},
    {"kind": "error", "key": "WEATHER_TOO_BAD", "status": 409},
)
FORGERIES = ("another secret", "another body", "half a signature", "unsigned")
# Where a worker holds no transaction, so that others may act meanwhile.
BETWEEN = (
    ("withdrawals.actions.sending._ask", False),
    ("withdrawals.assetpay.transport.Transport.send", False),
    ("withdrawals.assetpay.transport.Transport.send", True),
    ("withdrawals.actions.sending.record_answer", False),
)
picks = st.integers(0, 11)
people = st.integers(AGENT, OTHER_SUPERVISOR)
deaths = st.tuples(picks, st.booleans())


class World(RuleBasedStateMachine):
    """One day at the desk, begun anew for each example."""

    control: ClassVar[SandboxControl]
    traveller: ClassVar[Any]
    staff: ClassVar[tuple[User, ...]]
    steps: ClassVar[int] = 0
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.inside = ExitStack()
        self.traveller.move_to(NOON)
        # Ids decide what comes first among equals, so they are the same whenever the same steps are taken.
        chance = Random(0)  # nobody is kept out by them
        for place in ("os.urandom", "random._urandom"):
            self.inside.enter_context(mock.patch(place, chance.randbytes))
        self.control.reset()
        mail.outbox = []
        self.inside.enter_context(transaction.atomic())
        self.browsers = [Client(raise_request_exception=True) for _ in self.staff]
        self.logged_in: dict[int, datetime] = {}
        self.caller = Client(enforce_csrf_checks=True)
        self.witness = Witness()
        self.heard = self.held = 0
        self.requests: list[dict[str, Any]] = []
        self.news: list[dict[str, Any]] = []
        self.sent: list[tuple[bytes, str, str]] = []
        self.slow_reads: list[gateway.Fetched] = []
        self.seen: list[str] = []
        World.steps -= 1  # the first look follows no step

    def teardown(self) -> None:
        """Heal what can heal, unless a step has failed; and leave nothing behind."""
        try:
            if sys.exception() is None:
                self.heal()
        finally:
            transaction.set_rollback(True)
            self.inside.close()

    @property
    def now(self) -> datetime:
        """The one time of everybody."""
        return timezone.now()

    def note(self, what: str, times: int = 1) -> None:
        """For the summary: what happened how often, so that nothing is believed to be tried that never was."""
        World.done[what] += times

    # --- AssetPay and its suppliers ------------------------------------------------------------------------

    @initialize(first=st.integers(0, 5), second=st.integers(0, 5), price=st.sampled_from(["25.50", "250.00"]))
    def a_day_begins(self, first: int, second: int, price: str) -> None:
        """Two trades, one of them known already."""
        self.make(first, 7_200, price, 2)
        self.make(second, 1_750, "99.99", 1)
        self.listen()
        self.post(*self.envelope(0))
        self.news.pop(0)

    def make(self, script: int, age: int, price: str, items: int, **more: Any) -> dict[str, Any]:
        """AssetPay has another trade."""
        return self.control.make_trade(
            age_seconds=age,
            supplier=SCRIPTS[script],
            supplier_delay_seconds=45,
            items=[{"price": price} for _ in range(items)],
            **{"auto_cancel_seconds": None} | more,
        )

    @rule(script=st.integers(0, 5), age=st.sampled_from([60, 1_790, 7_200]), price=st.sampled_from(["12.50", "180.00"]))
    @precondition(lambda self: self.held < 4)
    def somebody_buys(self, script: int, age: int, price: str) -> None:
        """News of a new trade is on its way; the merchant's own or a customer's."""
        source = "self" if age == 60 else "client"
        self.make(
            script, age, price, 1 + script % 2, source=source, auto_cancel_seconds=1_800 if age == 1_790 else None
        )

    @rule(which=picks, how=picks, by_user=st.booleans(), is_told=st.booleans())
    def a_supplier_moves(self, which: int, how: int, by_user: bool, is_told: bool) -> None:
        """Delivered, given up, reverted: an item goes on as AssetPay's states allow, told or not."""
        held = [(trade, item) for trade in self.control.state()["trades"] for item in trade["items"]]
        trade, item = held[which % len(held)]
        ways = MOVES.get(item["status"], [])
        if not ways:
            return
        status = ways[how % len(ways)]
        self.control.change_item(trade["id"], item["id"], status=status, announce=is_told)
        if by_user and status == "reverted":
            self.control.change_trade(trade["id"], reverted_by="user", announce=is_told)
        self.note(f"an item became {status}")

    @rule(seconds=st.sampled_from([1, 4, 6, 31, 46, 61, 200, 1_000, 20_000]))
    def time_passes(self, seconds: int) -> None:
        """For everybody at once. Over long stretches the clock rings, as it does."""
        self.traveller.shift(seconds)
        self.control.advance(0)
        if seconds > 60:
            self.work()

    def listen(self) -> None:
        """AssetPay's own record: what it holds, what it was asked, and what it has to tell, which is now under way."""
        state = self.control.state()
        there, held = state["remembered"], state["trades"]
        for each in self.control.deliveries()[self.heard :] if there["deliveries"] > self.heard else ():
            body = each["body"].encode()
            trade = simplejson.loads(body)["trade"]
            self.witness.hear(trade)
            self.news.append({"body": body, "id": each["deliveryId"], "kind": each["kind"]})
            self.heard += 1
        self.held = len(held)
        for trade in held:
            self.witness.hear(trade)
        # The last one may have been without its answer yet.
        if there["requests"] > len(self.requests) or (self.requests and self.requests[-1]["status"] is None):
            self.requests = self.control.requests()
            self.witness.calls = [call for call in self.requests if call["method"] == "POST"]

    # --- callbacks -----------------------------------------------------------------------------------------

    def envelope(self, which: int) -> tuple[bytes, str, str]:
        """One callback that is under way: its bytes, its signature, what it is."""
        each = self.news[which]
        return each["body"], signed(each["body"], now=self.now, delivery_id=each["id"]), each["kind"]

    def post(self, body: bytes, signature: str, kind: str, **headers: str) -> int:
        """Knock at the door. Whatever comes, an approval is answered 503 (P16) and nothing is a 500 (P30)."""
        given = {"X-Callback-Copy": "1", **headers} | ({"X-AssetPay-Signature": signature} if signature else {})
        answer = self.caller.generic("POST", DOOR, body, content_type="application/json", headers=given)
        status = int(answer.status_code)
        assert status in (200, 401, 409, 503), status
        if kind == "approval":
            assert status == 503, "an approval was answered otherwise than by 503"
        return status

    @rule(which=picks, copies=st.integers(1, 2), late=st.sampled_from([0, 0, 0, 400, 80_000]))
    @precondition(lambda self: self.news)
    def a_callback_comes(self, which: int, copies: int, late: int) -> None:
        """In any order, once or twice, signed now or long ago; signed and true, so it has its effect."""
        body, signature, kind = self.envelope(which % len(self.news))
        each = self.news.pop(which % len(self.news))
        if late:
            signature = signed(body, now=self.now - timedelta(seconds=late), delivery_id=each["id"])
        first = self.post(body, signature, kind)
        assert kind == "approval" or first == 200, first
        self.sent.append((body, signature, kind))
        if copies == 2:
            self.same_again(body, signature, kind)
        self.note("callbacks")

    @rule(which=picks, many=st.integers(2, 4))
    @precondition(lambda self: len(self.news) > 1)
    def callbacks_come_together(self, which: int, many: int) -> None:
        """As the threads of one web process have them at one instant, which share a transaction."""
        arrivals = []
        for _ in range(min(many, len(self.news))):
            body, signature, kind = self.envelope(which % len(self.news))
            self.news.pop(which % len(self.news))
            self.sent.append((body, signature, kind))
            if kind == "approval":
                self.post(body, signature, kind)
            else:
                arrivals.append(deliveries._arrive(Call(signature, body, "127.0.0.1", is_copy=True), self.now))
        wanted = [(arrival, arrival.subject) for arrival in arrivals]
        for delivery in in_one_thread(deliveries._turns, wanted):
            assert answer_status(delivery) == 200, delivery.problem
        self.note("callbacks together", len(arrivals))

    @rule(which=picks)
    @precondition(lambda self: self.sent)
    def a_callback_comes_again(self, which: int) -> None:
        """The very same, long after: answered alike, without a second effect."""
        body, signature, kind = self.sent[which % len(self.sent)]
        self.same_again(body, signature, kind)

    def same_again(self, body: bytes, signature: str, kind: str) -> None:
        """Effects are counted: the merge would hide a second application from whoever looks at the end state."""
        before = self.effects(body)
        status = self.post(body, signature, kind)
        if status == 401:  # signed more than a week ago: a replay by a stranger
            return
        assert kind == "approval" or status == 200
        if kind != "approval":
            assert self.effects(body) == before, "a repeated callback had a second effect"
        self.note("callbacks repeated")

    def effects(self, body: bytes) -> list[Any]:
        """What a second application would change: the log, the decisions, and what the delivery says it did."""
        columns = ("verdict", "applied_at", "changes", "trade")
        kept = Delivery.objects.filter(body_sha256=hashlib.sha256(body).hexdigest(), verdict=Verdict.APPLIED)
        return [
            AuditEntry.objects.count(),
            RefundEntry.objects.count(),
            list(kept.order_by("pk").values_list(*columns)),
        ]

    @rule(which=picks)
    @precondition(lambda self: self.news)
    def a_callback_is_lost(self, which: int) -> None:
        """AssetPay gives up, or the merchant's backend did."""
        self.news.pop(which % len(self.news))
        self.note("callbacks lost")

    @rule(which=picks, status=st.sampled_from(["reverted", "completed", "failed"]), how=st.sampled_from(FORGERIES))
    @precondition(lambda self: self.witness.trades)
    def a_stranger_forges(self, which: int, status: str, how: str) -> None:
        """Claims an end that AssetPay never told."""
        known = list(Trade.objects.order_by("pk"))
        document = simplejson.loads(known[which % len(known)].document)
        document |= {"status": status, "items": [item | {"status": status} for item in document["items"]]}
        document["updatedAt"] = (self.now + timedelta(seconds=1)).isoformat(timespec="milliseconds")[:-6] + "Z"
        body = simplejson.dumps({"trade": document}).encode()
        signature = {
            "another secret": signed(body, now=self.now, secret="a-secret-of-a-stranger"),
            "another body": signed(body + b" ", now=self.now),
            "half a signature": signed(body, now=self.now)[:-30],
            "unsigned": "",
        }[how]
        before = AuditEntry.objects.count()
        assert self.post(body, signature, "news") in (401, 503)
        assert AuditEntry.objects.count() == before
        self.note("forged callbacks")

    @rule(is_copy=st.booleans())
    def an_approval_is_asked(self, is_copy: bool) -> None:
        """The merchant's backend decides; we are only told, and say 503."""
        trade = self.control.make_trade(status="initiated", auto_cancel_seconds=None, announce=False)
        self.control.ask_approval(trade["id"])
        self.listen()
        each = next(each for each in reversed(self.news) if each["kind"] == "approval")
        self.news.remove(each)
        signature = signed(each["body"], now=self.now, delivery_id=each["id"])
        self.post(each["body"], signature, "approval", **{"X-Callback-Copy": "1" if is_copy else "0"})
        self.note("approvals")

    # --- reading back --------------------------------------------------------------------------------------

    @rule(which=picks)
    @precondition(lambda self: self.witness.trades)
    def a_read_is_slow(self, which: int) -> None:
        """AssetPay has answered, and whoever asked has not merged it yet."""
        known = list(Trade.objects.order_by("pk"))
        with suppress(AssetPayError):
            self.slow_reads += gateway.fetch_back([known[which % len(known)]], now=self.now).fetched

    @rule(which=picks)
    @precondition(lambda self: self.slow_reads)
    def a_stale_read_is_merged(self, which: int) -> None:
        """By then more may have happened."""
        trades.mirror_fetched(self.slow_reads.pop(which % len(self.slow_reads)), origin=READ, now=self.now)
        self.note("stale reads")

    @rule(which=picks)
    @precondition(lambda self: self.sent)
    def an_old_document_is_read(self, which: int) -> None:
        """A cache at AssetPay answers with what was true some time ago."""
        body = self.sent[which % len(self.sent)][0]
        snapshot = read_trade(parse_json(body)["trade"])  # type: ignore[index] # AssetPay's own document
        trades.mirror_fetched(gateway.Fetched(snapshot, Route.SECURE), origin=READ, now=self.now)
        self.note("old documents read")

    # --- people --------------------------------------------------------------------------------------------

    def browser(self, who: int) -> Client:
        """Logged in within the last minutes, as whoever works all day."""
        if who not in self.logged_in or self.now - self.logged_in[who] > timedelta(minutes=3):
            self.browsers[who].force_login(self.staff[who])
            self.logged_in[who] = self.now
        return self.browsers[who]

    def submit(self, who: int, address: str, **fields: Any) -> int:
        """Send a form; a refusal is an answer, a fault is none."""
        status = int(self.browser(who).post(address, fields).status_code)
        assert status in ANSWERED or (status == 403 and who < SUPERVISOR), (address, status)
        return status

    def item(self, which: int) -> Item:
        """One of those that the desk knows."""
        known = list(Item.objects.select_related("trade").order_by("pk"))
        return known[which % len(known)]

    @rule(which=picks, who=people, is_stale=st.booleans(), arms=st.booleans())
    @precondition(lambda self: self.witness.items)
    def somebody_clicks(self, which: int, who: int, is_stale: bool, arms: bool) -> None:
        """Cancel, or cancel when allowed; on a page of now or from before the last request."""
        item = self.item(which)
        before = item.cancellations.count()
        number = max(1, before if is_stale else before + 1)
        status = self.submit(
            who, f"/items/{item.pk}/{'arm' if arms else 'cancel'}/", reason="Customer asked", number=number
        )
        assert item.cancellations.count() - before == int(status == 303)
        self.note("armed" if arms and status == 303 else "clicks" if status == 303 else "clicks refused")

    @rule(which=picks, who=people, at=st.integers(0, 7))
    @precondition(lambda self: self.witness.items)
    def a_web_process_dies_on_a_click(self, which: int, who: int, at: int) -> None:
        """All of it is kept, or nothing."""
        item = self.item(which)
        number = item.cancellations.count() + 1
        with suppress(Killed), struck(kills.CLICK[at // 2], after=bool(at % 2), deed=die):
            self.submit(who, f"/items/{item.pk}/cancel/", reason="Customer asked", number=number)
        self.note("deaths on a click")

    @rule(which=picks, who=people)
    @precondition(lambda self: self.witness.trades)
    def somebody_cancels_a_whole_trade(self, which: int, who: int) -> None:
        """Everything of it that has not ended."""
        known = list(Trade.objects.order_by("pk"))
        status = self.submit(who, f"/trades/{known[which % len(known)].pk}/cancel/", reason="Wrong item")
        self.note("whole trades" if status == 303 else "whole trades refused")

    @rule(who=people, act=st.sampled_from(["start", "start", "pause", "resume", "stop", "undo"]), which=picks)
    @precondition(lambda self: self.witness.items)
    def somebody_works_on_a_batch(self, who: int, act: str, which: int) -> None:
        """Ticks everything and starts, or turns one that is there."""
        known = list(Batch.objects.order_by("pk"))
        if act == "start":
            everything = [str(pk) for pk in Item.objects.order_by("pk").values_list("pk", flat=True)]
            self.submit(who, "/batches/", item=everything)
            batch = Batch.objects.order_by("pk").last()
            if batch is not None:
                status = self.submit(who, f"/batches/{batch.pk}/start/", reason="Delivery takes too long")
                self.note("batches" if status == 303 else "batches refused")
        elif known:
            status = self.submit(who, f"/batches/{known[which % len(known)].pk}/{act}/")
            self.note(f"batches {act}" if status == 303 else "batch acts refused")

    @rule(which=picks, who=people)
    @precondition(lambda self: self.witness.asked)
    def somebody_undoes(self, which: int, who: int) -> None:
        """What has left stays asked for."""
        asked = list(Cancellation.objects.order_by("pk"))
        status = self.submit(who, f"/cancellations/{asked[which % len(asked)].pk}/undo/")
        self.note("undone" if status == 303 else "undo refused")

    @rule(
        who=st.integers(SUPERVISOR, OTHER_SUPERVISOR), which=picks, act=st.sampled_from(["retry", "settle", "approve"])
    )
    @precondition(lambda self: self.witness.asked["uncertain"] + self.witness.asked["accepted"])
    def a_supervisor_settles(self, who: int, which: int, act: str) -> None:
        """What got stuck, or what nobody knows."""
        asked = list(Cancellation.objects.open().order_by("pk"))
        address = f"/cancellations/{asked[which % len(asked)].pk}/{act}/"
        proposed = Settlement.objects.filter(settled_at=None).order_by("pk").last()
        if act == "approve":
            if proposed is None:
                return
            address = f"/settlements/{proposed.pk}/approve/"
        seen = proposed.seal if act == "approve" and proposed else fingerprint_to_settle(asked[which % len(asked)])
        status = self.submit(who, address, outcome="not_done", note="AssetPay said so on the phone", seen=seen)
        self.note(f"{act} done" if status == 303 else f"{act} refused")

    @rule(which=picks, who=people, fault=st.sampled_from(FAULTS))
    @precondition(lambda self: self.witness.trades)
    def somebody_checks_with_assetpay(self, which: int, who: int, fault: dict[str, Any] | None) -> None:
        """The one call that a person waits for."""
        known = list(Trade.objects.order_by("pk"))
        with self.trouble(fault):
            self.submit(who, f"/trades/{known[which % len(known)].pk}/check/")
        self.note("checks")

    @rule(
        which=picks,
        who=people,
        act=st.sampled_from(
            [
                "confirm",
                "confirm",
                "confirm",
                "approve",
                "approve",
                "send-back",
                "compensate",
                "waive",
                "reopen",
                "amount",
            ]
        ),
        old=st.integers(0, 3),
        death=st.sampled_from([None, None, None, "before", "after"]),
    )
    @precondition(lambda self: self.witness.refunds)
    def somebody_decides_a_refund(self, which: int, who: int, act: str, old: int, death: str | None) -> None:
        """On what the page shows now or showed before; a ledger row for each decision that was said to be made."""
        known = list(Refund.objects.select_related("item__trade").order_by("pk"))
        refund = known[which % len(known)]
        approval = refund.approvals.filter(state="open").first()
        seen = approval.seal if approval and act in ("approve", "send-back") else refund.fingerprint()
        if old == 1 and self.seen:
            seen = self.seen[which % len(self.seen)]
        self.seen.append(seen)
        rows = refund.entries.count()
        fields = {"seen": seen, "reference": f"P-{who}", "reason": "looked at it", "amount": "5.00"}
        status = 0
        with ExitStack() as stack:
            stack.enter_context(suppress(Killed))
            if death:
                point = "withdrawals.actions.refunds.write_entry"
                stack.enter_context(struck(point, after=death == "after", deed=die))
            status = self.submit(who, f"/refunds/{refund.pk}/{act}/", **fields)
        made = refund.entries.count() - rows
        pays = act in ("confirm", "approve", "compensate") and status == 303
        assert made <= int(pays), f"{act} was answered {status} and wrote {made} rows"
        if pays and act != "confirm":
            assert made == 1
        if act in ("confirm", "approve") and made:
            assert Refund.objects.get(pk=refund.pk).state == RefundState.CONFIRMED
        self.note(f"{act} {'done' if status == 303 else 'killed' if not status else 'refused'}")

    # --- workers and the clock -----------------------------------------------------------------------------

    @contextmanager
    def trouble(self, fault: dict[str, Any] | None) -> Any:
        """AssetPay or the network fails the next call, if there is one."""
        if fault is not None:
            self.control.fault(**fault)
            self.note(f"fault {fault['kind']}")
        try:
            yield
        finally:
            if fault is not None:
                self.control.clear_faults()

    @rule(fault=st.sampled_from(FAULTS))
    def a_worker_sends(self, fault: dict[str, Any] | None) -> None:
        """Everything that is due and permitted."""
        with self.trouble(fault):
            self.note("calls" if sending.drain(clock=timezone.now) else "nothing to send")

    @rule(
        at=st.integers(0, 2 * (len(kills.CLAIM) + len(kills.CALL) + len(kills.RECORD)) - 1),
        fault=st.sampled_from(FAULTS),
    )
    @precondition(lambda self: self.witness.asked["requested"] + self.witness.asked["uncertain"])
    def a_worker_dies(self, at: int, fault: dict[str, Any] | None) -> None:
        """Anywhere between its first look and the last line of its record."""
        point = (*kills.CLAIM, *kills.CALL, *kills.RECORD)[at // 2]
        with self.trouble(fault), suppress(Killed), struck(point, after=bool(at % 2), deed=die):
            sending.drain(clock=timezone.now)
        self.note("deaths of a worker")

    @rule(where=st.sampled_from(BETWEEN), what=picks, which=picks, who=people, fault=st.sampled_from(FAULTS))
    @precondition(lambda self: self.witness.asked["requested"] + self.witness.asked["uncertain"])
    def others_act_while_a_worker_asks(
        self, where: tuple[str, bool], what: int, which: int, who: int, fault: dict[str, Any] | None
    ) -> None:
        """A callback, an undo, a second worker after the lease: while the first one's call is on its way."""
        deeds: tuple[Callable[[], object], ...] = (
            lambda: self.a_supplier_moves(which, what, False, True),
            self.all_news_comes,
            lambda: self.somebody_undoes(which, who),
            self.a_second_worker_after_the_lease,
            lambda: self.somebody_cancels_a_whole_trade(which, who),
        )
        with self.trouble(fault), struck(where[0], after=where[1], deed=deeds[what % len(deeds)]):
            sending.drain(clock=timezone.now)
        self.note("acts while a worker asked")

    def all_news_comes(self) -> None:
        """Every callback under way arrives at once."""
        self.listen()
        while self.news:
            self.a_callback_comes(0, 1, 0)

    def a_second_worker_after_the_lease(self) -> None:
        """The first one hangs for longer than any call can last."""
        self.traveller.shift(40)
        sending.drain(clock=timezone.now)

    @rule(where=st.integers(0, 2 * len(kills.CALLBACK) - 1), which=picks)
    @precondition(lambda self: self.news)
    def a_web_process_dies_on_a_callback(self, where: int, which: int) -> None:
        """AssetPay gets no answer and sends it again: it stays under way."""
        envelope = self.envelope(which % len(self.news))
        with suppress(Killed), struck(kills.CALLBACK[where // 2], after=bool(where % 2), deed=die):
            self.post(*envelope)
        self.note("deaths on a callback")

    @rule(fault=st.sampled_from(FAULTS))
    def the_clock_rings(self, fault: dict[str, Any] | None) -> None:
        """Everything that it wakes, with trouble on the first call."""
        with self.trouble(fault):
            self.work()
        self.note("rings")

    def work(self) -> None:
        """What the clock wakes, once each. A read that fails is tried again at the next ringing."""
        now = self.now
        looking.release_armed(now=now)
        looking.look_after_unknown(now=now)
        sending.drain(clock=timezone.now)
        with suppress(AssetPayError):
            trades.reconcile(now=now)
        refund_approvals.expire_due(now=now)
        watch(now=now)
        notify(now=now)

    def ring_after(self, seconds: int) -> None:
        """Time passes, for AssetPay too, and the clock rings once."""
        self.traveller.shift(seconds)
        self.control.advance(0)
        self.work()

    # --- what holds ----------------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        """After every step."""
        World.steps += 1
        self.listen()
        self.witness.look(self.now)

    def heal(self) -> None:
        """Callbacks stay lost, the network heals, time passes: the mirror agrees with AssetPay, and nothing hangs."""
        self.control.clear_faults()
        for seconds in (61, 61, 125, 3_600, 25_000, 3_600):
            self.ring_after(seconds)
        # A large batch leaves by its share of the limit, minute by minute.
        while due := Cancellation.objects.due(self.now).count():
            self.ring_after(61)
            assert Cancellation.objects.due(self.now).count() < due, "something is due and nobody sends it"
        self.listen()
        self.witness.look(self.now, whole=True)
        held, known = held_by_assetpay(self.control), mirrored()
        assert known == {ref: held[ref] for ref in known}, "after healing the mirror differs from AssetPay"
        assert not Cancellation.objects.filter(state=CancellationState.SENDING).exists()
        ended = Item.objects.filter(status__in=["canceled", "failed", "declined", "reverted"])
        assert not ended.filter(refund=None).exists()
