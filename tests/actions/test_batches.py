"""Many at once: frozen, counted, asked for one by one, paused, stopped, taken back; and what became of each."""

from datetime import timedelta

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from tests.actions.test_audit_replay import compare_with_the_tables, replayed
from tests.desk import ask, clock_at, item_of, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import (
    BatchRefused,
    draft_batch,
    leftover_item_ids,
    pause_batch,
    preview,
    request_whole_trade,
    resume_batch,
    start_batch,
    stop_batch,
    undo_batch,
)
from withdrawals.actions.claiming import Claim
from withdrawals.actions.sending import claim_next, drain, record_answer
from withdrawals.actions.settlements import approve_settlement, settle_cancellation
from withdrawals.actions.taking_back import wind_up_batches
from withdrawals.assetpay.cancels import CancelAnswer, ItemOutcome, TradeCancelAnswer
from withdrawals.assetpay.errors import OutcomeUnknown, Refused, ToldToWait
from withdrawals.filters import stuck_or_unknown
from withdrawals.models import (
    Attempt,
    AuditEntry,
    Batch,
    Cancellation,
    Item,
    Role,
    SendPermit,
    Settlement,
    Source,
    User,
)
from withdrawals.models.settlement import fingerprint_to_settle
from withdrawals.views.pending import Customs, pending_words

pytestmark = pytest.mark.django_db

OLD = stamp(NOON - timedelta(hours=1))
ACCEPTED = CancelAnswer(trade_id="t", item_id="i", external_id=None, request_id="r")
LOST = OutcomeUnknown(reason="ReadTimeout", http_status=None, request_id="r", lost_answer=True)
REFUSED = Refused(key="TRADE_NOT_CANCELLABLE", code=28, message="No.", request_id="r", http_status=400)


@pytest.fixture
def agent() -> User:
    return person()


def trades(count: int, *, items: int = 1, **fields: object) -> list[Item]:
    """So many trades of so many items each; all their items."""
    for number in range(count):
        documents = [item_document(f"item-{number:04d}-{part}") for part in range(items)]
        see(trade_snapshot(f"trade-{number:04d}", items=documents, **fields))
    return list(Item.objects.order_by("pk"))


def draft(items: list[Item], actor: User) -> Batch:
    origin = Origin(Source.SCREEN, actor=actor)
    return draft_batch(item_ids=[item.pk for item in items], selection="all", actor=actor, origin=origin, now=NOON)


def start(batch: Batch, *, actor: User | None = None) -> Batch:
    who = actor or batch.requested_by
    origin = Origin(Source.SCREEN, actor=who)
    return start_batch(batch_id=batch.pk, reason="outage", note="", actor=who, origin=origin, now=NOON)


def turn(act: object, batch: Batch, *, now: object = NOON) -> Batch:
    who = batch.requested_by
    return act(batch_id=batch.pk, actor=who, origin=Origin(Source.SCREEN, actor=who), now=now)  # type: ignore[operator]


def total(batch: Batch) -> int:
    tally = batch.tally()
    parts = (
        tally.waiting,
        tally.accepted,
        tally.done,
        tally.refused,
        tally.unknown,
        tally.overtaken,
        tally.not_attempted,
    )
    assert sum(parts) == tally.total
    return tally.total


def test_a_preview_counts_what_can_be_cancelled_and_says_why_not(agent: User) -> None:
    see(trade_snapshot("ended", status="completed", items=[item_document("done", status="completed")]))
    see(trade_snapshot("rust", game="252490", items=[item_document("rust")]))
    see(trade_snapshot("young", createdAt=stamp(NOON - timedelta(minutes=10)), items=[item_document("young")]))
    see(trade_snapshot("asked", items=[item_document("asked")]))
    see(trade_snapshot("good", items=[item_document("one"), item_document("two")]))
    ask(item_of("asked", "asked"), actor=person(email="first@desk.example"))

    shown = preview(draft(list(Item.objects.order_by("pk")), agent), now=NOON)

    assert (shown.total, shown.can, shown.at_once, shown.armed) == (6, 3, 2, 1)
    assert {exclusion.rule: exclusion.count for exclusion in shown.exclusions} == {
        "not_ended": 1,
        "cs2": 1,
        "already_asked": 1,
    }
    assert "first@desk.example" in next(e.sentence for e in shown.exclusions if e.rule == "already_asked")
    assert (shown.calls, shown.whole_trades) == (2, 1)
    assert shown.estimated_end == NOON + timedelta(minutes=20)


def test_the_selection_stays_as_it_was_frozen(agent: User) -> None:
    items = trades(3)
    batch = draft(items[:2], agent)

    see(trade_snapshot("newer", items=[item_document("newer")]))
    start(batch)

    assert list(batch.items.order_by("position").values_list("item_id", flat=True)) == [items[0].pk, items[1].pk]
    assert Cancellation.objects.count() == 2


@pytest.mark.parametrize("count", [1, 20, 21, 100, 101, 1_000])
def test_any_number_of_rows_is_asked_for_with_an_entry_each(agent: User, count: int) -> None:
    see(trade_snapshot(items=[item_document(f"item-{number}") for number in range(count)]))
    batch = draft(list(Item.objects.all()), agent)

    start(batch)

    entries = AuditEntry.objects.filter(action="cancellation.requested", actor=agent)
    assert (Cancellation.objects.filter(batch=batch).count(), entries.count(), total(batch)) == (count,) * 3
    assert all(entry.after["batch"] == batch.pk and entry.item_id for entry in entries)


def test_more_than_two_thousand_rows_are_refused_in_words(agent: User) -> None:
    with pytest.raises(BatchRefused, match="2,001 items are selected"):
        draft_batch(item_ids=range(2_001), selection="", actor=agent, origin=Origin(Source.SCREEN), now=NOON)
    with pytest.raises(BatchRefused, match="Nothing is selected"):
        draft_batch(item_ids=[], selection="", actor=agent, origin=Origin(Source.SCREEN), now=NOON)


def test_starting_asks_the_database_as_often_for_many_as_for_few(
    agent: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    few, many = draft(trades(2)[:2], agent), draft(trades(40), agent)
    start(few)

    # On PostgreSQL the log's entries go with its head.
    with django_assert_num_queries(16 if connection.vendor == "postgresql" else 17):
        start(many)


def test_a_batch_is_started_once_and_by_who_made_it(agent: User) -> None:
    batch = draft(trades(2), agent)

    with pytest.raises(BatchRefused, match="only they can start it"):
        start(batch, actor=person())
    start(batch)
    with pytest.raises(BatchRefused, match="already started"):
        start(batch)

    assert Cancellation.objects.count() == 2


def test_an_item_asked_for_meanwhile_is_skipped_with_its_reason(agent: User) -> None:
    items = trades(3)
    batch = draft(items, agent)
    ask(items[1], actor=person(email="quicker@desk.example"))

    start(batch)

    skipped = batch.items.get(item=items[1])
    assert skipped.cancellation is None
    assert "quicker@desk.example" in skipped.excluded_because
    assert (batch.tally().waiting, batch.tally().not_attempted, total(batch)) == (2, 1, 3)
    assert leftover_item_ids(batch) == [items[1].pk]


def send_all(answers: dict[int, object], *, now: object = NOON) -> None:
    """Send whatever is due; each item is answered as `answers` says, else accepted."""
    while (claim := claim_next(now=now)) is not None:  # type: ignore[arg-type]
        record_answer(claim, answers.get(claim.cancellation.item_id, ACCEPTED), now=now)  # type: ignore[arg-type]


def test_a_batch_of_fifty_with_a_failing_second_row_does_the_other_forty_nine(agent: User, settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 6_000
    items = trades(50)
    batch = start(draft(items, agent))

    send_all({items[1].pk: REFUSED})
    drain(clock=clock_at(NOON))

    tally = batch.tally()
    batch.refresh_from_db()
    assert (tally.accepted, tally.refused, total(batch)) == (49, 1, 50)
    assert leftover_item_ids(batch) == [items[1].pk]
    assert (batch.state, AuditEntry.objects.latest("number").action) == ("finished", "batch.finished")


def test_a_paused_batch_sends_nothing_until_it_goes_on(agent: User) -> None:
    batch = start(draft(trades(3), agent))

    turn(pause_batch, batch)
    assert claim_next(now=NOON) is None
    with pytest.raises(BatchRefused, match="paused"):
        turn(pause_batch, batch)
    turn(resume_batch, batch)

    assert claim_next(now=NOON) is not None


def test_stopping_takes_back_what_has_not_left_and_nothing_else(agent: User) -> None:
    batch = start(draft(trades(5), agent))
    gone, on_its_way = claim_next(now=NOON), claim_next(now=NOON)
    assert gone is not None
    assert on_its_way is not None
    record_answer(gone, ACCEPTED, now=NOON)

    turn(stop_batch, batch)

    tally = batch.tally()
    assert (tally.accepted, tally.waiting, tally.not_attempted, total(batch)) == (1, 1, 3, 5)
    assert claim_next(now=NOON) is None


def test_what_a_stopped_batch_gets_back_does_not_leave_again(agent: User) -> None:
    batch = start(draft(trades(1), agent))
    claim = claim_next(now=NOON)
    assert claim is not None
    turn(stop_batch, batch)

    wait = ToldToWait(
        seconds=5, key="FLEET_DEGRADED", code=1011, message="", request_id="r", http_status=503, stated=True
    )
    record_answer(claim, wait, now=NOON)
    drain(clock=clock_at(NOON + timedelta(minutes=1)))

    assert Cancellation.objects.get().state == "withdrawn"
    assert (Attempt.objects.count(), batch.tally().not_attempted) == (1, 1)


def test_a_batch_can_be_taken_back_before_anything_left(agent: User, settings: Settings) -> None:
    settings.UNDO_SECONDS = 5
    batch = start(draft(trades(3), agent))
    assert claim_next(now=NOON + timedelta(seconds=4)) is None

    turn(undo_batch, batch, now=NOON + timedelta(seconds=4))

    assert claim_next(now=NOON + timedelta(minutes=1)) is None
    assert set(Cancellation.objects.values_list("state", flat=True)) == {"withdrawn"}


def test_it_is_too_late_to_take_a_batch_back_once_it_may_leave(agent: User, settings: Settings) -> None:
    settings.UNDO_SECONDS = 5
    batch = start(draft(trades(1), agent))

    with pytest.raises(BatchRefused, match="Too late"):
        turn(undo_batch, batch, now=NOON + timedelta(seconds=5))


def test_young_items_are_armed_by_their_batch(agent: User) -> None:
    batch = start(draft(trades(2, createdAt=stamp(NOON - timedelta(minutes=10))), agent))

    armed = Cancellation.objects.filter(batch=batch)
    assert {(one.state, one.send_from) for one in armed} == {("scheduled", NOON + timedelta(minutes=20))}
    assert AuditEntry.objects.filter(action="cancellation.armed").count() == 2


def outcome(item_id: str, status: str = "cancelled", reason: str | None = None) -> ItemOutcome:
    return ItemOutcome(item_id=item_id, external_id=None, status=status, reason=reason)


def test_a_whole_trade_is_one_call_and_its_mixed_answer_is_read_item_by_item(agent: User) -> None:
    items = trades(1, items=4)
    start(draft(items, agent))

    claim = claim_next(now=NOON)
    assert claim is not None
    assert {part.attempt.request_id for part in claim.all} == {claim.attempt.request_id}
    assert (len(claim.all), SendPermit.objects.count(), Attempt.objects.count()) == (4, 1, 4)
    outcomes = (
        outcome(items[0].assetpay_id),
        outcome(items[1].assetpay_id, "failed", "TRADE_NOT_CANCELLABLE"),
        outcome(items[2].assetpay_id, "failed", "TRADE_CANCEL_TOO_SOON"),
    )
    record_answer(claim, TradeCancelAnswer("trade-0000", 4, 1, 2, outcomes, "r"), now=NOON)

    states = [Cancellation.objects.get(item=item).state for item in items]
    assert states == ["accepted", "refused", "requested", "uncertain"]


def test_a_trade_of_which_one_item_was_not_chosen_is_asked_for_item_by_item(agent: User) -> None:
    items = trades(1, items=3)
    start(draft(items[:2], agent))

    claims = [claim_next(now=NOON), claim_next(now=NOON)]

    assert [claim.others for claim in claims if claim is not None] == [(), ()]
    assert SendPermit.objects.count() == 2


def test_an_unchosen_item_that_ended_is_no_hindrance(agent: User) -> None:
    documents = [item_document("a"), item_document("b"), item_document("c", status="completed")]
    see(trade_snapshot(items=documents))
    start(draft([item_of(item_id="a"), item_of(item_id="b")], agent))

    claim = claim_next(now=NOON)

    assert claim is not None
    assert len(claim.all) == 2


def test_two_batches_that_share_a_trade_do_not_make_a_whole_one(agent: User) -> None:
    items = trades(1, items=2)
    for item in items:
        start(draft([item], agent))

    claim = claim_next(now=NOON)

    assert claim is not None
    assert claim.others == ()


def whole(items: list[Item], actor: User) -> Batch:
    origin = Origin(Source.SCREEN, actor=actor)
    trade_id = items[0].trade_id
    return request_whole_trade(trade_id=trade_id, reason="customer left", note="", actor=actor, origin=origin, now=NOON)


def test_a_whole_trade_asked_for_by_hand_is_a_click_and_one_call(agent: User) -> None:
    items = trades(1, items=3)

    batch = whole(items, agent)

    claim = claim_next(now=NOON)
    assert claim is not None
    assert (len(claim.all), SendPermit.objects.get().lane, batch.tally().total) == (3, "click", 3)


def test_a_whole_trade_with_an_item_in_the_way_is_refused_by_name(agent: User) -> None:
    items = trades(1, items=2)
    ask(items[1])

    with pytest.raises(BatchRefused, match="Already asked for by"):
        whole(items, agent)

    assert Cancellation.objects.count() == 1


def test_what_a_stopped_batch_does_not_know_is_not_asked_again_but_shown_to_a_person(agent: User) -> None:
    batch = start(draft(trades(1), agent))
    claim = claim_next(now=NOON)
    assert claim is not None
    record_answer(claim, LOST, now=NOON)

    turn(stop_batch, batch)
    drain(clock=clock_at(NOON + timedelta(minutes=5)))

    assert (Attempt.objects.count(), batch.tally().unknown) == (1, 1)
    assert Cancellation.objects.outcome_unknown().count() == 1
    entry = AuditEntry.objects.get(action="cancellation.resend_dropped")
    assert (entry.before, entry.after, entry.item_id) == ({}, {}, claimed(claim))
    assert "the batch was stopped" in entry.reason
    compare_with_the_tables(replayed())
    wind_up_batches(now=NOON + timedelta(minutes=6))
    assert AuditEntry.objects.filter(action="cancellation.resend_dropped").count() == 1


def claimed(claim: Claim) -> int:
    """The item in this claim."""
    return claim.cancellation.item_id


def test_what_a_stopped_batch_does_not_ask_once_more_is_noted_in_the_order_of_the_keys(agent: User) -> None:
    batch = start(draft(trades(3), agent))
    for _ in range(3):
        claim = claim_next(now=NOON)
        assert claim is not None
        record_answer(claim, LOST, now=NOON)
    turn(stop_batch, batch)

    wind_up_batches(now=NOON + timedelta(minutes=5))

    dropped = AuditEntry.objects.filter(action="cancellation.resend_dropped").order_by("number")
    assert [entry.item_id for entry in dropped] == sorted(Item.objects.values_list("pk", flat=True))
    assert not Cancellation.objects.filter(may_resend=True).exists()


def test_what_a_paused_batch_does_not_know_waits_for_a_person_until_it_goes_on(agent: User) -> None:
    batch = start(draft(trades(1), agent))
    claim = claim_next(now=NOON)
    assert claim is not None
    record_answer(claim, LOST, now=NOON)
    later = NOON + timedelta(minutes=5)
    asked = Cancellation.objects.get()
    assert not Cancellation.objects.outcome_unknown().exists()
    assert "once more by itself" in asked.settle_refusal(later)

    turn(pause_batch, batch)

    asked = Cancellation.objects.get()
    assert list(stuck_or_unknown()) == [asked]
    assert (claim_next(now=later), asked.settle_refusal(later)) == (None, "")
    assert "supervisor settles it" in pending_words(asked, Customs(None, None), later)

    turn(resume_batch, batch)

    assert not stuck_or_unknown().exists()
    assert claim_next(now=later) is not None


def test_a_request_that_was_settled_in_a_paused_batch_does_not_leave_when_it_goes_on(agent: User) -> None:
    batch = start(draft(trades(1), agent))
    claim = claim_next(now=NOON)
    assert claim is not None
    record_answer(claim, LOST, now=NOON)
    turn(pause_batch, batch)
    pair = [person(Role.SUPERVISOR), person(Role.SUPERVISOR)]
    origins = [Origin(Source.SCREEN, actor=who) for who in pair]
    asked = Cancellation.objects.select_related("item").get()
    settle_cancellation(
        cancellation_id=asked.pk, outcome="not_done", note="asked support", seen=fingerprint_to_settle(asked),
        actor=pair[0], origin=origins[0], now=NOON,
    )  # fmt: skip
    proposal = Settlement.objects.get()
    approve_settlement(settlement_id=proposal.pk, seen=proposal.seal, actor=pair[1], origin=origins[1], now=NOON)

    turn(resume_batch, batch)

    assert claim_next(now=NOON + timedelta(minutes=5)) is None
    assert Cancellation.objects.get().state == "refused"


def test_news_of_other_times_let_nothing_leave_while_the_batch_can_be_undone(agent: User, settings: Settings) -> None:
    settings.UNDO_SECONDS = 300
    young = {"createdAt": stamp(NOON - timedelta(minutes=29)), "autoCancelAt": stamp(NOON + timedelta(hours=1))}
    batch = start(draft(trades(1, **young), agent))
    armed = Cancellation.objects.get()
    assert (armed.state, armed.send_from) == ("scheduled", NOON + timedelta(seconds=300))

    see(trade_snapshot("trade-0000", items=[item_document("item-0000-0")], **young | {"autoCancelAt": None}))

    armed.refresh_from_db()
    assert armed.send_from == batch.send_from
