"""F8 to F10: late news, late approvals, and clocks and secrets of ours that are wrong."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from pytest_django import Settings

from tests.desk import news, signed
from tests.faults.door import APPROVAL, CRYPTO_APPROVAL, approval, call, moment, runs, seeded, send
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.alarms import DETECTORS, watch
from withdrawals.models import Alarm, AlarmKind, Delivery, Item, Trade, Verdict

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

LATE = [timedelta(minutes=6), timedelta(hours=1), timedelta(days=3)]
WATCH_SECONDS = 20
BETWEEN_CALLS = 4
NOT_OUR_SECRET = "what-somebody-typed-by-mistake"


@pytest.mark.parametrize("age", LATE)
def test_f08_late_news_is_kept_marked_and_merged_forward_only(age: timedelta) -> None:
    before, after = stamp(NOON), stamp(NOON + timedelta(minutes=1))
    send(news("t-1", status="active", items=[item_document(status="active")], updatedAt=after))

    old = news("t-1", items=[item_document(status="pending")], updatedAt=before)
    assert send(old, now=moment() - age) == 200
    assert send(news("t-2"), now=moment() - age) == 200

    assert Item.objects.get(trade__assetpay_id="t-1").status == "active"
    assert list(Delivery.objects.order_by("pk").values_list("is_late", flat=True)) == [False, True, True]
    # Both are among what the next reading back asks AssetPay for.
    assert set(Trade.objects.still_open().values_list("assetpay_id", flat=True)) == {"t-1", "t-2"}


def test_f08_news_a_month_late_is_refused_unless_the_settings_allow_it(settings: Settings) -> None:
    month_ago = moment() - timedelta(days=30)
    assert send(news(), now=month_ago) == 401

    settings.CALLBACK_LATE_SECONDS = 31 * 24 * 60 * 60

    assert send(news(), now=month_ago) == 200
    assert Delivery.objects.get().is_late


@pytest.mark.parametrize("count", runs(150, 1_000))
def test_f09_a_late_or_replayed_approval_is_never_let_through(count: int) -> None:
    chance = seeded(9)
    recorded = [
        (body, signed(body, now=moment() - timedelta(seconds=chance.uniform(301, 30 * 86_400))))
        for body in (APPROVAL, CRYPTO_APPROVAL)
        for _ in range(10)
    ]

    answers = Counter(call(*chance.choice(recorded), is_copy=chance.random() < 0.5) for _ in range(count))

    assert answers == {503: count}
    assert set(Delivery.objects.values_list("verdict", flat=True)) == {Verdict.APPROVAL}


def rings_after(kind: AlarmKind, act: Callable[[datetime], None], start: datetime, *, within: int) -> int | None:
    """Seconds until the alarm rings, with calls every four seconds and a look every twenty."""
    for passed in range(0, within + 1, BETWEEN_CALLS):
        act(start + timedelta(seconds=passed))
        if passed and passed % WATCH_SECONDS == 0:
            watch(now=start + timedelta(seconds=passed))
            if Alarm.objects.ringing().filter(kind=kind).exists():
                return passed
    return None


def call_under_a_clock_that_is_off(seconds: float, answers: Counter[tuple[str, int]]) -> Callable[[datetime], None]:
    """AssetPay's calls at a true time, while our clock reads `seconds` more."""

    def act(ours: datetime) -> None:
        with time_machine.travel(ours, tick=False):
            true = ours - timedelta(seconds=seconds)
            for name, body in (("news", news()), ("approval", APPROVAL)):
                answers[name, send(body, now=true)] += 1

    return act


@pytest.mark.parametrize("seconds", [-600, -310, -290, -60, -40, 40, 150, 290])
def test_f10_a_clock_of_ours_that_is_off_rings_within_a_minute_and_rejects_no_approval(seconds: int) -> None:
    start = NOON
    calls: Counter[tuple[str, int]] = Counter()
    right = call_under_a_clock_that_is_off(0, calls)
    assert rings_after(AlarmKind.CLOCK_SKEW, right, start - timedelta(minutes=1), within=60) is None
    jumped = start + timedelta(seconds=seconds)
    wrong = call_under_a_clock_that_is_off(seconds, calls)

    rang = rings_after(AlarmKind.CLOCK_SKEW, wrong, jumped, within=60)

    assert rang is not None
    assert rang <= 60
    assert {status for (name, status), _ in calls.items() if name == "approval"} == {503}
    alarm = Alarm.objects.ringing().get(kind=AlarmKind.CLOCK_SKEW)
    assert ("critical" in alarm.detail) == (abs(seconds) > 120)


def test_f10_control_a_clock_that_is_right_to_half_a_minute_rings_nothing() -> None:
    calls: Counter[tuple[str, int]] = Counter()

    assert rings_after(AlarmKind.CLOCK_SKEW, call_under_a_clock_that_is_off(25, calls), NOON, within=60) is None


def test_f10_a_few_retries_with_an_old_time_do_not_look_like_a_wrong_clock() -> None:
    for number in range(12):
        send(news(), now=moment() - timedelta(hours=number % 3), delivery_id=f"d-{number}")

    assert DETECTORS[AlarmKind.CLOCK_SKEW](moment()) == ""


def test_f10b_a_wrong_secret_of_ours_rings_within_a_minute_and_heals_without_a_restart(settings: Settings) -> None:
    theirs = settings.ASSETPAY_API_SECRETS[0]
    calls: Counter[tuple[str, int]] = Counter()
    number = 0

    def act(now: datetime) -> None:
        nonlocal number
        number += 1
        with time_machine.travel(now, tick=False):
            for name, body in (("news", news(f"t-{number}")), ("approval", approval(f"a-{number}"))):
                calls[name, send(body, secret=theirs, delivery_id=f"{name}-{number}")] += 1

    assert rings_after(AlarmKind.WRONG_SECRET, act, NOON, within=60) is None
    settings.ASSETPAY_API_SECRETS = [NOT_OUR_SECRET]
    wrong_from = NOON + timedelta(seconds=62)

    rang = rings_after(AlarmKind.WRONG_SECRET, act, wrong_from, within=60)

    assert rang is not None
    assert rang <= 60
    assert {status for (name, status), _ in calls.items() if name == "approval"} == {503}
    assert {status for (name, status), _ in calls.items() if name == "news"} == {200, 401}

    settings.ASSETPAY_API_SECRETS = [theirs]
    calls.clear()
    healed = wrong_from + timedelta(minutes=6)
    act(healed)
    watch(now=healed)

    assert calls == {("news", 200): 1, ("approval", 503): 1}
    assert not Alarm.objects.ringing().filter(kind=AlarmKind.WRONG_SECRET).exists()


def test_f10b_a_flood_of_unsigned_calls_does_not_hide_a_wrong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("withdrawals.actions.deliveries.KEPT_REJECTED_CALLS", 50)
    for _ in range(3):
        send(news(), secret=NOT_OUR_SECRET)

    for _ in range(120):
        call(b"{}", "nonsense")

    assert DETECTORS[AlarmKind.WRONG_SECRET](moment()) != ""


def test_f10b_without_any_secret_every_call_is_503_and_nothing_is_let_in(settings: Settings) -> None:
    headers = [(body, signed(body, now=moment())) for body in (news(), APPROVAL, CRYPTO_APPROVAL)]
    settings.ASSETPAY_API_SECRETS = []

    assert {call(*one) for one in headers} == {503}
    assert not Delivery.objects.exists()
