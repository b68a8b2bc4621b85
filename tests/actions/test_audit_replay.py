"""P24, P25 and the chain under many writers: the log tells every change once, and tells it all."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Prefetch
from pytest_django import Settings

from tests.desk import ask, deliver, news, person
from tests.races import race
from tests.tampering import write
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import CancelRefused, UndoRefused, undo_cancellation
from withdrawals.actions.projection import BOOKKEEPING, plain
from withdrawals.actions.refund_approvals import approve_refund
from withdrawals.actions.refund_corrections import compensate_refund
from withdrawals.actions.refunds import RefundRefused, confirm_refund
from withdrawals.actions.sending import claim_next, record_answer
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, ToldToWait
from withdrawals.gateway import CancelAnswer
from withdrawals.models import (
    AuditEntry,
    AuditHead,
    Cancellation,
    Item,
    Refund,
    RefundApproval,
    RefundState,
    Role,
    Source,
    Trade,
    User,
)
from withdrawals.models.audit_chain import verify_chain

WRITERS = 20
TRADES = 6
ENDS = ("completed", "failed", "declined", "canceled", "reverted", "teleporting")
STATUSES = (*("pending", "active", "hold") * 8, *ENDS)
NOT_TOLD = BOOKKEEPING | {"id", "trade", "assetpay_id"}
COLUMNS = [field.name for field in Item._meta.concrete_fields if field.name not in NOT_TOLD]
State = dict[tuple[str, int], dict[str, object]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turns", [5, pytest.param(100, marks=pytest.mark.soak)])
def test_f74_twenty_writers_at_once_leave_no_gap_and_no_fork(turns: int) -> None:
    def append(number: int) -> int:
        written = 0
        for _ in range(turns):
            try:
                write(2, minute=number)
            except OperationalError:  # waited too long for its turn: nothing of it may be left
                continue
            written += 2
        return written

    outcomes = race(WRITERS, append)

    assert all(isinstance(outcome, int) for outcome in outcomes), outcomes
    verified = verify_chain()
    assert (verified.entries, verified.problem) == (sum(outcomes), "")  # type: ignore[arg-type] # asserted above
    assert verified.entries > WRITERS * turns


@pytest.mark.django_db(transaction=True)
def test_f74_control_without_the_lock_on_the_head_writers_want_the_same_number() -> None:
    write(1)
    together = Barrier(WRITERS)

    def append(number: int) -> bool:
        head = AuditHead.objects.get()
        connection.close()
        together.wait(timeout=30)
        entry = AuditEntry(number=head.number + 1, at=NOON, actor_name=str(number), action="test.happened")
        entry.source, entry.previous_hash = Source.COMMAND, head.hash
        entry.hash = entry.content_hash()
        with transaction.atomic():
            entry.save(force_insert=True)
        return True

    outcomes = race(WRITERS, append)

    assert outcomes.count(True) == 1
    assert all(isinstance(each, IntegrityError | OperationalError) for each in outcomes if each is not True)


def replayed() -> State:
    """The state that the log alone tells: by kind and our key of the item or trade, each column's last value.

    On the way each entry's old value must be what the entry before it left (P25).
    """
    state: State = {}
    for entry in AuditEntry.objects.order_by("number"):
        noun = entry.action.partition(".")[0]
        if noun not in ("trade", "item", "cancellation", "refund") or entry.action == "refund.contradicted":
            continue  # a contradiction is a fact about a refund that stays as it is
        row = state.setdefault((noun, entry.item_id if noun != "trade" else entry.trade_id), {})
        for name, old in entry.before.items():
            assert same(row.get(name, old if noun == "trade" else None), old), (entry.number, name, old, row)
            assert not same(old, entry.after.get(name)) or noun == "refund", (entry.number, name)
        after = dict(entry.after)
        if entry.action == "refund.approval_asked":
            # Until a second person says yes it is the question's reference, not the refund's.
            state["approval", entry.item_id] = {"reference": after.pop("reference")}
        row |= after
    return state


def same(one: object, other: object) -> bool:
    """Equal, where nothing, an empty text and false are the same nothing."""
    return one == other or (one in (None, "", False) and other in (None, "", False))


def compare_with_the_tables(state: State) -> None:
    """Everything that the log tells stands in the tables, and everything that stands there was told (P24)."""
    for trade in Trade.objects.all():
        assert state["trade", trade.pk]["status"] == trade.status
    asked_for = Prefetch("cancellations", Cancellation.objects.order_by("number"))
    approvals = Prefetch("refund__approvals", RefundApproval.objects.order_by("number"))
    for item in Item.objects.prefetch_related(asked_for, "refund", approvals):
        told = state["item", item.pk]
        for name in COLUMNS:
            assert same(told.get(name), plain(getattr(item, name))), (item, name, told.get(name))
        last = [None, *item.cancellations.all()][-1]
        asked = state.get(("cancellation", item.pk), {})
        assert (asked.get("cancellation"), asked.get("number")) == ((last.state, last.number) if last else (None, None))
        refund: Refund | None = getattr(item, "refund", None)
        owed = state.get(("refund", item.pk), {})
        kept = (refund.state, refund.cause, refund.reference) if refund else (None, None, "")
        assert (owed.get("refund"), owed.get("cause"), owed.get("reference", "")) == kept
        question = [None, *refund.approvals.all()][-1] if refund else None
        assert state.get(("approval", item.pk), {}).get("reference") == (question.reference if question else None)


class Day:
    """Whatever people, AssetPay and the workers do in any order; `now` goes on by some seconds each time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now = chance, NOON
        self.agent, self.boss, self.other = person(), person(Role.SUPERVISOR), person(Role.SUPERVISOR)
        for _ in range(TRADES):
            self.call()

    def deeds(self) -> list[Callable[[], object]]:
        """All that can happen."""
        calls = [self.call, self.call, self.ask, self.ask, self.send, self.send, self.undo]
        return [*calls, self.confirm, self.approve, self.compensate]

    def do(self) -> None:
        """One of them. A refusal is an answer too, and leaves nothing."""
        self.now += timedelta(seconds=self.chance.randint(1, 90))
        with suppress(CancelRefused, UndoRefused, RefundRefused):
            self.chance.choice(self.deeds())()

    def call(self) -> None:
        """A callback: newer or older than the last, about any of the trades, each of two items."""
        trade = f"trade-{self.chance.randint(1, TRADES)}"
        items: list[dict[str, Any]] = [
            item_document(
                f"{trade}-item-{place}",
                status=self.chance.choice(STATUSES),
                offer={"price": Decimal(self.chance.randint(0, 3))},
                float=self.chance.choice([None, "0.15"]),
            )
            for place in (1, 2)
        ]
        reported = self.now - timedelta(seconds=self.chance.choice([0, 0, 0, 600]))
        deliver(
            news(
                trade,
                status=self.chance.choice(STATUSES),
                items=items,
                updatedAt=stamp(reported),
                totalPrice=self.chance.randint(1, 9),
                revertedBy=self.chance.choice([None, None, "user"]),
            ),
            now=self.now,
        )

    def ask(self) -> None:
        """Somebody clicks."""
        ask(self.any(Item), actor=self.agent, now=self.now)

    def undo(self) -> None:
        """Somebody takes it back."""
        last = Cancellation.objects.order_by("-pk").first()
        if last is not None:
            undo_cancellation(cancellation_id=last.pk, actor=self.agent, origin=self.by(self.agent), now=self.now)

    def send(self) -> None:
        """A worker sends what is due, and AssetPay answers in some way."""
        claim = claim_next(now=self.now)
        if claim is None:
            return
        item, request_id = claim.cancellation.item, str(claim.attempt.request_id)
        answers: list[CancelAnswer | Exception] = [
            CancelAnswer(item.trade.assetpay_id, item.assetpay_id, None, request_id),
            Refused("TRADE_NOT_CANCELLABLE", 28, "no", request_id, 409),
            ToldToWait(1, "RATE_LIMITED", 1005, "wait", request_id, 429, stated=True),
            NotSent(reason="ConnectError"),
            OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id=request_id, lost_answer=True),
        ]
        if self.chance.random() < 0.2:
            self.call()  # news overtakes the answer
        record_answer(claim, self.chance.choice(answers), now=self.now)

    def confirm(self) -> None:
        """A supervisor confirms a refund, or asks a second person where it is large."""
        number = self.chance.randint(1, 1_000_000)
        self.decide(partial(confirm_refund, reference=f"p-{number}"), self.boss)

    def approve(self) -> None:
        """The second person says yes."""
        self.decide(approve_refund, self.other, RefundState.AWAITING)

    def compensate(self) -> None:
        """A confirmation was a mistake."""
        self.decide(partial(compensate_refund, reason="Paid to somebody else"), self.boss, RefundState.CONFIRMED)

    def decide(self, act: Callable[..., object], actor: User, *states: RefundState) -> None:
        """About some refund, in one of these states, if there is one."""
        refunds = Refund.objects.select_related("item").order_by("pk")
        found = list(refunds.filter(state__in=states) if states else refunds)
        if found:
            refund = self.chance.choice(found)
            act(refund_id=refund.pk, seen=refund.fingerprint(), actor=actor, origin=self.by(actor), now=self.now)

    def by(self, actor: User) -> Origin:
        """A click."""
        return Origin(Source.SCREEN, actor=actor)

    def any(self, model: type[Item]) -> Item:
        """Some row."""
        rows = list(model.objects.select_related("trade").order_by("pk"))
        return self.chance.choice(rows)


@pytest.mark.django_db
@pytest.mark.parametrize("steps", [60, pytest.param(3_000, marks=pytest.mark.soak)])
def test_p24_p25_the_log_alone_rebuilds_the_state_after_every_step(steps: int, settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 6_000
    settings.REFUND_APPROVAL_LIMIT = Decimal("1.50")
    day = Day(random.Random(24))

    for step in range(steps):
        day.do()
        if step % 10 == 0 or steps < 100:
            compare_with_the_tables(replayed())

    state = replayed()
    compare_with_the_tables(state)
    assert {"trade", "item", "cancellation", "refund", "approval"} == {noun for noun, _ in state}
    assert AuditEntry.objects.filter(action="refund.compensated").exists()
    assert verify_chain().problem == ""


@pytest.mark.django_db
def test_p24_control_a_change_past_the_log_is_found() -> None:
    day = Day(random.Random(24))
    compare_with_the_tables(replayed())
    Item.objects.filter(pk=day.any(Item).pk).update(status="hold", price=Decimal(99))

    with pytest.raises(AssertionError):
        compare_with_the_tables(replayed())


@pytest.mark.django_db
def test_p26_every_entry_has_who_by_which_door_and_when() -> None:
    day = Day(random.Random(26))
    for _ in range(20):
        day.do()

    for entry in AuditEntry.objects.all():
        assert entry.actor_name, entry
        assert entry.source in Source.values, entry
        assert isinstance(entry.at, datetime), entry
        assert entry.cause or entry.source == Source.SCREEN, entry
