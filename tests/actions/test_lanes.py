"""The sending limit, shared: batches leave a part of it to clicks, clicks go first, and the queue says when it ends."""

from datetime import datetime, timedelta

import pytest
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from tests.desk import ask, person, see
from tests.wire import NOON, item_document, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import draft_batch, start_batch
from withdrawals.actions.budget import budget_view, estimated_end
from withdrawals.actions.sending import claim_next, drain, order_wake_up, record_answer
from withdrawals.assetpay.cancels import CancelAnswer
from withdrawals.models import Batch, Cancellation, Item, Lane, SendBudget, SendPermit, Source
from withdrawals.models.send_permit import GREATEST_MARGIN, MARGIN_KEPT, WINDOW, share_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ACCEPTED = CancelAnswer(trade_id="t", item_id="i", external_id=None, request_id="r")


def seen(count: int) -> list[Item]:
    """Items that share a trade with one that nobody chose, so that they are asked for one by one."""
    see(trade_snapshot(items=[item_document(f"item-{number:04d}") for number in range(count + 1)]))
    return list(Item.objects.order_by("pk"))[:count]


def batch_of(items: list[Item]) -> Batch:
    who = person()
    origin = Origin(Source.SCREEN, actor=who)
    made = draft_batch(item_ids=[item.pk for item in items], selection="", actor=who, origin=origin, now=NOON)
    return start_batch(batch_id=made.pk, reason="outage", note="", actor=who, origin=origin, now=NOON)


def send(now: datetime) -> str:
    """Send one, answered at once; its lane, or empty where nothing may leave."""
    claim = claim_next(now=now)
    if claim is None:
        return ""
    record_answer(claim, ACCEPTED, now=now)
    return claim.cancellation.lane


@pytest.mark.parametrize(("limit", "share"), [(1, 1), (2, 1), (4, 3), (5, 4), (10, 8), (60, 48), (61, 49)])
def test_a_fifth_of_the_limit_and_at_least_one_is_kept_for_clicks(settings: Settings, limit: int, share: int) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = limit

    assert (share_of(Lane.BATCH), share_of(Lane.CLICK)) == (share, limit)


def test_a_batch_stops_at_its_share_and_clicks_use_the_rest(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10
    items = seen(25)
    batch_of(items[:20])

    lanes = [send(NOON) for _ in range(10)]
    for item in items[20:]:
        ask(item)
    lanes += [send(NOON) for _ in range(5)]

    assert lanes == ["batch"] * 8 + [""] * 2 + ["click"] * 2 + [""] * 3


def test_a_click_goes_before_a_batch_that_waited_longer() -> None:
    items = seen(3)
    batch_of(items[:2])
    ask(items[2], now=NOON + timedelta(seconds=30))

    assert [send(NOON + timedelta(minutes=1)) for _ in range(2)] == ["click", "batch"]


def test_clicks_that_use_the_whole_limit_hold_up_the_batch(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 4
    items = seen(8)
    for item in items[:4]:
        ask(item)
    batch_of(items[4:])

    assert [send(NOON) for _ in range(5)] == ["click"] * 4 + [""]


def test_with_a_limit_of_one_both_still_work_and_the_click_is_next(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 1
    items = seen(3)
    batch_of(items[:2])
    first = send(NOON)
    ask(items[2])

    rest = [send(NOON + timedelta(minutes=minute)) for minute in range(1, 3)]

    assert [first, *rest] == ["batch", "click", "batch"]


def test_p14_no_minute_holds_more_than_the_limit_and_no_batch_more_than_its_share(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 5
    items = seen(30)
    batch_of(items[:20])
    left: list[tuple[datetime, str]] = []
    for second in range(420):
        if second % 40 == 0 and items[20 + second // 40 :]:
            ask(items[20 + second // 40], now=NOON + timedelta(seconds=second))
        while lane := send(NOON + timedelta(seconds=second)):
            left.append((NOON + timedelta(seconds=second), lane))

    batch = [at for at, lane in left if lane == "batch"]
    assert (len(batch), len(left) - len(batch)) == (20, 10)
    assert all(later - at >= timedelta(minutes=1) for (at, _), (later, _) in zip(left, left[5:], strict=False))
    assert all(later - at >= timedelta(minutes=1) for at, later in zip(batch, batch[4:], strict=False))


def test_the_queue_knows_when_it_will_have_left(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 5
    batch_of(seen(10))

    expected = estimated_end(10, lane=Lane.BATCH, now=NOON)
    last = NOON
    for second in range(300):
        while send(NOON + timedelta(seconds=second)):
            last = NOON + timedelta(seconds=second)

    assert last == expected == NOON + timedelta(minutes=2)


def test_the_budget_is_shown_as_it_stands(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10
    items = seen(12)
    batch_of(items[:10])
    ask(items[10])
    send(NOON)
    send(NOON)
    SendBudget.objects.update(paused_until=NOON + timedelta(seconds=30), paused_because="RATE_LIMITED")

    shown = budget_view(NOON)

    assert (shown.limit, shown.used, shown.batch_share, shown.batch_used, shown.reserved) == (10, 2, 8, 1, 2)
    assert (shown.queued_clicks, shown.queued_batch, shown.armed, shown.held) == (0, 9, 0, 0)
    assert (shown.paused_until, shown.paused_because) == (NOON + timedelta(seconds=30), "RATE_LIMITED")
    assert shown.estimated_end == NOON + timedelta(seconds=90)
    assert budget_view(NOON + timedelta(seconds=30)).paused_until is None


def test_what_is_held_armed_unknown_or_stuck_is_counted_apart(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10
    items = seen(12)
    Batch.objects.filter(pk=batch_of(items[:3]).pk).update(state="paused")
    batch_of(items[3:5])
    asked = [ask(item).pk for item in items[5:12]]
    scheduled = Cancellation.objects.filter(pk__in=asked[:2])
    scheduled.update(state="scheduled", lane="batch", send_from=NOON + timedelta(minutes=9))
    Cancellation.objects.filter(pk=asked[2]).update(state="uncertain")
    Cancellation.objects.filter(pk__in=asked[3:5]).update(needs_person="looked at eight times")
    SendBudget.objects.update(margin_seconds=9, margin_learned_at=NOON)

    shown = budget_view(NOON)

    assert (shown.queued_clicks, shown.queued_batch, shown.held) == (2, 2, 3)
    assert (shown.armed, shown.unknown, shown.stuck) == (2, 1, 2)
    assert (shown.used, shown.batch_used, shown.paused_until, shown.paused_because) == (0, 0, None, "")
    assert (shown.margin, shown.estimated_end) == (timedelta(seconds=9), NOON)
    # Its time has come, and it waits for a look and its turn like the others.
    due = budget_view(NOON + timedelta(minutes=9))
    assert (due.queued_batch, due.armed) == (4, 0)


def test_an_empty_queue_has_no_end_and_a_permit_that_ran_out_counts_no_more(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 1
    assert estimated_end(0, lane=Lane.CLICK, now=NOON) is None
    assert budget_view(NOON).estimated_end is None
    assert estimated_end(1, lane=Lane.CLICK, now=NOON) == NOON
    ask(seen(1)[0])
    send(NOON)

    for lane in Lane:
        expected = NOON + WINDOW if lane == Lane.CLICK else NOON
        assert estimated_end(1, lane=lane, now=NOON) == expected
        assert estimated_end(2, lane=lane, now=NOON) == expected + WINDOW
    assert (budget_view(NOON).used, budget_view(NOON + WINDOW).used) == (1, 0)
    assert estimated_end(1, lane=Lane.CLICK, now=NOON + WINDOW) == NOON + WINDOW


def test_where_nothing_was_ever_asked_for_nothing_is_counted_and_all_of_the_limit_is_free(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 10

    shown = budget_view(NOON)

    waiting = (shown.queued_clicks, shown.queued_batch, shown.held, shown.armed, shown.unknown, shown.stuck)
    assert (shown.limit, shown.used, waiting, shown.estimated_end) == (10, 0, (0, 0, 0, 0, 0, 0), None)


def test_the_end_of_the_queue_is_that_of_the_longer_lane_and_knows_of_a_pause(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 5
    items = seen(12)
    batch_of(items[:5])
    for item in items[5:]:
        ask(item)

    assert estimated_end(5, lane=Lane.BATCH, now=NOON) == NOON + WINDOW
    assert budget_view(NOON).estimated_end == NOON + WINDOW
    SendBudget.objects.update(paused_until=NOON + timedelta(minutes=3))
    assert budget_view(NOON).estimated_end == NOON + timedelta(minutes=4)


@pytest.mark.parametrize(("clicks", "batch"), [(6, 1), (1, 5)])
def test_one_lane_that_is_done_sooner_does_not_end_the_queue(settings: Settings, clicks: int, batch: int) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 5
    items = seen(clicks + batch)
    batch_of(items[:batch])
    for item in items[batch:]:
        ask(item)

    assert budget_view(NOON).estimated_end == NOON + WINDOW


def test_a_permit_that_is_free_is_reckoned_with_before_one_that_still_counts(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 2
    ask(seen(1)[0])
    send(NOON)

    assert estimated_end(1, lane=Lane.CLICK, now=NOON) == NOON


@pytest.mark.parametrize(("lane", "free"), [(Lane.CLICK, 30), (Lane.BATCH, 40)])
def test_a_lane_is_free_when_its_own_share_and_the_whole_are(settings: Settings, lane: Lane, free: int) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 3
    items = seen(3)
    batch_of(items[:2])
    ask(items[2])
    budget = SendBudget.objects.get()
    assert (budget.free_at(NOON, lane), budget.margin_seconds, SendBudget().margin_seconds) == (NOON, 0, 0)
    for ends in (30, 40, 45):
        claim = claim_next(now=NOON)
        assert claim is not None
        SendPermit.objects.filter(attempt__cancellation=claim.cancellation).update(
            lane="batch" if ends > 30 else "click", counts_until=NOON + timedelta(seconds=ends)
        )

    assert budget.free_at(NOON, lane) == NOON + timedelta(seconds=free)
    assert budget.free_at(NOON + timedelta(seconds=free), lane) == NOON + timedelta(seconds=free)
    budget.paused_until = NOON + timedelta(seconds=50)
    assert budget.free_at(NOON, lane) == NOON + timedelta(seconds=50)


@pytest.mark.parametrize(
    ("learned", "margin"), [(None, 0), (MARGIN_KEPT, 9), (MARGIN_KEPT + timedelta(microseconds=1), 0), (timedelta(), 9)]
)
def test_what_was_learned_of_assetpays_clock_is_believed_for_a_day(learned: timedelta | None, margin: int) -> None:
    budget = SendBudget(margin_seconds=9, margin_learned_at=None if learned is None else NOON - learned)

    assert budget.margin(NOON) == timedelta(seconds=margin)
    assert (timedelta(minutes=5), timedelta(days=1)) == (GREATEST_MARGIN, MARGIN_KEPT)


def test_a_permit_whose_call_nobody_ends_counts_for_a_minute_after_its_lease(settings: Settings) -> None:
    settings.ASSETPAY_TIMEOUT_SECONDS = 10

    assert SendPermit.latest_end(NOON) == NOON + timedelta(seconds=30 + 60)


def test_one_wake_up_is_ordered_for_the_moment_a_permit_comes_free(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 1
    batch_of(seen(2))
    send(NOON)
    DBTaskResult.objects.all().delete()

    assert not order_wake_up(now=NOON + timedelta(seconds=30))
    ordered = [order_wake_up(now=NOON + timedelta(seconds=55)) for _ in range(3)]

    assert ordered == [True, False, False]
    assert DBTaskResult.objects.get().run_after == NOON + timedelta(seconds=60)


def test_a_worker_is_given_back_after_ten_seconds_with_a_wake_up_for_the_rest(settings: Settings) -> None:
    settings.ASSETPAY_CANCELS_PER_MINUTE = 6_000
    settings.ASSETPAY_BASE_URL = "http://127.0.0.1:9"
    batch_of(seen(40))
    DBTaskResult.objects.all().delete()
    ticks = iter(NOON + timedelta(seconds=tick) for tick in range(10_000))

    sent = drain(clock=lambda: next(ticks))

    assert 0 < sent < 10
    assert SendPermit.objects.count() == sent
    assert DBTaskResult.objects.get().task_path.endswith("drain_cancellations")


def test_two_workers_fill_a_batchs_share_and_no_click_waits_two_seconds(settings: Settings) -> None:
    """Two workers that look twice a second, on a clock of their own; AssetPay takes two seconds for each answer."""
    settings.ASSETPAY_CANCELS_PER_MINUTE, latency, look = 20, timedelta(seconds=2), timedelta(seconds=0.5)
    items = seen(72)
    batch_of(items[:64])
    to_click = {NOON + timedelta(seconds=20 + 25 * number): item for number, item in enumerate(items[64:])}
    workers, sent, waits = [NOON, NOON + look / 2], [], []
    while min(workers) < NOON + timedelta(minutes=4):
        now = min(workers)
        for at in [at for at in to_click if at <= now]:
            ask(to_click.pop(at), now=at)
        claim = claim_next(now=now)
        if claim is None:
            workers[workers.index(now)] = now + look
            continue
        workers[workers.index(now)] = now + latency
        record_answer(claim, ACCEPTED, now=now + latency)
        if claim.cancellation.lane == Lane.CLICK:
            waits.append(now - claim.cancellation.requested_at)
        else:
            sent.append(now)

    minutes = 3
    filled = sum(at < NOON + timedelta(minutes=minutes) for at in sent) / (minutes * share_of(Lane.BATCH))
    assert filled >= 0.95
    assert (len(waits), max(waits) <= timedelta(seconds=2)) == (8, True)
