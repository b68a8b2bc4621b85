"""Callbacks that are taken in together do what each alone would do; what is out of the ordinary is done alone."""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
import simplejson
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.actions.test_merge_order import items_told, messages
from tests.desk import ask, deliver, news, person, signed
from tests.together import all_at_once
from tests.wire import NOON, item_document, stamp
from withdrawals.actions import deliveries
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import arm_cancellation
from withdrawals.actions.deliveries import Call, answer_status, receive_delivery
from withdrawals.models import (
    AuditEntry,
    Cancellation,
    Delivery,
    Item,
    Refund,
    RejectedCall,
    Sighting,
    Source,
    Trade,
    User,
    Verdict,
)
from withdrawals.models.audit_chain import verify_chain
from withdrawals.models.turns import Apart

fresh = count(1)
LATER = NOON + timedelta(minutes=1)
OF_ITEM = "item__trade__assetpay_id"
YOUNG = NOON - timedelta(minutes=3)


def call(body: bytes, *, delivery_id: str = "") -> Call:
    return Call(signed(body, delivery_id=delivery_id), body, "127.0.0.1", is_copy=True, request_id="r")


def take_in(calls: Sequence[Call]) -> list[Delivery]:
    """All of them in one transaction, or none: raises what keeps them from being taken in together."""
    arrivals = [deliveries._arrive(each, LATER) for each in calls]
    with transaction.atomic():
        return deliveries._take_in_together(arrivals)


kinds = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["withdraw", "withdraw", "withdraw", "deposit"]),
        "auto_cancel": st.sampled_from([None, None, 50]),
    }
)
news_drawn = st.tuples(messages, kinds).map(lambda drawn: drawn[0] | drawn[1])
# What happened to a trade before, whether somebody asked to cancel each of its items, and what comes now.
stories = st.tuples(st.lists(news_drawn, max_size=2), st.booleans(), news_drawn)


def body_of(trade_id: str, message: dict[str, Any]) -> bytes:
    at, cancels_at = message["at"], message["auto_cancel"]
    return news(
        trade_id,
        type=message["kind"],
        status=message["trade_status"],
        items=items_told(message),
        revertedBy=message["reverted_by"],
        autoCancelAt=None if cancels_at is None else stamp(NOON + timedelta(minutes=cancels_at)),
        updatedAt=None if at is None else stamp(NOON + timedelta(seconds=at)),
    )


def before(trade_id: str, past: list[dict[str, Any]], actor: User | None) -> None:
    for message in past:
        deliver(body_of(trade_id, message), delivery_id=uuid.uuid4().hex)
    for item in Item.objects.filter(trade__assetpay_id=trade_id) if actor else ():
        if item.cancel_refusal(NOON) is None:
            ask(item, actor=actor)


def left(trade_ids: list[str]) -> list[Any]:
    """Every column of every row that these trades have, but keys, moments of the machine's own and other names."""
    found: list[Any] = []
    for number, trade_id in enumerate(trade_ids):
        of_trade = {"trade__assetpay_id": trade_id}
        of_item = {"item__trade__assetpay_id": trade_id}
        rows = (
            (Trade.objects.filter(assetpay_id=trade_id), ()),
            (Item.objects.filter(**of_trade).order_by("assetpay_id"), ("status_delivery__subject_id",)),
            (Cancellation.objects.filter(**of_item).order_by("item__assetpay_id", "pk"), ("item__assetpay_id",)),
            (Refund.objects.filter(**of_item).order_by("item__assetpay_id"), ("item__assetpay_id",)),
            (AuditEntry.objects.filter(**of_trade).order_by("number"), ("item__assetpay_id",)),
            (Delivery.objects.filter(subject_id=trade_id).order_by("received_at", "pk"), ()),
        )
        for query, more in rows:
            own = {"id", "took_ms", "number", "hash", "previous_hash", "actor", "actor_name", "requested_by", "cause"}
            own |= {"delivery_id", "signature", "body_sha256", "evidence_sha256", "seen_open_by", "body", "document"}
            columns = [
                each.name for each in query.model._meta.concrete_fields if each.name not in own and not each.is_relation
            ]
            text = repr(list(query.values_list(*columns, *more)))
            found.append(text.replace(trade_id, f"trade {number}"))
    return found


@pytest.mark.django_db
@given(st.lists(stories, min_size=2, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_taken_in_together_leaves_what_one_by_one_leaves(drawn: list[tuple[list[Any], bool, dict[str, Any]]]) -> None:
    number = next(fresh)
    ids = {way: [f"{way}-{number:06}-{place}" for place in range(len(drawn))] for way in ("alone", "along")}
    actor = person()
    for trade_ids in ids.values():
        for trade_id, (past, is_asked, _) in zip(trade_ids, drawn, strict=True):
            before(trade_id, past, actor if is_asked else None)
    calls = {
        way: [call(body_of(trade_id, now)) for trade_id, (*_, now) in zip(trade_ids, drawn, strict=True)]
        for way, trade_ids in ids.items()
    }
    seen = [dict(Sighting.objects.values_list("name", "times_seen"))]

    for each in calls["alone"]:
        receive_delivery(each, now=LATER)
    seen.append(dict(Sighting.objects.values_list("name", "times_seen")))
    take_in(calls["along"])
    seen.append(dict(Sighting.objects.values_list("name", "times_seen")))

    assert left(ids["along"]) == left(ids["alone"])
    first, second, third = seen
    assert {name: third[name] - second.get(name, 0) for name in third} == {
        name: second[name] - first.get(name, 0) for name in second
    }
    assert verify_chain().problem == ""


@pytest.mark.django_db
def test_what_follows_a_cancellation_follows_each_of_those_that_came_together() -> None:
    """The draw above seldom asks for what ends: here each of three does."""
    for number in range(3):
        deliver(news(f"trade-{number}"), delivery_id=f"first-{number}")
        ask(Item.objects.get(trade__assetpay_id=f"trade-{number}"), actor=person())

    ends = ("reverted", "completed", "reverted")
    told = [
        news(f"trade-{number}", items=[item_document(status=end)], updatedAt=stamp(NOON))
        for number, end in enumerate(ends)
    ]
    taken = take_in([call(body) for body in told])

    states = Cancellation.objects.order_by("item__trade__assetpay_id").values_list("state", flat=True)
    assert list(states) == ["confirmed", "overtaken", "confirmed"]
    assert list(
        Refund.objects.order_by("item__trade__assetpay_id").values_list("item__trade__assetpay_id", flat=True)
    ) == [
        "trade-0",
        "trade-2",
    ]
    for delivery in taken:
        causes = AuditEntry.objects.filter(trade=delivery.trade, action__startswith="cancellation.").latest("number")
        assert causes.cause == f"delivery:{delivery.pk}"
    assert verify_chain().problem == ""


@pytest.mark.django_db
def test_each_of_those_that_came_together_is_told_apart() -> None:
    """Who asked, when it was received, which items it still shows open, and what it said that nobody knew."""
    ids = ("trade-1", "trade-2", "trade-3")
    for trade_id in ids:
        deliver(news(trade_id, createdAt=stamp(YOUNG)), delivery_id=f"first-{trade_id}")
    actor = person()
    for item in Item.objects.all():
        origin = Origin(Source.SCREEN, actor=actor)
        arm_cancellation(item_id=item.pk, reason="not sent", note="", actor=actor, origin=origin, now=NOON)
    Cancellation.objects.exclude(item__trade__assetpay_id="trade-2").update(state="uncertain")
    # Still open, of another age than was known, and with something that nobody knew.
    told = [NOON - timedelta(seconds=number) for number in range(3)]
    fields = [{"createdAt": stamp(YOUNG - timedelta(seconds=9)), "updatedAt": stamp(at), "newKey": 1} for at in told]
    calls = {
        trade_id: replace(call(news(trade_id, **each)), request_id=f"of {trade_id}")
        for trade_id, each in zip(ids, fields, strict=True)
    }
    received = {trade_id: LATER + timedelta(seconds=number) for number, trade_id in enumerate(ids)}

    arrivals = [deliveries._arrive(calls[trade_id], at) for trade_id, at in received.items()]
    taken = deliveries._take_in_together(arrivals)

    assert [each.received_at for each in taken] == list(received.values())
    assert {each.applied_at for each in taken} == {LATER + timedelta(seconds=2)}
    assert Sighting.objects.get(name="trade.newKey").times_seen == 3
    first, second, third = Cancellation.objects.order_by("item__trade__assetpay_id")
    assert (first.seen_open_at, second.seen_open_at, third.seen_open_at) == (told[0], None, told[2])
    assert taken[0].body_sha256 in first.seen_open_by
    assert taken[2].body_sha256 in third.seen_open_by
    moved = AuditEntry.objects.get(action="cancellation.rescheduled")
    assert (moved.trade, moved.request_id, moved.cause) == (
        taken[1].trade,
        "of trade-2",
        f"delivery:{taken[1].pk}",
    )
    changed = AuditEntry.objects.filter(action="trade.changed").order_by("number")
    assert [entry.request_id for entry in changed] == [f"of {trade_id}" for trade_id in ids]


@pytest.mark.django_db
@pytest.mark.parametrize("items", [1, 7])
def test_statements_do_not_grow_with_the_callbacks_that_share_them(items: int) -> None:
    counts = []
    for several in (2, 6):
        for status in ("pending", "active"):
            number = next(fresh)
            documents = [item_document(f"item-{place}", status=status) for place in range(items)]
            bodies = [
                news(f"trade-{several}-{place}", items=documents, updatedAt=stamp(NOON + timedelta(seconds=number)))
                for place in range(several)
            ]
            with CaptureQueriesContext(connection) as queries:
                take_in([call(body) for body in bodies])
            counts.append(len(queries))

    assert counts[:2] == counts[2:]


@pytest.mark.django_db
def test_a_trace_whose_first_attempt_was_rolled_back_is_left_under_a_key_of_its_own() -> None:
    trace = RejectedCall(received_at=NOON, reason="signature", body_sha256="0" * 64, body_bytes=1, status=401)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        deliveries._leave_traces([trace])
        raise ZeroDivisionError
    RejectedCall.objects.create(pk=trace.pk, received_at=NOON, reason="signature", body_bytes=1, status=401)

    deliveries._leave_trace(trace)

    assert RejectedCall.objects.count() == 2


@pytest.mark.django_db
def test_a_copy_or_another_body_under_a_known_id_is_not_taken_in_with_others() -> None:
    deliver(news("trade-1"), delivery_id="known")

    for body in (news("trade-1"), news("trade-1", status="active")):
        with pytest.raises(Apart):
            take_in([call(news("trade-2")), call(body, delivery_id="known")])

    assert not Trade.objects.filter(assetpay_id="trade-2").exists()
    assert Delivery.objects.count() == 1


@pytest.mark.django_db
def test_two_of_one_trade_are_not_taken_in_together() -> None:
    with pytest.raises(Apart):
        take_in([call(news(status="active")), call(news(status="pending"))])

    assert not Delivery.objects.exists()


@pytest.fixture
def several(transactional_db: None) -> Iterator[None]:
    yield
    assert not deliveries._turns.line.has_leader


def at_once(*calls: Call) -> list[Delivery]:
    """What came of each, all of them waiting before the first is taken in."""
    works = [partial(take_one_in, each) for each in calls]
    return [future.result() for future in all_at_once(deliveries._turns, works)]


def take_one_in(each: Call) -> Delivery:
    try:
        return receive_delivery(each, now=LATER)
    finally:
        connection.close()


def sessions_waiting() -> int:
    """How many sessions of PostgreSQL wait for a lock of this database."""
    with connection.cursor() as cursor:
        # Within a transaction it would say the same again and again.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def test_a_poisoned_one_has_no_effects_and_all_others_have_theirs(
    several: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = deliveries.trades.project_trade

    def trip(trade: Trade, snapshot: Any, **given: Any) -> Any:
        if snapshot.id == "trade-poison":
            raise ZeroDivisionError
        return project(trade, snapshot, **given)

    monkeypatch.setattr("withdrawals.actions.trades.project_trade", trip)
    calls = [call(news(trade_id)) for trade_id in ("trade-1", "trade-poison", "trade-2")]
    unreadable = call(simplejson.dumps({"trade": {"id": 7, "type": "withdraw"}}).encode())

    taken = at_once(*calls, unreadable)

    assert [each.verdict for each in taken] == [
        Verdict.APPLIED,
        Verdict.FAILED,
        Verdict.APPLIED,
        Verdict.QUARANTINED,
    ]
    assert [answer_status(each) for each in taken] == [200, 503, 200, 503]
    assert set(Trade.objects.values_list("assetpay_id", flat=True)) == {"trade-1", "trade-2"}
    assert verify_chain().problem == ""


def test_copies_and_others_at_once_have_their_effects_once(several: None) -> None:
    body = news("trade-1", newKey=1)
    calls = [
        call(body, delivery_id="same"),
        call(news("trade-2")),
        call(body, delivery_id="same"),
        call(news("trade-3")),
    ]

    taken = at_once(*calls)

    assert {each.verdict for each in taken} == {Verdict.APPLIED}
    assert Delivery.objects.get(delivery_id="same").times_received == 2
    assert Sighting.objects.get(name="trade.newKey").times_seen == 1
    assert Trade.objects.count() == 3


HELD = {Trade: "assetpay_id", Item: "trade__assetpay_id", **dict.fromkeys((Cancellation, Refund), OF_ITEM)}


@pytest.mark.parametrize("model", HELD)
def test_whoever_holds_a_trade_keeps_no_other_callback_waiting(several: None, model: Any) -> None:
    """Nor who holds its item, its cancellation as whoever stops a batch does, or its refund."""
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite nobody can hold a row")
    before = {"status": "reverted"} if model is Refund else {}
    for trade_id in ("trade-1", "trade-2"):
        deliver(news(trade_id, items=[item_document(**before)]), delivery_id=f"first-{trade_id}")
        if model is not Refund:
            ask(Item.objects.get(trade__assetpay_id=trade_id), actor=person())
    ended = [item_document(status="reverted", offer={"price": 13})]
    calls = [call(news(each, items=ended, updatedAt=stamp(NOON))) for each in ("trade-1", "trade-2")]
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            model.objects.select_for_update(no_key=True, of=("self",)).get(**{HELD[model]: "trade-1"})
            held.set()
            let_go.wait(30)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    with ThreadPoolExecutor(1) as threads:
        try:
            with pytest.raises(OperationalError, match="could not obtain lock"):
                take_in(calls)
            waiting = threads.submit(take_one_in, calls[0])
            while not sessions_waiting():
                time.sleep(0.001)  # between two looks at the server
            assert receive_delivery(calls[1], now=LATER).verdict == Verdict.APPLIED
            assert not waiting.done()
        finally:
            let_go.set()
            holder.join()
        assert waiting.result().verdict == Verdict.APPLIED


def crossing() -> list[str]:
    """Two groups with copies of the same callbacks in opposite order, while a third holds up the first of them."""
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite only one transaction writes")
    bodies = {name: news(f"trade-{name}") for name in ("a", "m", "z")}

    def arrivals(names: str) -> list[Any]:
        return [deliveries._arrive(call(bodies[name], delivery_id=name), LATER) for name in names]

    outcomes: dict[str, str] = {}

    def group(names: str) -> None:
        try:
            with transaction.atomic():
                deliveries._take_in_together(arrivals(names))
            outcomes[names] = "taken in"
        except Exception as error:
            outcomes[names] = type(error.__cause__ or error).__name__
        finally:
            connection.close()

    with transaction.atomic():
        deliveries._take_in_together(arrivals("m"))
        threads = [threading.Thread(target=group, args=(names,)) for names in ("amz", "za")]
        for number, thread in enumerate(threads, start=1):
            thread.start()
            while sessions_waiting() < number:
                time.sleep(0.001)  # between two looks at the server
        transaction.set_rollback(True)
    for thread in threads:
        thread.join()
    return sorted(outcomes.values())


def test_two_groups_with_the_same_copies_do_not_wait_for_each_other(several: None) -> None:
    assert crossing() == ["Apart", "taken in"]


def test_control_in_the_order_in_which_they_came_two_groups_wait_for_each_other(
    several: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "sorted", lambda rows, key: rows, raising=False)

    assert crossing() == ["DeadlockDetected", "taken in"]
