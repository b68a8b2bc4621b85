"""Eight at once: one wins, the others are told. Each guard has a control in which it is off and the fault appears."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier, Event
from time import monotonic, sleep

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import Model, UniqueConstraint
from pytest_django import Settings

from tests.desk import ask, deliver, item_of, news, person, see
from tests.faults.door import runs, tell
from tests.races import race
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions import deliveries
from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.actions.cancellations import CancelRefused
from withdrawals.actions.claiming import Claim
from withdrawals.actions.refunds import RefundChanged, RefundRefused, confirm_refund
from withdrawals.actions.sending import claim_next
from withdrawals.models import (
    AuditEntry,
    Cancellation,
    Delivery,
    Item,
    Refund,
    RefundEntry,
    SendBudget,
    SendPermit,
    Sighting,
    Source,
)
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT = 8
on_postgresql = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite ends nobody: its file is on one machine"
)


@contextmanager
def without(model: type[Model], name: str) -> Iterator[None]:
    """The database without one of its constraints, for a control."""
    constraint = next(known for known in model._meta.constraints if known.name == name)
    assert isinstance(constraint, UniqueConstraint)
    with connection.schema_editor() as editor:
        editor.remove_constraint(model, constraint)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608 # a table's name of our own
        with connection.schema_editor() as editor:
            editor.add_constraint(model, constraint)


def test_eight_clickers_on_one_item_make_one_cancellation() -> None:
    see(trade_snapshot())
    item, actors = item_of(), [person() for _ in range(EIGHT)]

    outcomes = race(EIGHT, lambda number: ask(item, actor=actors[number]))

    winners = [outcome for outcome in outcomes if isinstance(outcome, Cancellation)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, CancelRefused)]
    assert (len(winners), len(losers), Cancellation.objects.count()) == (1, EIGHT - 1, 1)
    assert all("Already asked for by" in str(loser) for loser in losers)
    assert AuditEntry.objects.filter(action="cancellation.requested").count() == 1


def careless_race(item: Item) -> int:
    meeting = Barrier(EIGHT)
    actor = person()

    def click(number: int) -> None:
        assert not item.cancellations.open().exists()
        meeting.wait(timeout=30)
        Cancellation.objects.create(
            item=item,
            number=number + 1,
            state="requested",
            reason="race",
            requested_by=actor,
            requested_at=NOON,
            changed_at=NOON,
            send_from=NOON,
        )

    race(EIGHT, click)
    return Cancellation.objects.count()


def test_the_constraint_alone_stops_eight_careless_clickers() -> None:
    see(trade_snapshot())

    assert careless_race(item_of()) == 1


def test_control_without_the_constraint_careless_clickers_ask_eight_times() -> None:
    see(trade_snapshot())

    with without(Cancellation, "one_open_cancellation_per_item"):
        assert careless_race(item_of()) == EIGHT


def owed() -> Refund:
    see(trade_snapshot(status="reverted", items=[item_document(status="reverted")]))
    return Refund.objects.select_related("item__trade").get()


def test_eight_confirmers_pay_once() -> None:
    refund, actors = owed(), [person() for _ in range(EIGHT)]
    seen = refund.fingerprint()

    outcomes = race(
        EIGHT,
        lambda number: confirm_refund(
            refund_id=refund.pk,
            seen=seen,
            reference=f"PAY-{number}",
            actor=actors[number],
            origin=Origin(Source.SCREEN, actor=actors[number]),
            now=NOON,
        ),
    )

    assert sum(isinstance(outcome, Refund) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RefundChanged) for outcome in outcomes) == EIGHT - 1
    assert RefundEntry.objects.count() == 1
    assert AuditEntry.objects.filter(action="refund.confirmed").count() == 1


def careless_payments(refund: Refund) -> int:
    meeting = Barrier(EIGHT)
    actor = person()

    def pay(number: int) -> None:
        count = refund.entries.count()
        meeting.wait(timeout=30)
        RefundEntry.objects.create(
            refund=refund,
            number=count + 1,
            kind="confirmation",
            amount=refund.amount,
            actor=actor,
            made_at=NOON,
            reference=str(number),
            cause=refund.cause,
            rule_version=refund.rule_version,
            evidence_sha256="0" * 64,
        )

    race(EIGHT, pay)
    return RefundEntry.objects.count()


def test_the_numbered_ledger_alone_stops_eight_careless_payments() -> None:
    assert careless_payments(owed()) == 1


def eight_copies(trade_id: str) -> tuple[list[Delivery | Exception], int]:
    """What came of eight copies at one instant, and how often their effects were made.

    Sightings are what is counted: the merge by itself would hide a second effect.
    """
    body = news(trade_id, **{f"new_{trade_id}": 1})
    outcomes = race(EIGHT, lambda _: deliver(body, delivery_id=f"d-{trade_id}"))
    seen = Sighting.objects.filter(name=f"trade.new_{trade_id}").values_list("times_seen", flat=True)
    return outcomes, sum(seen)


@pytest.mark.parametrize("count", runs(fast=3, long=500))
def test_f11_eight_copies_of_a_delivery_at_one_instant_have_one_effect(count: int) -> None:
    for number in range(count):
        outcomes, effects = eight_copies(f"t{number}")

        assert all(isinstance(outcome, Delivery) and outcome.verdict == "applied" for outcome in outcomes), outcomes
        assert effects == 1
        assert Delivery.objects.get(delivery_id=f"d-t{number}").times_received == EIGHT

    assert AuditEntry.objects.filter(action="trade.appeared").count() == count
    assert Delivery.objects.count() == count
    assert verify_chain().problem == ""
    tell(f"{EIGHT * count:,} copies, {count:,} effects, {connection.vendor}")


def test_f11_the_constraint_alone_gives_careless_receivers_one_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "_same_body", lambda *_: None)

    outcomes, effects = eight_copies("careless")

    assert (effects, Delivery.objects.count()) == (1, 1)
    assert sum(isinstance(outcome, IntegrityError) for outcome in outcomes) == EIGHT - 1, outcomes


def test_f11_control_where_nobody_looks_whether_it_is_applied_copies_have_eight_effects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep = deliveries._keep
    monkeypatch.setattr(deliveries, "_keep", lambda *given: (keep(*given)[0], False))

    _, effects = eight_copies("careless")

    assert effects == EIGHT


def test_eight_first_messages_of_one_trade_make_one_trade() -> None:
    outcomes = race(EIGHT, lambda number: deliver(news(), delivery_id=f"d-{number}"))

    assert all(isinstance(outcome, Delivery) and outcome.verdict == "applied" for outcome in outcomes), outcomes
    assert AuditEntry.objects.filter(action="trade.appeared").count() == 1
    assert Delivery.objects.filter(verdict="applied").count() == EIGHT


def test_eight_workers_never_send_more_than_the_limit(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 3
    see(trade_snapshot(items=[item_document(f"item-{number}") for number in range(EIGHT)]))
    for item in Item.objects.all():
        ask(item)

    claims = race(EIGHT, lambda _: claim_next(now=NOON))

    assert sum(claim is not None for claim in claims) == 3, claims
    assert SendPermit.objects.count() == 3


def test_eight_workers_take_one_cancellation_once() -> None:
    see(trade_snapshot())
    ask(item_of())

    claims = race(EIGHT, lambda _: claim_next(now=NOON))

    assert sum(claim is not None for claim in claims) == 1, claims


def test_eight_writers_do_not_fork_the_audit_chain() -> None:
    def write(number: int) -> None:
        for turn in range(5):
            with transaction.atomic():
                record([Fact("test.raced", after={"turn": turn})], origin=Origin(Source.COMMAND), now=NOON)

    outcomes = race(EIGHT, write)

    assert outcomes == [None] * EIGHT
    verified = verify_chain()
    assert (verified.problem, verified.entries) == ("", EIGHT * 5)


def test_an_entry_needs_the_transaction_of_its_change() -> None:
    with pytest.raises(RuntimeError):
        record([Fact("test.alone")], origin=Origin(Source.COMMAND), now=NOON)


def test_integrity_errors_are_what_the_constraint_says() -> None:
    see(trade_snapshot())
    ask(item_of())

    with pytest.raises(IntegrityError), transaction.atomic():
        Cancellation.objects.create(
            item=item_of(),
            number=2,
            state="requested",
            reason="",
            requested_by=person(),
            requested_at=NOON,
            changed_at=NOON,
            send_from=NOON,
        )


def waits_for_a_lock() -> bool:
    if connection.vendor == "sqlite":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


def test_a_confirmation_that_waited_for_news_decides_on_all_of_them() -> None:
    refund, actor = owed(), person()
    by_customer = trade_snapshot(
        status="reverted", revertedBy="user", updatedAt=stamp(NOON), items=[item_document(status="reverted")]
    )

    def confirm() -> Refund | Exception:
        try:
            return confirm_refund(
                refund_id=refund.pk,
                seen=refund.fingerprint(),
                reference="PAY-1",
                actor=actor,
                origin=Origin(Source.SCREEN, actor=actor),
                now=NOON,
            )
        except RefundRefused as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            see(by_customer)
            outcome = pool.submit(confirm)
            patience = monotonic() + 3
            while not waits_for_a_lock() and monotonic() < patience:
                sleep(0.02)
        assert isinstance(outcome.result(), RefundChanged), outcome.result()

    refund.refresh_from_db()
    assert (refund.state, refund.cause) == ("in_review", "reverted_by_user")
    assert not RefundEntry.objects.exists()


@contextmanager
def stopped_with_the_budget(ends_after_ms: int) -> Iterator[None]:
    """A process that took the row of the limit and then stands still, as by SIGSTOP or with its machine gone."""
    took, may_end = Event(), Event()

    def stand_still() -> None:
        with suppress(DatabaseError), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {ends_after_ms}")
            SendBudget.objects.select_for_update().get(pk=1)
            took.set()
            may_end.wait(30)
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        standing = pool.submit(stand_still)
        try:
            assert took.wait(30)
            yield
        finally:
            may_end.set()
            standing.result()


def claim_soon() -> object:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 3000")
        return claim_next(now=NOON)


@on_postgresql
def test_a_process_that_stands_still_in_a_transaction_does_not_stop_the_sending() -> None:
    see(trade_snapshot())
    asked = ask(item_of())

    with stopped_with_the_budget(ends_after_ms=300):
        claim = claim_soon()

    assert isinstance(claim, Claim)
    assert claim.cancellation == asked
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("10s",)


@on_postgresql
def test_control_whom_the_database_does_not_end_stops_the_sending_for_all() -> None:
    see(trade_snapshot())
    ask(item_of())

    with stopped_with_the_budget(ends_after_ms=0), pytest.raises(OperationalError, match="lock timeout"):
        claim_soon()


@on_postgresql
def test_a_claim_passes_over_what_somebody_else_holds(database_url: str) -> None:
    see(trade_snapshot(items=[item_document(name) for name in ("item-1", "item-2", "item-3")]))
    first, second = (ask(item, now=NOON) for item in Item.objects.order_by("pk")[:2])

    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM withdrawals_cancellation WHERE id = %s FOR UPDATE", [first.pk])
        claim = claim_next(now=NOON)

    assert claim is not None
    assert claim.cancellation.pk == second.pk
