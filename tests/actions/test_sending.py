"""Claim, call, record: against a sandbox over HTTP, with the permits, leases and fences that keep it honest."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.sql.compiler import SQLCompiler
from pytest_django import DjangoAssertNumQueries, Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask, clock_at, item_of, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.sending import claim_next, drain, record_answer, send_next, settle_abandoned
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.errors import OutcomeUnknown, Refused
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.gateway import CancelAnswer
from withdrawals.models import Attempt, AuditEntry, Cancellation, Item, SendBudget, SendPermit

pytestmark = pytest.mark.django_db

ACCEPTED = CancelAnswer(trade_id="trade-one", item_id="item-one", external_id=None, request_id="r")


@pytest.fixture(scope="module")
def sandbox_process() -> Iterator[RunningSandbox]:
    with running_sandbox(cancels_per_minute=6_000) as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: RunningSandbox, settings: Settings) -> RunningSandbox:
    sandbox_process.control.reset()
    settings.ASSETPAY_BASE_URL = sandbox_process.base_url
    settings.ASSETPAY_MERCHANT_ID = sandbox_process.merchant_id
    settings.ASSETPAY_API_KEY = sandbox_process.api_key
    settings.ASSETPAY_API_SECRETS = list(sandbox_process.secrets)
    settings.ASSETPAY_TIMEOUT_SECONDS = 1
    return sandbox_process


def now() -> datetime:
    return datetime.now(UTC)


def trade_at(sandbox: RunningSandbox, **spec: object) -> Item:
    """A trade that the sandbox knows, mirrored; its first item."""
    import simplejson  # noqa: PLC0415

    made = sandbox.control.make_trade(**{"age_seconds": 7200, "supplier": "silent", "auto_cancel_seconds": None} | spec)
    snapshot = read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode()))
    see(snapshot, now=now())
    return item_of(made["id"], made["items"][0]["id"])


def state(item: Item) -> str:
    return Cancellation.objects.get(item=item).state


@pytest.mark.parametrize("source", ["client", "self"])
def test_a_cancel_goes_out_by_the_trades_own_route_and_is_accepted(sandbox: RunningSandbox, source: str) -> None:
    item = trade_at(sandbox, source=source)
    ask(item, now=now())

    sent = drain(clock=now)

    attempt = Attempt.objects.get()
    asked = [call for call in sandbox.control.requests() if call["method"] == "POST"]
    assert (sent, state(item), attempt.outcome) == (1, "accepted", "accepted")
    assert [call["callerRequestId"] for call in asked] == [str(attempt.request_id)]
    assert asked[0]["path"].startswith("/secure/buy/" if source == "self" else "/client/trading/withdraw/")


@pytest.mark.parametrize(
    ("fault", "expected", "may_resend"),
    [
        ({"kind": "reset_before"}, "uncertain", True),
        ({"kind": "reset_after"}, "uncertain", True),
        ({"kind": "hang", "seconds": 3}, "uncertain", True),
        ({"kind": "status"}, "uncertain", False),
        ({"kind": "html"}, "uncertain", False),
        ({"kind": "empty"}, "uncertain", False),
        ({"kind": "wrong_ids"}, "uncertain", False),
        ({"kind": "oversized"}, "uncertain", False),
        ({"kind": "maintenance"}, "requested", False),
        ({"kind": "rate_limited"}, "requested", False),
        ({"kind": "error", "key": "TRADE_NOT_CANCELLABLE", "code": 28, "status": 400}, "refused", False),
        ({"kind": "error", "key": "SOMETHING_NEW", "code": 77, "status": 418}, "refused", False),
    ],
    ids=lambda value: value.get("key", value["kind"]) if isinstance(value, dict) else None,
)
def test_each_kind_of_answer_ends_in_its_state(
    sandbox: RunningSandbox, settings: Settings, fault: dict[str, object], expected: str, may_resend: bool
) -> None:
    if fault["kind"] == "oversized":
        settings.ASSETPAY_TIMEOUT_SECONDS = 10  # its megabyte has to come, also on a busy machine
    item = trade_at(sandbox)
    ask(item, now=now())
    sandbox.control.fault(route="cancel_item", **fault)

    send_next(clock=now)

    cancellation = Cancellation.objects.get(item=item)
    assert (cancellation.state, cancellation.may_resend) == (expected, may_resend)
    assert Attempt.objects.get().outcome != "sending"
    # Whoever reads the log must not think that somebody asked for it anew.
    last = {"requested": "postponed"}.get(expected, expected)
    assert AuditEntry.objects.latest("number").action == f"cancellation.{last}"


def test_an_expired_token_is_renewed_once_under_a_permit_of_its_own(sandbox: RunningSandbox) -> None:
    item = trade_at(sandbox)
    ask(item, now=now())
    sandbox.control.fault("token_expired", route="cancel_item", times=1)

    sent = drain(clock=now)

    assert (sent, state(item)) == (2, "accepted")
    assert SendPermit.objects.count() == 2


def test_a_token_that_is_rejected_twice_is_refused(sandbox: RunningSandbox) -> None:
    item = trade_at(sandbox)
    ask(item, now=now())
    sandbox.control.fault("token_expired", route="cancel_item", times=5)

    sent = drain(clock=now)

    assert (sent, state(item)) == (2, "refused")


def test_an_address_where_nobody_listens_is_tried_again_later(settings: Settings) -> None:
    see(trade_snapshot())
    settings.ASSETPAY_BASE_URL = "http://127.0.0.1:9"
    ask(item_of())

    sent = drain(clock=clock_at(NOON))

    cancellation = Cancellation.objects.get()
    assert (sent, cancellation.state, cancellation.not_sent_count) == (1, "requested", 1)
    assert AuditEntry.objects.latest("number").action == "cancellation.postponed"
    assert "could not be reached" in cancellation.waits_for


def test_a_customer_without_a_trade_url_is_refused_in_words(settings: Settings) -> None:
    see(trade_snapshot(clientTradeUrl=None))
    ask(item_of())

    drain(clock=clock_at(NOON))

    cancellation = Cancellation.objects.get()
    assert cancellation.state == "refused"
    assert "No client token" in cancellation.answer_message


def test_nothing_is_sent_before_its_time_to_undo_is_over(settings: Settings) -> None:
    settings.UNDO_SECONDS = 5
    see(trade_snapshot())
    ask(item_of(), now=NOON)

    assert claim_next(now=NOON + timedelta(seconds=4.9)) is None
    assert claim_next(now=NOON + timedelta(seconds=5)) is not None


def claim_many(count: int, *, start: datetime = NOON, per_second: float = 1.0) -> list[datetime]:
    """Claim as often as permits allow, looking often, each call ending at once; when each left."""
    items = [item_document(f"item-{number:03d}") for number in range(count)]
    see(trade_snapshot(items=items))
    for item in Item.objects.all():
        ask(item, now=NOON)
    left, moment = [], start
    while len(left) < count and moment < start + timedelta(minutes=30):
        claim = claim_next(now=moment)
        if claim is None:
            moment += timedelta(seconds=1 / per_second)
        else:
            record_answer(claim, ACCEPTED, now=moment)
            left.append(moment)
    return left


def test_no_window_of_sixty_seconds_holds_more_than_the_limit(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 4

    left = claim_many(11)

    assert len(left) == 11
    for index in range(len(left) - 4):
        assert left[index + 4] - left[index] >= timedelta(seconds=60)


def test_a_permit_counts_from_the_end_of_its_call(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 1
    see(trade_snapshot(items=[item_document("item-a"), item_document("item-b")]))
    for item in Item.objects.all():
        ask(item, now=NOON)
    slow = claim_next(now=NOON)
    assert slow is not None

    record_answer(slow, ACCEPTED, now=NOON + timedelta(seconds=8))

    assert claim_next(now=NOON + timedelta(seconds=67)) is None
    assert claim_next(now=NOON + timedelta(seconds=68)) is not None


def test_a_pause_that_assetpay_asked_for_holds_every_cancellation(sandbox: RunningSandbox) -> None:
    first, second = trade_at(sandbox), trade_at(sandbox)
    ask(first, now=now())
    ask(second, now=now())
    sandbox.control.fault("rate_limited", route="cancel_item", retry_after=30)

    sent = drain(clock=now)

    budget = SendBudget.objects.get()
    assert sent == 1
    assert budget.paused_until is not None
    assert budget.paused_until > now() + timedelta(seconds=5)
    assert {state(first), state(second)} == {"requested"}


def test_a_worker_killed_in_the_middle_leaves_an_unknown_outcome_and_one_resend(sandbox: RunningSandbox) -> None:
    item = trade_at(sandbox)
    ask(item, now=now())
    assert claim_next(now=now()) is not None  # and the worker dies here

    later = now() + timedelta(minutes=1)
    settled = settle_abandoned(now=later)

    cancellation = Cancellation.objects.get(item=item)
    assert (settled, cancellation.state, cancellation.may_resend) == (1, "uncertain", True)
    assert drain(clock=clock_at(later + timedelta(minutes=1))) == 1
    assert state(item) == "accepted"


def test_a_live_lease_is_left_alone() -> None:
    see(trade_snapshot())
    ask(item_of())
    claim_next(now=NOON)

    assert settle_abandoned(now=NOON + timedelta(seconds=5)) == 0
    assert claim_next(now=NOON + timedelta(seconds=5)) is None


def test_a_worker_that_lost_its_lease_changes_nothing_with_its_answer() -> None:
    see(trade_snapshot())
    ask(item_of())
    stale = claim_next(now=NOON)
    assert stale is not None
    settle_abandoned(now=NOON + timedelta(minutes=2))
    fresh = claim_next(now=NOON + timedelta(minutes=3))
    assert fresh is not None

    moved = record_answer(stale, ACCEPTED, now=NOON + timedelta(minutes=3, seconds=1))

    cancellation = Cancellation.objects.get()
    assert (moved, cancellation.state, cancellation.claim) == (False, "sending", fresh.attempt.number)


def test_a_callback_that_comes_before_the_answer_wins() -> None:
    see(trade_snapshot())
    ask(item_of())
    claim = claim_next(now=NOON)
    assert claim is not None
    see(trade_snapshot(updatedAt=stamp(NOON), status="reverted", items=[item_document(status="reverted")]))

    moved = record_answer(claim, ACCEPTED, now=NOON + timedelta(seconds=2))

    assert (moved, Cancellation.objects.get().state) == (False, "confirmed")
    assert Attempt.objects.get().outcome == "accepted"
    assert AuditEntry.objects.latest("number").action == "cancellation.answered_late"


def test_every_send_has_its_intent_committed_before_it(sandbox: RunningSandbox) -> None:
    item = trade_at(sandbox)
    ask(item, now=now())

    claim = claim_next(now=now())

    assert claim is not None
    assert Attempt.objects.get().outcome == "sending"
    assert not [call for call in sandbox.control.requests() if call["method"] == "POST"]
    assert AuditEntry.objects.latest("number").request_id == str(claim.attempt.request_id)


BROKE = OutcomeUnknown(reason="502", http_status=502, request_id="r", lost_answer=False)
NO = Refused(key="TRADE_NOT_CANCELLABLE", code=28, message="", request_id="r", http_status=400)


@pytest.mark.parametrize(("answer", "ends"), [(BROKE, "uncertain"), (NO, "refused"), (ACCEPTED, "accepted")])
def test_what_was_taken_for_lost_is_not_asked_again_once_its_answer_came(answer: object, ends: str) -> None:
    see(trade_snapshot())
    ask(item_of())
    slow = claim_next(now=NOON)
    assert slow is not None
    settle_abandoned(now=NOON + timedelta(minutes=1))
    assert Cancellation.objects.get().may_resend

    record_answer(slow, answer, now=NOON + timedelta(minutes=1, seconds=1))  # type: ignore[arg-type]

    assert claim_next(now=NOON + timedelta(minutes=5)) is None
    entry = AuditEntry.objects.latest("number")
    assert Cancellation.objects.get().state == ends
    if ends == "uncertain":
        # No change, so it is told as none.
        assert entry.action == "cancellation.answered_late"
        assert (entry.before, entry.after) == ({}, {"answer": "unknown", "key": "", "message": "502"})
    else:
        assert (entry.before["cancellation"], entry.after["cancellation"]) == ("uncertain", ends)


def test_a_worker_that_slept_past_its_lease_sends_nothing_any_more(sandbox: RunningSandbox) -> None:
    item = trade_at(sandbox)
    ask(item, now=now())
    moments = iter([now() + timedelta(seconds=10), now() + timedelta(minutes=2), now() + timedelta(minutes=2)])

    def clock() -> datetime:
        moment = next(moments)
        # Meanwhile another worker finds what this one left.
        settle_abandoned(now=moment)
        return moment

    assert send_next(clock=clock)

    assert not [call for call in sandbox.control.requests() if call["method"] == "POST"]
    assert Attempt.objects.get().outcome == "not_sent"
    assert state(item) == "uncertain"


def test_a_worker_with_nothing_to_do_asks_little_and_has_nothing_compiled(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks every two seconds, all day (`docs/performance.md`)."""
    see(trade_snapshot(items=[item_document(f"item-{number}") for number in range(20)]))
    drain(clock=now)
    compiled: list[str] = []
    as_sql = SQLCompiler.as_sql

    def counted(compiler: SQLCompiler, *arguments: Any, **more: Any) -> Any:
        compiled.append(str(compiler.query.model))
        return as_sql(compiler, *arguments, **more)

    monkeypatch.setattr(SQLCompiler, "as_sql", counted)
    with django_assert_num_queries(18):
        drain(clock=now)

    assert compiled == []
