"""F29, F44, P7 to P13: web, worker and clock are killed with -9, at named points and at random, and started again.

What the desk then says is compared with the sandbox's own record of what it was asked and what it told.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from sandbox.testing import RunningSandbox, running_sandbox
from tests.desk import person
from tests.faults.door import DOOR, runs, seeded, tell
from tests.faults.kills import CALL, CALLBACK, CLAIM, CLICK, POINTS, RECORD
from tests.running.nursery import ORDER
from tests.running.processes import CLOCK, answers, free_port, merchant_of, running, wait_until
from withdrawals.actions.invariants import INVARIANTS
from withdrawals.models import Attempt, Cancellation, Delivery, Item, Refund, Verdict
from withdrawals.models.audit_chain import verify_chain
from withdrawals.models.cancellation import OUTCOME_UNKNOWN

# Its sender died, and once more at the second try, before the call left: it is not asked a third time, and a person
# finds it where unknown outcomes are shown.
LEFT_TO_A_PERSON = (["uncertain"], ["unknown", "unknown"])
WORKER = ["db_worker", "--no-reload", "--interval", "0.1", "--queue-name", "*"]
TOKEN = "c" * 32
WEB, WORKERS = (*CLICK, *CALLBACK), (*CLAIM, *CALL, *RECORD)


@dataclass
class Desk:
    """The running processes, and a browser at the desk."""

    url: str
    folder: Path
    supervisors: dict[str, int]
    http: httpx.Client
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)

    def click(self, item: int) -> None:
        """As a person does: no answer, so once more with the same form."""
        form = {"reason": "Customer asked", "number": "1", "csrfmiddlewaretoken": TOKEN}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if self.http.post(f"/items/{item}/cancel/", data=form).status_code in (303, 409):
                    return
        raise TimeoutError(item)

    def kill(self, role: str) -> None:
        """Whoever does this work right now."""
        found = children(self.supervisors[role])
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(found), signal.SIGKILL)
                self.killed[f"{role} at random"] += 1

    def order_death(self, name: str, *, after: bool) -> None:
        """At this point, whoever comes there first."""
        waiting = self.folder / "next"
        waiting.write_text(f"{name} {'after' if after else 'before'}")
        waiting.rename(self.folder / ORDER)

    def is_obeyed(self) -> bool:
        """Whether somebody came to the point and died there."""
        return not (self.folder / ORDER).exists()


def children(parent: int) -> list[int]:
    """The processes that this one has started and that still run."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            words = (place / "stat").read_text().rpartition(")")[2].split()
            if int(words[1]) == parent and words[0] != "Z":
                found.append(int(place.name))
    return found


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(
        process=True,
        api_secrets=tuple(django_settings.ASSETPAY_API_SECRETS),
        cancels_per_minute=100_000,
        retry_schedule_seconds=[0.2, 0.5, 1, 2, 3],
        retry_give_up=False,
        callback_timeout_seconds=5,
    ) as running_:
        yield running_


@pytest.fixture
def desk(database_url: str, sandbox: RunningSandbox, tmp_path: Path) -> Iterator[Desk]:
    environment = {
        "DATABASE_URL": database_url,
        **merchant_of(sandbox),
        "ASSETPAY_CANCELS_PER_MINUTE": str(django_settings.MOST_CANCELS_PER_MINUTE),
        "ASSETPAY_TIMEOUT_SECONDS": "2",
        "RECONCILE_SECONDS": "10",
        "UNDO_SECONDS": "0",
    }
    port, browser = free_port(), Client()
    browser.force_login(person())
    cookies = {django_settings.SESSION_COOKIE_NAME: browser.cookies[django_settings.SESSION_COOKIE_NAME].value}
    commands = {
        "web": ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4", "--no-control-socket"],
        "worker": WORKER,
        "clock": CLOCK[1:],
    }
    with ExitStack() as stack:
        supervisors = {}
        for role, command in commands.items():
            nursery = ["-m", "tests.running.nursery", str(tmp_path), role, *command]
            supervisors[role] = stack.enter_context(running(*nursery, **environment)).pid
        wait_until(lambda: answers(port) and all(children(pid) for pid in supervisors.values()), seconds=300)
        sandbox.control.switch(callback_url=f"http://127.0.0.1:{port}{DOOR}")
        url = f"http://127.0.0.1:{port}"
        cookies[django_settings.CSRF_COOKIE_NAME] = TOKEN
        http = stack.enter_context(httpx.Client(base_url=url, cookies=cookies, trust_env=False, timeout=10))
        yield Desk(url, tmp_path, supervisors, http, seeded(29))


def rounds(desk: Desk, sandbox: RunningSandbox, kills: int) -> list[int]:
    """One item is asked for in each round, and somebody dies in it: in turn at a named point and at random."""
    points: list[tuple[str, bool]] = []
    items: list[int] = []
    while desk.killed.total() < kills:
        points = points or desk.chance.sample(POINTS, len(POINTS))
        items.append(bought(sandbox, already=items))
        if desk.killed.total() % 2 == 0:
            name, after = points.pop()
            desk.order_death(name, after=after)
            desk.click(items[-1])
            wait_until(desk.is_obeyed, seconds=60)
            desk.killed[f"{'web' if name in WEB else 'worker'} at a point"] += 1
        else:
            desk.click(items[-1])
            time.sleep(desk.chance.uniform(0, 0.2))  # the moment of death, drawn at random
            desk.kill(desk.chance.choice(["web", "worker", "worker", "clock"]))
    return items


def bought(sandbox: RunningSandbox, *, already: list[int]) -> int:
    """One more withdrawal, once the desk has heard of it by callback; our key of its item."""
    sandbox.control.make_trade(age_seconds=7_200, auto_cancel_seconds=None, supplier_delay_seconds=0.3)
    new = Item.objects.exclude(pk__in=already).values_list("pk", flat=True)
    wait_until(new.exists, seconds=60)
    return new.get()


def wrong_with(sandbox: RunningSandbox, items: list[int]) -> list[str]:
    """Where the desk and AssetPay's own record differ, and what was done twice or never."""
    wrong = []
    calls = [call for call in sandbox.control.requests() if call["method"] == "POST"]
    sent = Counter(call["callerRequestId"] for call in calls)
    known = {str(attempt.request_id): attempt for attempt in Attempt.objects.all()}
    wrong += [f"{request_id} sent without a committed intent" for request_id in set(sent) - set(known)]
    wrong += [f"{request_id} sent {times} times" for request_id, times in sent.items() if times > 1]
    for item in Item.objects.select_related("trade").filter(pk__in=items):
        states = [each.state for each in Cancellation.objects.filter(item=item)]
        asked = [call for call in calls if item.assetpay_id in call["path"]]
        effects = sum(call["effect"] for call in asked)
        attempts = Attempt.objects.filter(cancellation__item=item).order_by("number")
        outcomes = list(attempts.values_list("outcome", flat=True))
        refunds = Refund.objects.filter(item=item).count()
        is_shown = Cancellation.objects.filter(OUTCOME_UNKNOWN, item=item, was_resent=True).exists()
        if (states, outcomes, asked, refunds, is_shown) == (*LEFT_TO_A_PERSON, [], 0, True):
            continue
        if states != ["confirmed"]:
            wrong.append(f"{item.pk}: {states}")
        if effects != 1:
            wrong.append(f"{item.pk}: AssetPay acted {effects} times")
        if any(outcome not in ("unknown", "sending") for outcome in outcomes[:-1]) or len(outcomes) > 2:
            wrong.append(f"{item.pk}: {outcomes}")
        if refunds != 1:
            wrong.append(f"{item.pk}: {refunds} refunds")
    log = sandbox.control.deliveries()
    told = {each["deliveryId"] for each in log for one in each["attempts"] if one["status"] == 200}
    kept = set(Delivery.objects.filter(verdict=Verdict.APPLIED).values_list("delivery_id", flat=True))
    wrong += [f"callback {each} was acknowledged and is not applied" for each in told - kept]
    for invariant in INVARIANTS:
        wrong += [f"{invariant.name}: {row}" for row in invariant.broken_rows(timezone.now())]
    return wrong + [verify_chain().problem] * bool(verify_chain().problem)


# In `make soak` and `make kills` alone: the forty that would suit `make test` have not been timed on a quiet machine.
@pytest.mark.parametrize("kills", runs(40, 1_000)[1:])
def test_f29_f44_processes_killed_anywhere_lose_nothing_and_ask_nothing_twice(
    desk: Desk, sandbox: RunningSandbox, settings: Settings, kills: int
) -> None:
    # The invariants are asked here, and must know the limit of the desk that was killed.
    settings.ASSETPAY_CANCELS_PER_MINUTE = settings.MOST_CANCELS_PER_MINUTE
    items = rounds(desk, sandbox, kills)

    started = time.monotonic()
    with suppress(TimeoutError):
        # An outcome that nobody knows is read after half a minute, and where a kill fell into that a minute later.
        open_ = Cancellation.objects.open().exclude(was_resent=True)
        wait_until(lambda: not open_.exists() and not wrong_with(sandbox, items), seconds=240)
    took = time.monotonic() - started

    assert wrong_with(sandbox, items) == []
    by_kind = ", ".join(f"{count:,} {who}" for who, count in sorted(desk.killed.items()))
    left = Cancellation.objects.open().count()
    tell(f"{by_kind}; {len(items):,} items, all as in AssetPay's record {took:.0f} s after the last kill")
    tell(f"{left} whose sender died twice before the call left, which a person settles")
    assert min(desk.killed[f"{role} at random"] for role in ("web", "worker")) > 0
