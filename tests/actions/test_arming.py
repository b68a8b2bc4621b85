"""Cancel when allowed: armed before the window opens, looked at afresh when it does, fired once and never early."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import simplejson
from pytest_django import Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import READ, item_of, person, see
from tests.wire import NOON, item_document, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import (
    CancelRefused,
    arm_cancellation,
    retry_cancellation,
    undo_cancellation,
)
from withdrawals.actions.looking import look_after_unknown, release_armed
from withdrawals.actions.sending import claim_next, drain, record_answer
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.errors import NotSent, OutcomeUnknown, Refused, ToldToWait
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.models import AuditEntry, Cancellation, Item, Role, SendBudget, Source, User

pytestmark = pytest.mark.django_db

BORN = NOON - timedelta(minutes=10)
OPENS = NOON + timedelta(minutes=20)
WAIT = ToldToWait(seconds=120, key="ITEM_BUSY", code=30, message="", request_id="r", http_status=409, stated=True)
TOO_SOON = Refused(key="TRADE_CANCEL_TOO_SOON", code=27, message="No.", request_id="r", http_status=400)


def arm(item: Item, *, now: datetime = NOON) -> Cancellation:
    who = person()
    origin = Origin(Source.SCREEN, actor=who)
    return arm_cancellation(item_id=item.pk, reason="not sent", note="", actor=who, origin=origin, now=now)


def young(**fields: object) -> Item:
    see(trade_snapshot(createdAt=stamp(BORN), **fields))
    return item_of()


def test_an_armed_item_waits_for_its_window() -> None:
    armed = arm(young())

    assert (armed.state, armed.send_from, armed.armed_status) == ("scheduled", OPENS, "pending")
    assert "12:20:00 UTC" in armed.waits_for
    assert claim_next(now=OPENS + timedelta(minutes=1)) is None
    assert AuditEntry.objects.latest("number").action == "cancellation.armed"


@pytest.mark.parametrize(
    ("minutes", "fires_after"),
    [(-3, 0), (-2, 0), (-1, 1), (0, 2), (1, 3), (2, 4), (3, 0), (None, 0)],
)
def test_near_assetpays_own_auto_cancel_it_waits_until_two_minutes_after_that(
    minutes: int | None, fires_after: int
) -> None:
    auto = None if minutes is None else stamp(OPENS + timedelta(minutes=minutes))

    armed = arm(young(autoCancelAt=auto))

    assert armed.send_from == OPENS + timedelta(minutes=fires_after)


def test_news_of_another_auto_cancel_moves_the_moment() -> None:
    armed = arm(young())

    see(trade_snapshot(createdAt=stamp(BORN), updatedAt=stamp(NOON), autoCancelAt=stamp(OPENS)))

    armed.refresh_from_db()
    assert armed.send_from == OPENS + timedelta(minutes=2)
    assert "auto-cancel" in armed.waits_for
    assert AuditEntry.objects.latest("number").action == "cancellation.rescheduled"


def test_only_the_age_may_stand_in_the_way() -> None:
    see(trade_snapshot("old"))
    see(trade_snapshot("rust", createdAt=stamp(BORN), game="252490"))
    see(trade_snapshot("ended", createdAt=stamp(BORN), items=[item_document(status="completed")]))

    for trade, words in (("old", "can be cancelled now"), ("rust", "Rust"), ("ended", "delivery is complete")):
        with pytest.raises(CancelRefused, match=words):
            arm(item_of(trade))


def test_the_second_who_arms_is_told_who_was_first() -> None:
    item = young()
    arm(item)

    with pytest.raises(CancelRefused, match=r"Already armed by .* at 12:00:00 UTC: it asks AssetPay at 12:20:00 UTC"):
        arm(item)


def test_the_second_who_arms_is_told_no_moment_of_what_was_given_up() -> None:
    item = young()
    arm(item)
    Cancellation.objects.update(needs_person="8 tries came to nothing.")

    with pytest.raises(CancelRefused, match=r"Already asked for by .*: scheduled"):
        arm(item)


def test_an_armed_item_is_disarmed_by_a_person() -> None:
    armed = arm(young())

    undone = undo_cancellation(cancellation_id=armed.pk, actor=person(), origin=READ, now=OPENS)

    assert (undone.state, "Taken back by" in undone.ended_because) == ("withdrawn", True)


# --- Firing, with the sandbox as AssetPay -----------------------------------------------------------------


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
    settings.ASSETPAY_CANCELS_PER_MINUTE = 6_000
    return sandbox_process


def clock() -> datetime:
    return datetime.now(UTC)


def armed_at(sandbox: RunningSandbox, **spec: object) -> tuple[Item, Cancellation]:
    """An item of the sandbox that was armed a minute before its window opened, which is now."""
    plain = {"age_seconds": 1_801, "supplier": "silent", "auto_cancel_seconds": None}
    made = sandbox.control.make_trade(**plain | spec)
    see(read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode())), now=clock())
    item = item_of(made["id"], made["items"][0]["id"])
    return item, arm(item, now=clock() - timedelta(minutes=1))


def cancels(sandbox: RunningSandbox) -> int:
    return sum(call["method"] == "POST" for call in sandbox.control.requests())


def test_an_armed_item_fires_after_a_fresh_look_and_not_before(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox)

    assert release_armed(now=armed.send_from - timedelta(milliseconds=1)) == 0
    assert release_armed(now=clock()) == 1
    assert release_armed(now=clock()) == 0
    drain(clock=clock)

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == ("accepted", 1)
    calls = [call["method"] for call in sandbox.control.requests()]
    assert calls == ["GET", "POST"]


@pytest.mark.parametrize(("status", "state"), [("reverted", "confirmed"), ("completed", "overtaken")])
def test_what_ended_meanwhile_is_not_asked_for(sandbox: RunningSandbox, status: str, state: str) -> None:
    item, armed = armed_at(sandbox)
    sandbox.control.change_item(item.trade.assetpay_id, item.assetpay_id, status=status)

    assert release_armed(now=clock()) == 0
    drain(clock=clock)

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == (state, 0)
    assert armed.ended_because == "The item ended before AssetPay was asked."


@pytest.mark.parametrize("status", ["active", "hold"])
def test_what_was_offered_meanwhile_is_disarmed_with_its_reason(sandbox: RunningSandbox, status: str) -> None:
    item, armed = armed_at(sandbox)
    sandbox.control.change_item(item.trade.assetpay_id, item.assetpay_id, status=status)

    assert release_armed(now=clock()) == 0
    drain(clock=clock)

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == ("withdrawn", 0)
    assert "the offer went out" in armed.ended_because
    assert AuditEntry.objects.latest("number").reason == armed.ended_because


@pytest.mark.parametrize("status", ["active", "hold"])
def test_an_offer_between_the_look_and_the_call_disarms_it(sandbox: RunningSandbox, status: str) -> None:
    item, armed = armed_at(sandbox)
    assert release_armed(now=clock()) == 1
    sandbox.control.change_item(item.trade.assetpay_id, item.assetpay_id, status=status)
    (held,) = (trade for trade in sandbox.control.state()["trades"] if trade["id"] == item.trade.assetpay_id)
    see(read_trade(parse_json(simplejson.dumps(held, use_decimal=True).encode())), now=clock())

    assert claim_next(now=clock()) is None
    assert release_armed(now=clock()) == 0

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == ("withdrawn", 0)
    assert "the offer went out" in armed.ended_because
    actions = AuditEntry.objects.order_by("-number").values_list("action", flat=True)
    assert list(actions[:2]) == ["cancellation.withdrawn", "cancellation.rearmed"]


def test_what_could_not_leave_while_its_look_was_fresh_is_looked_at_again(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox)
    assert release_armed(now=clock()) == 1
    later = clock() + timedelta(minutes=6)

    assert claim_next(now=later) is None
    assert release_armed(now=later) == 1
    assert claim_next(now=later) is not None

    armed.refresh_from_db()
    assert armed.state == "sending"
    assert [call["method"] for call in sandbox.control.requests()] == ["GET", "GET"]


def several_armed(sandbox: RunningSandbox, trades: int, *, items: int = 1) -> None:
    """So many trades whose items were armed a minute before their window opened, which is now."""
    for _ in range(trades):
        made = sandbox.control.make_trade(
            age_seconds=1_801, supplier="silent", auto_cancel_seconds=None, items=[{"price": "5.00"}] * items
        )
        see(read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode())), now=clock())
        for item in made["items"]:
            arm(item_of(made["id"], item["id"]), now=clock() - timedelta(minutes=1))


def test_no_more_is_released_than_leaves_while_its_look_is_fresh(sandbox: RunningSandbox, settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 2  # one of them for what was armed: five in five minutes
    several_armed(sandbox, trades=7)

    released = [release_armed(now=clock()) for _ in range(2)]
    assert claim_next(now=clock()) is not None

    assert [*released, release_armed(now=clock())] == [5, 0, 1]


def test_a_trade_is_released_whole(sandbox: RunningSandbox, settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 2
    several_armed(sandbox, trades=2, items=4)

    assert [release_armed(now=clock()) for _ in range(2)] == [8, 0]


def test_a_second_look_keeps_the_place_in_the_queue(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox)
    release_armed(now=clock())
    later = clock() + timedelta(minutes=6)

    assert release_armed(now=later) == 1

    again = Cancellation.objects.get()
    assert (again.state, again.send_from, again.changed_at) == ("requested", armed.send_from, later)


def test_news_of_other_times_do_not_shorten_a_wait_that_assetpay_asked_for(sandbox: RunningSandbox) -> None:
    item, _ = armed_at(sandbox)
    release_armed(now=clock())
    claim = claim_next(now=clock())
    assert claim is not None
    record_answer(claim, WAIT, now=clock())
    put_off = Cancellation.objects.get().send_from

    (held,) = sandbox.control.state()["trades"]
    held |= {"autoCancelAt": stamp(clock() + timedelta(hours=2)), "updatedAt": stamp(clock())}
    see(read_trade(parse_json(simplejson.dumps(held, use_decimal=True).encode())), now=clock())

    item.trade.refresh_from_db()
    assert item.trade.auto_cancel_at is not None
    assert Cancellation.objects.get().send_from == put_off


@pytest.mark.parametrize(
    "answer",
    [
        NotSent("ConnectError"),
        WAIT,
    ],
)
def test_what_was_armed_and_put_off_is_looked_at_again_before_it_leaves(
    sandbox: RunningSandbox, answer: Exception
) -> None:
    _, armed = armed_at(sandbox)
    release_armed(now=clock())
    claim = claim_next(now=clock())
    assert claim is not None
    record_answer(claim, answer, now=clock())

    armed.refresh_from_db()
    assert armed.state == "scheduled"
    assert release_armed(now=armed.send_from) == 1


def test_what_was_armed_and_handed_back_to_the_workers_is_looked_at_again(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox)
    release_armed(now=clock())
    Cancellation.objects.update(needs_person="12 tries came to nothing.")
    days_later, who = clock() + timedelta(days=2), person(Role.SUPERVISOR)
    origin = Origin(Source.SCREEN, actor=who)

    retried = retry_cancellation(cancellation_id=armed.pk, actor=who, origin=origin, now=days_later)

    assert retried.state == "scheduled"
    assert claim_next(now=days_later) is None
    assert release_armed(now=days_later) == 1


def test_an_item_armed_while_offered_fires(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox, status="active")

    assert release_armed(now=clock()) == 1
    armed.refresh_from_db()
    assert armed.state == "requested"


def test_without_a_look_nothing_fires_and_it_is_looked_again_later(sandbox: RunningSandbox, settings: Settings) -> None:
    _, armed = armed_at(sandbox)
    settings.ASSETPAY_BASE_URL = "http://127.0.0.1:9"
    now = clock()

    assert release_armed(now=now) == 0
    assert release_armed(now=now + timedelta(seconds=29)) == 0

    armed.refresh_from_db()
    assert (armed.state, armed.read_from, armed.read_count) == ("scheduled", now + timedelta(seconds=30), 1)
    assert "nothing is sent on a stale look" in armed.waits_for
    settings.ASSETPAY_BASE_URL = sandbox.base_url
    assert release_armed(now=now + timedelta(seconds=30)) == 1


def test_a_trade_that_assetpay_does_not_show_holds_up_no_other(sandbox: RunningSandbox) -> None:
    see(trade_snapshot("unknown", createdAt=stamp(clock() - timedelta(minutes=29))), now=clock())
    lost = arm(item_of("unknown"), now=clock())
    Cancellation.objects.filter(pk=lost.pk).update(send_from=clock())
    _, armed = armed_at(sandbox)

    assert release_armed(now=clock()) == 1

    lost.refresh_from_db()
    armed.refresh_from_db()
    assert (lost.state, armed.state) == ("scheduled", "requested")
    assert "did not show" in lost.waits_for


# --- Too soon ---------------------------------------------------------------------------------------------


def test_too_soon_arms_again_with_a_growing_margin_and_others_learn_of_it() -> None:
    item = young()
    armed = arm(item)
    pauses = []
    moment = OPENS
    for _ in range(3):
        moment = Cancellation.objects.get().send_from
        Cancellation.objects.filter(pk=armed.pk).update(state="requested", changed_at=moment)
        claim = claim_next(now=moment)
        assert claim is not None
        record_answer(claim, TOO_SOON, now=moment)
        armed.refresh_from_db()
        pauses.append(armed.send_from - moment)
        assert (armed.state, "too soon" in armed.waits_for) == ("scheduled", True)

    see(trade_snapshot("other", createdAt=stamp(BORN)))
    other = arm(item_of("other"))
    assert pauses == [timedelta(seconds=seconds) for seconds in (30, 60, 120)]
    assert other.send_from == OPENS + timedelta(seconds=30 + 60 + 30)
    assert SendBudget.objects.get().margin(NOON + timedelta(days=2)) == timedelta()


def test_a_margin_that_is_absurd_teaches_nothing() -> None:
    armed = arm(young())
    late = OPENS + timedelta(hours=2)
    Cancellation.objects.filter(pk=armed.pk).update(state="requested", changed_at=late)
    claim = claim_next(now=late)
    assert claim is not None

    record_answer(claim, TOO_SOON, now=late)

    assert SendBudget.objects.get().margin_seconds == 0


# --- While nobody knows -----------------------------------------------------------------------------------


def test_an_unknown_outcome_is_looked_at_by_growing_pauses(sandbox: RunningSandbox) -> None:
    _, armed = armed_at(sandbox)
    release_armed(now=clock())
    start = clock()
    claim = claim_next(now=start)
    assert claim is not None
    lost = OutcomeUnknown(reason="x", http_status=500, request_id="r", lost_answer=False)
    record_answer(claim, lost, now=start)
    looks, moment = [], start
    while len(looks) < 8:
        moment = Cancellation.objects.get(pk=armed.pk).read_from or moment
        assert look_after_unknown(now=moment - timedelta(milliseconds=1)) == 0
        assert look_after_unknown(now=moment) == 1
        looks.append(moment)

    pauses = [(later - earlier).total_seconds() for earlier, later in zip([start, *looks], looks, strict=False)]
    assert pauses == [30, 60, 120, 300, 600, 1800, 1800, 1800]
    assert list(Cancellation.objects.outcome_unknown()) == [armed]


def test_a_look_that_shows_the_end_settles_an_unknown_outcome(sandbox: RunningSandbox) -> None:
    item, armed = armed_at(sandbox)
    release_armed(now=clock())
    sandbox.control.fault("status", route="cancel_item")
    drain(clock=clock)
    sandbox.control.change_item(item.trade.assetpay_id, item.assetpay_id, status="reverted")

    look_after_unknown(now=clock() + timedelta(seconds=31))

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == ("confirmed", 1)


def test_what_somebody_armed_does_not_fire_once_their_account_is_closed_past_the_desk(
    sandbox: RunningSandbox,
) -> None:
    _, armed = armed_at(sandbox)
    User.objects.filter(pk=armed.requested_by_id).update(is_active=False)

    release_armed(now=clock())
    drain(clock=clock)

    armed.refresh_from_db()
    assert (armed.state, cancels(sandbox)) == ("withdrawn", 0)
    assert "was switched off" in armed.ended_because
