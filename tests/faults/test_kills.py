"""F29, F44, P9 to P13: killed with -9 anywhere between the click and the recorded answer: nothing lost or doubled."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import simplejson
from django.tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import ask, clock_at, deliver, item_of, person, see
from tests.faults.door import runs, seeded
from tests.faults.kills import POINTS, arm, forked
from withdrawals import gateway
from withdrawals.actions.clock import URGENT_GIVEN_UP_AFTER, Bell
from withdrawals.actions.looking import release_armed
from withdrawals.actions.sending import drain, drain_cancellations
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.management.commands.clock import SENDER_SECONDS
from withdrawals.models import Attempt, AuditEntry, Cancellation, CancellationState, Item, Lane, User
from withdrawals.models.audit_chain import verify_chain
from withdrawals.models.cancellation import sending_lease

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sandbox(settings: Settings) -> Iterator[RunningSandbox]:
    with running_sandbox(process=True, cancels_per_minute=100_000) as running:
        settings.ASSETPAY_BASE_URL = running.base_url
        settings.ASSETPAY_MERCHANT_ID = running.merchant_id
        settings.ASSETPAY_API_KEY = running.api_key
        settings.ASSETPAY_API_SECRETS = list(running.secrets)
        settings.ASSETPAY_TIMEOUT_SECONDS = 2
        settings.ASSETPAY_CANCELS_PER_MINUTE = 60_000
        yield running


def clock() -> datetime:
    return datetime.now(UTC)


def trade_at(sandbox: RunningSandbox, **spec: object) -> tuple[Item, dict[str, object]]:
    plain = {"age_seconds": 7200, "supplier": "silent", "auto_cancel_seconds": None, "announce": False}
    made = sandbox.control.make_trade(**plain | spec)
    see(read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode())), now=clock())
    return item_of(made["id"], made["items"][0]["id"]), made


def reverted(made: dict[str, object]) -> bytes:
    """The callback that tells the end of everything in this trade."""
    items = [item | {"status": "reverted"} for item in made["items"]]  # type: ignore[attr-defined]
    later = clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    trade = made | {"status": "reverted", "items": items, "updatedAt": later}
    return simplejson.dumps({"trade": trade}, use_decimal=True).encode()


def sends(sandbox: RunningSandbox) -> dict[str, list[str]]:
    """The request ids that AssetPay got, for each trade."""
    got: dict[str, list[str]] = {}
    for call in sandbox.control.requests():
        if call["method"] == "POST":
            got.setdefault(call["path"].split("/")[4], []).append(call["callerRequestId"])
    return got


def recover() -> None:
    """Start again: the workers' own functions, at the moments at which the clock would ring them."""
    later = clock() + sending_lease() + timedelta(seconds=1)
    drain(clock=clock_at(later))
    drain(clock=clock_at(later + timedelta(seconds=31)))


def walk(item: Item, actor: User, made: dict[str, object]) -> None:
    """From the click to the callback."""
    ask(item, actor=actor, now=clock())
    drain(clock=clock)
    deliver(reverted(made), now=clock())


@pytest.mark.parametrize("kills", runs(len(POINTS), 3 * len(POINTS)))
def test_f29_killed_at_every_named_point_nothing_is_lost_or_sent_twice(sandbox: RunningSandbox, kills: int) -> None:
    actor, trouble = person(), []
    for name, after in POINTS * max(1, kills // len(POINTS)):
        item, made = trade_at(sandbox)

        def doomed(item: Item = item, made: dict[str, object] = made, name: str = name, after: bool = after) -> None:
            arm(name, after=after)
            walk(item, actor, made)

        if forked(doomed) != -9:
            trouble.append(f"{name} {'after' if after else 'before'}: was never reached")
        recover()
        trouble += [f"{name} {'after' if after else 'before'}: {what}" for what in wrong_with(item, sandbox)]

    assert trouble == []
    assert len(POINTS) >= 60
    verified = verify_chain()
    assert verified.problem == ""


def wrong_with(item: Item, sandbox: RunningSandbox) -> list[str]:
    """What of the promises of P9 to P13 does not hold for this item."""
    wrong = []
    asked = list(Cancellation.objects.filter(item=item))
    attempts = list(Attempt.objects.filter(cancellation__item=item).order_by("number"))
    sent = sends(sandbox).get(item.trade.assetpay_id, [])
    entries = AuditEntry.objects.filter(item=item, action="cancellation.requested").count()
    if len(asked) != entries or len(asked) > 1:
        wrong.append(f"{len(asked)} requests, {entries} entries")
    if asked and asked[0].state not in (CancellationState.ACCEPTED, CancellationState.CONFIRMED):
        wrong.append(f"ended as {asked[0].state}")
    if not {UUID(request_id) for request_id in sent} <= {attempt.request_id for attempt in attempts}:
        wrong.append("sent without a committed intent")
    if len(sent) != len(set(sent)) or len(sent) > 2:
        wrong.append(f"sent {len(sent)} times")
    if len(sent) == 2 and attempts[0].outcome != "unknown":
        wrong.append(f"sent again after {attempts[0].outcome}")
    if [attempt.number for attempt in attempts] != list(range(1, len(attempts) + 1)):
        wrong.append("attempts are not numbered without gaps")
    return wrong


def test_f29_control_a_sender_that_writes_afterwards_sends_a_known_one_twice(sandbox: RunningSandbox) -> None:
    item, _ = trade_at(sandbox)
    asked = ask(item, now=clock())

    def careless() -> None:
        arm("httpcore._backends.sync.SyncStream.read", after=True)
        gateway.cancel_item(item, request_id=UUID("12345678-1234-4234-8234-123456789abc"), now=clock())
        Cancellation.objects.filter(pk=asked.pk).move(to=CancellationState.ACCEPTED, now=clock())

    assert forked(careless) == -9
    recover()

    assert len(sends(sandbox)[item.trade.assetpay_id]) == 2
    assert "sent without a committed intent" in wrong_with(item, sandbox)


def test_f29_a_dead_workers_lease_is_over_within_thirty_seconds() -> None:
    assert sending_lease() <= timedelta(seconds=30)


def test_f44_a_wake_up_that_died_with_its_worker_keeps_the_clock_silent_for_seconds_only() -> None:
    """Its row says "running" for ever; the clock once believed that for two minutes, in which nobody sent anything."""
    bell, start = Bell(drain_cancellations, given_up_after=URGENT_GIVEN_UP_AFTER), clock()
    bell.ring(now=start)
    DBTaskResult.objects.update(status=TaskResultStatus.RUNNING, started_at=start)

    bell.ring(now=start + URGENT_GIVEN_UP_AFTER - timedelta(seconds=1))
    while_it_may_live = DBTaskResult.objects.count()
    bell.ring(now=start + URGENT_GIVEN_UP_AFTER + timedelta(seconds=1))

    assert (while_it_may_live, DBTaskResult.objects.count()) == (1, 2)
    assert timedelta(seconds=30) >= URGENT_GIVEN_UP_AFTER + timedelta(seconds=SENDER_SECONDS)


@pytest.mark.parametrize("kills", runs(12, 200))
def test_f44_workers_killed_at_any_moment_leave_nothing_behind(sandbox: RunningSandbox, kills: int) -> None:
    chance = seeded(44)
    items = [trade_at(sandbox)[0] for _ in range(max(25, kills))]
    for item in items:
        ask(item, now=clock())

    def worker() -> None:
        drain(clock=clock)

    killed = 0
    for _ in range(kills):
        killed += killed_after(chance.uniform(0.01, 0.12), worker)
    recover()

    states = set(Cancellation.objects.values_list("state", flat=True))
    assert killed > 0
    assert states == {"accepted"}
    assert [what for item in items for what in wrong_with(item, sandbox)] == []


def killed_after(seconds: float, act: object) -> bool:
    """Fork, let it run so long, kill it; whether it was still alive then."""

    def with_a_bomb() -> None:
        if os.fork() == 0:
            parent = os.getppid()
            time.sleep(seconds)  # the moment of death, drawn at random
            if os.getppid() == parent:
                os.kill(parent, 9)
            os._exit(0)
        act()  # type: ignore[operator]

    return forked(with_a_bomb) == -9


@pytest.mark.parametrize("count", runs(60, 1_000))
def test_f29_armed_items_fire_once_each_though_everything_is_killed(sandbox: RunningSandbox, count: int) -> None:
    count = min(max(count, 60), 1_000)
    chance, items = seeded(4), []
    for _ in range(count // 10):
        _, made = trade_at(sandbox, items=[{} for _ in range(10)])
        items += list(Item.objects.select_related("trade").filter(trade__assetpay_id=made["id"]))
    actor = person()
    for item in items:
        Cancellation.objects.create(
            item=item,
            number=1,
            state=CancellationState.SCHEDULED,
            lane=Lane.BATCH,
            armed_status=item.status,
            reason="armed",
            requested_by=actor,
            requested_at=clock(),
            changed_at=clock(),
            send_from=clock() - timedelta(seconds=1),
        )

    def desk() -> None:
        while release_armed(now=clock()):
            pass
        drain(clock=clock)

    for _ in range(count // 10):
        killed_after(chance.uniform(0.05, 0.5), desk)
    while release_armed(now=clock()):
        pass
    while drain(clock=clock):
        pass
    recover()

    assert set(Cancellation.objects.values_list("state", flat=True)) == {"accepted"}
    assert AuditEntry.objects.filter(action="cancellation.released").count() == len(items) == count // 10 * 10
    sent = [request_id for ids in sends(sandbox).values() for request_id in ids]
    known = Attempt.objects.filter(request_id__in=sent, outcome="accepted").count()
    assert (len(sent), known) == (len(set(sent)), len(items))
