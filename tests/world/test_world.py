"""The world at large (F6 to F12, F29 to F48, F51, F52, P1 to P26): whatever happens in any order, what must hold holds.

A failure prints its steps and the seed; `SEED=…` draws the same steps again.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from math import ceil
from typing import Any
from unittest import mock

import hypothesis
import pytest
import time_machine
from django.core.cache import cache
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import get_state_machine_test
from pytest_django import Settings

from sandbox.testing import running_sandbox
from tests.desk import person
from tests.faults import kills
from tests.faults.door import runs, tell
from tests.wire import NOON
from tests.world.machine import AGENT, World
from withdrawals.actions import deliveries, judgement
from withdrawals.assetpay.errors import NotSent
from withdrawals.models import Delivery, Role

LIMIT = 4
STEPS = 50
# A long run that never came to one of these has not tried what it is for.
RARE = ("acts while a worker asked", "deaths of a worker", "deaths on a callback", "confirm done", "stale reads")
ENOUGH_FOR_ALL = 10_000
SEED = 2026
PHASES = (Phase.generate, Phase.shrink)


@pytest.fixture(autouse=True)
def world(settings: Settings, db: None) -> Iterator[None]:
    """Desk and AssetPay on one clock, and the people who work there."""
    with time_machine.travel(NOON, tick=False) as traveller, running_sandbox(cancels_per_minute=LIMIT) as sandbox:
        settings.ASSETPAY_BASE_URL = sandbox.base_url
        settings.ASSETPAY_MERCHANT_ID = sandbox.merchant_id
        settings.ASSETPAY_API_KEY = sandbox.api_key
        settings.ASSETPAY_API_SECRETS = list(sandbox.secrets)
        settings.ASSETPAY_CANCELS_PER_MINUTE = LIMIT
        settings.ASSETPAY_TIMEOUT_SECONDS = 10
        settings.UNDO_SECONDS = 5
        settings.ALARM_EMAILS = ["desk@desk.example"]
        staff = (person(), person(), person(Role.SUPERVISOR), person(Role.SUPERVISOR))
        with mock.patch.multiple(World, create=True, control=sandbox.control, traveller=traveller, staff=staff):
            World.steps, World.done = 0, Counter()
            cache.clear()
            yield


def turn(steps: int, *, number: int) -> None:
    """At least so many steps; the same ones for the same number."""
    seed = number + int(os.environ.get("SOAK_SEED") or 0)
    tell(f"seed {seed}")
    while World.steps < steps:
        settled = settings(
            max_examples=ceil((steps - World.steps) / STEPS),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        )
        try:
            hypothesis.seed(seed)(get_state_machine_test(World, settings=settled))()
        except BaseException as error:
            again = f"SEED={os.environ.get('SOAK_SEED') or 0} with the same number of steps draws it again"
            error.add_note(f"drawn from seed {seed}, after {World.steps:,} steps; {again}")
            raise
        seed += 1


FAST, LONG = runs(500, 250_000)


# Three times 500 on each database: 3,000 in `make test`. The long run in two halves, one for each of two cores.
@pytest.mark.parametrize(
    ("first", "steps"),
    [
        *(pytest.param(first, *FAST.values, id=f"fast-{first}") for first in (0, 1_000, 2_000)),
        *(pytest.param(first, ceil(LONG.values[0] / 2), id=f"soak-{first}", marks=LONG.marks) for first in (0, 10**6)),
    ],
)
def test_p6_whatever_happens_in_the_world_what_must_hold_holds(first: int, steps: int) -> None:
    turn(steps, number=SEED + first)

    rare = {what: World.done[what] for what in RARE}
    tell(f"{World.steps:,} steps: " + ", ".join(f"{count:,} {what}" for what, count in sorted(World.done.items())))
    assert steps < ENOUGH_FOR_ALL or all(rare.values()), f"never tried: {rare}"


def _no_5xx_is_final(cancellation: Any, reason: str, now: datetime, lost_answer: bool, *more: Any) -> Any:
    return KEPT["judge_unknown"](cancellation, reason, now, True, *more)


def _no_memory_of_a_resend(cancellation: Any, reason: str, now: datetime, lost_answer: bool, *more: Any) -> Any:
    cancellation.was_resent = False
    return KEPT["judge_unknown"](cancellation, reason, now, lost_answer, *more)


def _no_one_looks_whether_it_is_applied(call: Any, seal: Any, now: datetime) -> tuple[Delivery, bool]:
    return KEPT["keep"](call, seal, now)[0], False


KEPT: dict[str, Callable[..., Any]] = {
    "judge_unknown": judgement._judge_unknown,
    "keep": deliveries._keep,
}
DEAD_AFTER_ASKING = 2 * (*kills.CLAIM, *kills.CALL).index("httpcore._backends.sync.SyncStream.read") + 1
LOST, BROKEN_THERE = {"kind": "reset_after"}, {"kind": "status", "status": 500, "effect": True}
Step = Callable[[World], object]


def click(which: int = 0) -> Step:
    return lambda world: world.somebody_clicks(which, AGENT, False, False)


def wait(seconds: int) -> Step:
    return lambda world: world.time_passes(seconds)


def send(fault: dict[str, Any] | None = None) -> Step:
    return lambda world: world.a_worker_sends(fault)


def moves(how: int) -> Step:
    return lambda world: world.a_supplier_moves(0, how, False, True)


def hear(which: int, copies: int = 1) -> Step:
    return lambda world: world.a_callback_comes(which, copies, 0)


# A guard, what stands in its place, a short walk that needs it, and what the model of the world says without it;
# None where more than one of its promises breaks at once.
CONTROLS: dict[str, tuple[str, Any, list[Step], str | None]] = {
    "a 5xx is sent again": (
        "withdrawals.actions.judgement._judge_unknown",
        _no_5xx_is_final,
        [click(), wait(6), send(BROKEN_THERE), wait(31), send(), wait(1)],
        "after a 5xx",
    ),
    "a lost answer is sent again and again": (
        "withdrawals.actions.judgement._judge_unknown",
        _no_memory_of_a_resend,
        [click(), wait(6), send(LOST), wait(31), send(LOST), wait(31), send(), wait(1)],
        "sent again twice",
    ),
    "the last message wins": (
        "withdrawals.actions.projection._is_heavier",
        lambda *_: True,
        [moves(0), hear(1), wait(1), moves(0), hear(1), lambda world: world.an_old_document_is_read(0)],
        "went back",
    ),
    "no limit": (
        "withdrawals.models.send_permit._freed",
        lambda limit, lanes, now: now,
        [
            lambda world: world.somebody_buys(5, 7_200, "12.50"),
            lambda world: world.somebody_buys(5, 7_200, "12.50"),
            lambda world: world.all_news_comes(),
            *(click(which) for which in (0, 1, 3, 4, 5, 6)),
            wait(6),
            send(),
        ],
        None,
    ),
    "a repeated callback is applied again": (
        "withdrawals.actions.deliveries._keep",
        _no_one_looks_whether_it_is_applied,
        [hear(0, copies=2)],
        "second effect",
    ),
    "any signature will do": (
        "withdrawals.gateway.verify",
        lambda *_: None,
        [lambda world: world.a_stranger_forges(0, "reverted", "another secret")],
        None,
    ),
    "an approval is acknowledged": (
        "withdrawals.views.callbacks.answer_status",
        lambda _: 200,
        [lambda world: world.an_approval_is_asked(True)],
        "otherwise than by 503",
    ),
    "what ended stays open": (
        "withdrawals.actions.cancellations.follow_items",
        lambda *_, **__: [],
        [click(), wait(6), send(), moves(3), hear(1), wait(1_000)],
        "holds no open cancellation",
    ),
    "a dead worker's call counts as not sent": (
        "withdrawals.actions.sending.judge_lost_worker",
        lambda cancellation, *, now: judgement._judge_not_sent(cancellation, NotSent("died"), now),
        [click(), wait(6), lambda world: world.a_worker_dies(DEAD_AFTER_ASKING, None), wait(46), send()],
        None,
    ),
}


def walk(steps: list[Step]) -> None:
    """These steps and no others, each looked at as the machine does, and whole."""
    world = World()
    try:
        for step in (lambda world: world.a_day_begins(3, 3, "25.50"), *steps):
            step(world)
            world.listen()
            world.witness.look(world.now, whole=True)
    finally:
        transaction.set_rollback(True)
        world.inside.close()


@pytest.mark.parametrize("guard", CONTROLS)
def test_p6_control_without_a_guard_the_world_shows_it(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, without, steps, said = CONTROLS[guard]
    walk(steps)

    monkeypatch.setattr(place, without)
    with pytest.raises(AssertionError, match=said):
        walk(steps)
