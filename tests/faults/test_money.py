"""The refund ledger: nobody is paid twice, nobody is forgotten, and every cent adds up."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import product
from math import ceil
from typing import Any, ClassVar
from unittest import mock

import hypothesis
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    get_state_machine_test,
    initialize,
    invariant,
    rule,
)

from tests.actions.test_races import EIGHT, careless_payments, owed
from tests.desk import item_of, person, see
from tests.faults.door import runs, tell
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.projection import project_item, project_trade
from withdrawals.actions.refund_approvals import approve_refund, expire_due, send_back_refund
from withdrawals.actions.refund_corrections import compensate_refund, reopen_refund, set_refund_amount, waive_refund
from withdrawals.actions.refunds import RefundRefused, confirm_refund
from withdrawals.models import (
    Item,
    Refund,
    RefundApproval,
    RefundEntry,
    RefundState,
    Role,
    Source,
    Status,
    Trade,
    User,
    WalletReading,
    refund_terms,
)
from withdrawals.models.audit_triggers import create_triggers, drop_triggers
from withdrawals.models.refund_rules import needs_refund

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")

# --- F54: every pair of statuses, with every cause ---------------------------------------------------------

# First reported down, then reported across; D due, R in review, "." no refund. Nothing is said of who or why.
GRID = """
           initiated pending active hold failed declined canceled completed reverted
initiated  .         .       .      .    D      R        D        .         D
pending    .         .       .      .    D      R        D        .         D
active     .         .       .      .    D      R        D        .         D
hold       .         .       .      .    D      R        D        .         D
failed     R         R       R      R    D      R        R        R         D
declined   R         R       R      R    R      R        R        R         R
canceled   R         R       R      R    R      R        D        R         D
completed  .         .       .      .    R      R        R        .         R
reverted   R         R       R      R    D      R        D        R         D
"""
HEADER, *LINES = [line.split() for line in GRID.strip().splitlines()]
TABLE = {(line[0], second): letter for line in LINES for second, letter in zip(HEADER, line[1:], strict=True)}
CAUSES: dict[str, dict[str, str]] = {
    "nothing said": {},
    "by the user": {"revertedBy": "user"},
    "by the supplier": {"revertedBy": "supplier"},
    "rejected": {"error": "MERCHANT_REJECTED"},
    "no approval": {"error": "APPROVAL_TIMEOUT"},
}
LETTERS = {RefundState.DUE: "D", RefundState.IN_REVIEW: "R", RefundState.NOT_OWED: "N"}


def expected(first: str, second: str, cause: str) -> str:
    letter = TABLE[first, second]
    is_reverted = "reverted" in (first, second)
    if cause == "by the user" and is_reverted and letter == "D":
        return "R"
    if cause == "by the supplier" and (first, second) == ("completed", "reverted"):
        return "D"
    if cause in ("rejected", "no approval") and letter == "D" and not is_reverted:
        return "N" if cause == "rejected" else "R"
    return letter


def outcome(reports: list[tuple[str, dict[str, Any]]]) -> str:
    """What the rules say after these reports, without a database."""
    trade, item = Trade(signs=[]), Item()
    item.trade = trade
    for number, (status, fields) in enumerate(reports):
        snapshot = trade_snapshot(status=status, items=[item_document(status=status)], **fields)
        project_trade(trade, snapshot, is_new=number == 0)
        project_item(item, snapshot.items[0], trade, snapshot, position=0, is_new=number == 0)
    return LETTERS[refund_terms(item).state] if needs_refund(item) else "."


@pytest.mark.parametrize("cause", CAUSES)
def test_f54_the_truth_table_of_every_pair_of_statuses(cause: str) -> None:
    wrong = []
    for first, second in product(Status.values, Status.values):
        earlier = (first, {"updatedAt": stamp(NOON)})
        later = (second, {"updatedAt": stamp(NOON + timedelta(seconds=1)), **CAUSES[cause]})
        want = expected(first, second, cause)
        for reports in ([earlier, later], [later, earlier], [earlier, later, earlier]):
            got = outcome(reports)
            if got != want:
                wrong.append(f"{first} then {second}, {cause}: {got}, not {want}")

    assert wrong == []
    assert len(TABLE) == 81


# --- F51: eight confirmers ---------------------------------------------------------------------------------


def confirmers_race(number: int = 0) -> None:
    item = item_document(status="reverted")
    see(trade_snapshot(f"trade-{number}", status="reverted", items=[item]))
    refund = Refund.objects.select_related("item__trade").get(item__trade__assetpay_id=f"trade-{number}")
    seen, actors = refund.fingerprint(), [person() for _ in range(EIGHT)]

    def confirm(place: int) -> Refund:
        origin = Origin(Source.SCREEN, actor=actors[place])
        return confirm_refund(
            refund_id=refund.pk, seen=seen, reference=f"P-{place}", actor=actors[place], origin=origin, now=NOON
        )

    outcomes = race(EIGHT, confirm)

    assert sum(isinstance(each, Refund) for each in outcomes) == 1, outcomes
    assert refund.entries.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", runs(1, 2_000))
def test_f51_p20_eight_confirmers_pay_once(rounds: int) -> None:
    for number in range(rounds):
        confirmers_race(number)


@contextmanager
def without_numbers() -> Iterator[None]:
    """The ledger without its triggers and without its unique number."""
    numbered = next(known for known in RefundEntry._meta.constraints if known.name == "refund_entries_are_numbered")
    others = [known for known in RefundEntry._meta.constraints if known is not numbered]
    drop_triggers(connection)
    # SQLite makes the table anew from the model.
    with mock.patch.object(RefundEntry._meta, "constraints", others), connection.schema_editor() as editor:
        editor.remove_constraint(RefundEntry, numbered)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM withdrawals_refundentry")
        with connection.schema_editor() as editor:
            editor.add_constraint(RefundEntry, numbered)
        create_triggers(connection)


@pytest.mark.django_db(transaction=True)
def test_f51_control_without_the_ledgers_guards_eight_careless_payments_are_kept() -> None:
    refund = owed()

    with without_numbers():
        assert careless_payments(refund) == EIGHT


# --- F55: rows never change, and come in line --------------------------------------------------------------


def confirmed() -> Refund:
    see(trade_snapshot(status="reverted", items=[item_document(status="reverted")]))
    refund, actor = Refund.objects.select_related("item__trade").get(), person()
    origin = Origin(Source.SCREEN, actor=actor)
    return confirm_refund(
        refund_id=refund.pk, seen=refund.fingerprint(), reference="P-1", actor=actor, origin=origin, now=NOON
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE withdrawals_refundentry SET amount = 1",
        "UPDATE withdrawals_refundentry SET reference = 'other'",
        "DELETE FROM withdrawals_refundentry",
    ],
)
def test_f55_p21_the_database_refuses_to_change_the_ledger(statement: str) -> None:
    confirmed()

    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(("number", "kind"), [(2, "confirmation"), (3, "confirmation"), (3, "compensation")])
def test_p20_the_database_takes_no_second_confirmation_in_a_row_and_no_gap(number: int, kind: str) -> None:
    refund = confirmed()
    first = RefundEntry.objects.get()

    with pytest.raises(DatabaseError), transaction.atomic():
        RefundEntry.objects.create(
            refund=refund,
            number=number,
            kind=kind,
            amount=first.amount,
            actor=first.actor,
            made_at=NOON,
            reference="P-2",
            reason="because",
            cause=first.cause,
            rule_version=first.rule_version,
            evidence_sha256=first.evidence_sha256,
        )


def test_f52_p19_the_database_keeps_the_net_within_the_price() -> None:
    refund = confirmed()

    for change in ({"net": refund.net + CENT}, {"net": -CENT}, {"amount": refund.amount + CENT}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Refund.objects.filter(pk=refund.pk).update(**change)


# --- F53: cents add up -------------------------------------------------------------------------------------


def sums_exactly(many: int) -> None:
    amounts = [Decimal(number % 99_991 * 7 + 1) / 10_000 for number in range(many)]
    for start in range(0, many, 20_000):
        WalletReading.objects.bulk_create(
            [
                WalletReading(read_at=NOON, last_read_at=NOON, balance=amount, pending_balance=0, escrow_balance=0)
                for amount in amounts[start : start + 20_000]
            ]
        )

    assert WalletReading.objects.aggregate(total=Sum("balance"))["total"] == sum(amounts, Decimal(0))


@pytest.mark.parametrize("many", runs(20_000, 1_000_000))
def test_f53_p23_sums_are_exact(many: int) -> None:
    sums_exactly(many)


# --- P19 to P22: whatever people and AssetPay do, in any order ---------------------------------------------

NEWS = st.sampled_from(["failed", "declined", "canceled", "completed", "reverted", "pending", "hold"])
PRICES = st.sampled_from(["12.50", "100.00", "100.01", "250.00", "999.9999", "0", "0.0001", None])
# Most people decide on the page that they have just loaded.
PAGES = st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3])
ACTS = st.sampled_from(
    [*["confirm"] * 3, *["approve"] * 5, "compensate", "send back", "waive", *["reopen"] * 2, "amount"]
)
AMOUNTS = st.sampled_from(["0.01", "5", "12.50", "150", "5000"])
DECISION = st.tuples(ACTS, st.integers(0, 4), PAGES, AMOUNTS)
FIRST_NEWS = st.sampled_from(["failed", "canceled", "reverted", "declined", "completed"])
STEPS = 50
ENOUGH_FOR_ALL = 10_000


class LedgerMachine(RuleBasedStateMachine):
    """One item: AssetPay reports, time passes, people decide on what they see now or saw before."""

    trades = 0
    steps = 0
    done: ClassVar[Counter[str]] = Counter()
    people: tuple[User, ...] = ()

    @initialize(price=PRICES, status=FIRST_NEWS)
    def begin(self, price: str | None, status: str) -> None:
        LedgerMachine.trades += 1
        LedgerMachine.steps -= 1  # the first look at the ledger follows no step
        self.trade = f"ledger-{LedgerMachine.trades}"
        self.now, self.price, self.paid = NOON, price, Decimal(0)
        self.stale: list[str] = []
        self.rows = 0
        self.report("pending", None)
        self.item = item_of(self.trade, f"{self.trade}-item").pk
        self.now += timedelta(minutes=1)
        self.report(status, None)

    def report(self, status: str, reverted_by: str | None) -> None:
        item = item_document(f"{self.trade}-item", status=status)
        item.pop("offer")
        if self.price is not None:
            item["offer"] = {"price": Decimal(self.price)}
        fields = {"revertedBy": reverted_by} if status == "reverted" else {}
        see(trade_snapshot(self.trade, status=status, items=[item], updatedAt=stamp(self.now), **fields), now=self.now)

    def decide(self, act: Any, who: int, *, old: int = 0, **given: Any) -> tuple[Refund, Refund] | None:
        """The refund before and after where the action was taken; on a page of now, or on an older one."""
        refund = Refund.objects.select_related("item").defer("item__document").filter(item=self.item).first()
        if refund is None:
            return None
        is_about_approval = act in (approve_refund, send_back_refund) and refund.state == RefundState.AWAITING
        seen = refund.approvals.get(state="open").seal if is_about_approval else refund.fingerprint()
        if old and self.stale:
            seen = self.stale[old % len(self.stale)]
        self.stale.append(seen)
        actor = self.people[who]
        origin = Origin(Source.SCREEN, actor=actor)
        try:
            decided = act(refund_id=refund.pk, seen=seen, actor=actor, origin=origin, now=self.now, **given)
        except RefundRefused:
            self.done["refused"] += 1
            return None
        self.done[act.__name__] += 1
        return refund, decided

    @rule(status=NEWS, reverted_by=st.sampled_from([None, "user", "supplier"]), price=PRICES)
    def assetpay_reports(self, status: str, reverted_by: str | None, price: str | None) -> None:
        self.price = price
        self.report(status, reverted_by)

    @rule(minutes=st.sampled_from([1, 1, 1, 59, 61, 60 * 25]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        expire_due(now=self.now)

    # One rule for all of them: hypothesis leaves whole rules out of an example, and who confirms nothing pays nothing.
    @rule(decisions=st.lists(DECISION, min_size=1, max_size=4))
    def people_decide(self, decisions: list[tuple[str, int, int, str]]) -> None:
        for number, decision in enumerate(decisions):
            if number:
                self.money_adds_up()  # a step as any other
            self.one_decides(*decision)

    def one_decides(self, act: str, who: int, old: int, amount: str) -> None:
        supervisor = 3 + who % 2
        if act == "confirm":
            self.confirm(who, old)
        elif act == "approve":
            self.approve(who if who == 2 else supervisor, old)
        elif act == "compensate":
            if self.decide(compensate_refund, supervisor, old=old, reason="mistaken"):
                assert self.paid > 0
                self.paid, self.rows = Decimal(0), self.rows + 1
        elif act == "waive":
            if self.decide(waive_refund, supervisor, reason="not owed"):
                assert self.paid == 0
        elif act == "reopen":
            self.decide(reopen_refund, supervisor, reason="owed after all")
        elif act == "send back":
            self.decide(send_back_refund, who, reason="look again")
        else:
            self.decide(set_refund_amount, supervisor, amount=Decimal(amount), reason="receipt")

    def confirm(self, who: int, old: int) -> None:
        decided = self.decide(confirm_refund, who, old=old, reference="P-1")
        if decided is None:
            return
        before, refund = decided
        assert before.ruling != RefundState.IN_REVIEW or self.people[who].may("settle_refund")
        if refund.state == RefundState.CONFIRMED:
            assert not refund.is_large
            self.pay(refund)

    def approve(self, who: int, old: int) -> None:
        decided = self.decide(approve_refund, who, old=old)
        if decided is not None:
            _, refund = decided
            self.pay(refund)
            last = refund.entries.get(number=refund.entries_made)
            assert last.approved_by_id == self.people[who].pk
            assert last.actor_id != self.people[who].pk

    def pay(self, refund: Refund) -> None:
        assert self.paid == 0
        assert refund.amount is not None
        self.paid, self.rows = refund.amount, self.rows + 1

    @invariant()
    def money_adds_up(self) -> None:
        LedgerMachine.steps += 1
        # Columns, one query a table: this is looked at after every step.
        columns = ("pk", "state", "net", "amount", "price", "entries_made")
        refund = Refund.objects.filter(item=getattr(self, "item", None)).values_list(*columns).first()
        if refund is None:
            return
        key, state, net, amount, price, made = refund
        item = Item.objects.select_related("trade").only(*NEEDED).get(pk=self.item)
        assert needs_refund(item)
        rows = list(RefundEntry.objects.filter(refund=key).order_by("number").values_list(*OF_ENTRIES))
        fold = sum((entry[2] if entry[1] == "confirmation" else -entry[2] for entry in rows), Decimal(0))
        assert (net, fold, len(rows), made) == (self.paid, self.paid, self.rows, self.rows)
        assert 0 <= net <= (amount or 0)
        assert not price or (amount or 0) <= price
        assert (state == RefundState.CONFIRMED) == (net > 0)
        assert [entry[0] for entry in rows] == list(range(1, len(rows) + 1))
        assert all(sha256 and (delivery or read) for *_, sha256, delivery, read in rows)
        assert RefundApproval.objects.filter(refund=key, state="open").count() == int(state == RefundState.AWAITING)
        if "reverted_by=user" in item.trade.signs and item.status == "reverted":
            assert state != RefundState.DUE


NEEDED = ("status", "reported_status", "ended_as", "has_conflicting_ends", "trade__signs")
OF_ENTRIES = ("number", "kind", "amount", "evidence_sha256", "evidence_delivery", "evidence_read")


def run_the_machine(steps: int, seed: int) -> None:
    """At least so many steps, the same ones for the same seed: hypothesis may end an example before its last one."""
    agents = [person() for _ in range(3)]
    LedgerMachine.people = (*agents, person(Role.SUPERVISOR), person(Role.SUPERVISOR))
    LedgerMachine.steps = 0
    LedgerMachine.done.clear()
    while LedgerMachine.steps < steps:
        settled = settings(
            # Each of several decisions in one step is looked at as a step of its own.
            max_examples=ceil((steps - LedgerMachine.steps) / (2 * STEPS)),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        hypothesis.seed(seed)(get_state_machine_test(LedgerMachine, settings=settled))()
        seed += 1
    done = ", ".join(f"{count:,} {what}" for what, count in sorted(LedgerMachine.done.items()))
    rows = RefundEntry.objects.count()
    tell(f"{LedgerMachine.steps:,} steps, {rows:,} ledger rows: {done}")
    # A machine that hardly ever pays shows nothing about paying twice.
    assert rows > steps / 250
    rare = {what: LedgerMachine.done[what] for what in ("approve_refund", "compensate_refund", "send_back_refund")}
    assert steps < ENOUGH_FOR_ALL or all(rare.values()), f"never done: {rare}"


@pytest.mark.parametrize("steps", runs(2_000, 100_000))
def test_f52_p19_p20_p21_p22_whatever_happens_the_ledger_adds_up(steps: int) -> None:
    seed = 52 + int(os.environ.get("SOAK_SEED") or 0)
    tell(f"seed {seed}")
    run_the_machine(steps, seed)
