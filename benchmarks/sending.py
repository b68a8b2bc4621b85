"""What a minute's limit is worth: a batch within it, three agents who click meanwhile, and the real processes.

Starts the sandbox, two workers and the clock, as the Procfile does, on an SQLite file of its own (or on DATABASE_URL),
and prints how long clicks waited for the wire, how much of its share the batch used, and how often AssetPay said 429.

    python benchmarks/sending.py [--items 150] [--limit 60] [--latency 0.3]
"""

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from sandbox.testing import RunningSandbox, running_sandbox  # noqa: E402 # after the path

AGENTS = 3
# Of the fifth that is kept for clicks the agents use four fifths, so that each finds a permit when it clicks.
CLICKS_OF_THEIR_SHARE = 0.8
WORKERS = 2
MINUTE = 60


def main() -> int:
    """Run once and print; the exit status says whether AssetPay ever said 429."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=int(os.environ.get("N") or 150))
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0.3, help="seconds that AssetPay takes to answer")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sandbox(process=True, cancels_per_minute=chosen.limit, supplier_delay_seconds=3_600) as sandbox,
    ):
        environment(sandbox, folder, chosen.limit)
        if chosen.latency:
            sandbox.control.fault("slow", route="cancel_item", times=100_000, seconds=chosen.latency)
        manage("migrate", "--verbosity", "0")
        manage("createcachetable", "--verbosity", "0")
        return measure(sandbox, chosen.items, chosen.limit, chosen.latency)


def environment(sandbox: RunningSandbox, folder: str, limit: int) -> None:
    """The settings of this process and of those that it starts; nothing of an installation's own."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "assetpay_admin.settings",
        "ENV_FILE": os.devnull,
        "DEBUG": "true",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "MFA_SEED_KEY": secrets.token_urlsafe(48),
        "ASSETPAY_BASE_URL": sandbox.base_url,
        "ASSETPAY_MERCHANT_ID": sandbox.merchant_id,
        "ASSETPAY_API_KEY": sandbox.api_key,
        "ASSETPAY_API_SECRETS": ",".join(sandbox.secrets),
        "ASSETPAY_CANCELS_PER_MINUTE": str(limit),
        "UNDO_SECONDS": "0",
    }
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{folder}/bench.sqlite3")


def manage(*arguments: str) -> None:
    """Run one of the project's commands."""
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=PROJECT, check=True)  # noqa: S603 # our own


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """The workers and the clock, as the Procfile has them."""
    worker = ["db_worker", "--no-reload", "--interval", "0.5", "--queue-name", "*"]
    started = [
        subprocess.Popen(  # noqa: S603 # our own interpreter and commands
            [sys.executable, "manage.py", *command], cwd=PROJECT, stdout=subprocess.DEVNULL
        )
        for command in [worker] * WORKERS + [["clock"]]
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(sandbox: RunningSandbox, items: int, limit: int, latency: float) -> int:
    """Let the batch and the agents run until the batch has left, and print what came of it."""
    import django  # noqa: PLC0415 # after the environment

    django.setup()
    from benchmarks.acting import click, make_items, start_batch_of  # noqa: PLC0415 # needs the settings
    from withdrawals.models import Attempt, Cancellation, Lane, SendPermit  # noqa: PLC0415
    from withdrawals.models.send_permit import share_of  # noqa: PLC0415

    share, spare = share_of(Lane.BATCH), limit - share_of(Lane.BATCH)
    minutes = items / share + 1
    clicks = max(AGENTS, int(minutes * spare * CLICKS_OF_THEIR_SHARE))
    chosen, clicked = make_items(sandbox, items), make_items(sandbox, clicks)
    print(f"{items} items in a batch, {AGENTS} agents, {limit} a minute, AssetPay answers in {latency:g} s")
    done = threading.Event()
    first = make_items(sandbox, 1)
    with processes():
        # A worker needs some seconds to start; what it costs is not what is measured here.
        click(first, 0, 0, threading.Event())
        while not Attempt.objects.exclude(answered_at=None).exists():
            time.sleep(0.2)
        start_batch_of(chosen)
        begun = time.monotonic()
        agents = [
            threading.Thread(
                target=click,
                args=(clicked[number::AGENTS], AGENTS * MINUTE / (spare * CLICKS_OF_THEIR_SHARE), number, done),
            )
            for number in range(AGENTS)
        ]
        for agent in agents:
            agent.start()
        while (
            Cancellation.objects.waiting().filter(lane=Lane.BATCH).exists() and time.monotonic() - begun < 30 * MINUTE
        ):
            time.sleep(0.5)
        done.set()
        for agent in agents:
            agent.join()
        time.sleep(3 + latency)
    calls = [call for call in sandbox.control.requests() if call["method"] == "POST"]
    arrived = {call["callerRequestId"]: datetime.fromisoformat(call["time"]) for call in calls}
    asked = Cancellation.objects.filter(lane=Lane.CLICK).exclude(item__in=first)
    firsts = Attempt.objects.filter(cancellation__in=asked, number=1).select_related("cancellation")
    waits = sorted(
        (arrived[str(one.request_id)] - one.cancellation.requested_at).total_seconds()
        for one in firsts
        if str(one.request_id) in arrived
    )
    unsent = asked.filter(attempts=None).count()
    left = list(
        SendPermit.objects.filter(lane=Lane.BATCH).order_by("reserved_at").values_list("reserved_at", flat=True)
    )
    refused = sum(call["status"] == 429 for call in calls)
    report(waits, unsent, left, share, refused)
    return 1 if refused else 0


def report(waits: list[float], unsent: int, left: list[datetime], share: int, refused: int) -> None:
    """The table."""
    hundredths = quantiles(waits, n=100, method="inclusive") if len(waits) > 1 else waits * 99
    filled = fill(left, share)
    for name, value in (
        ("clicks sent", f"{len(waits)}, {unsent} not yet"),
        ("click to wire, median", f"{median(waits):.2f} s"),
        ("click to wire, 95 of 100", f"{hundredths[94]:.2f} s"),
        ("click to wire, longest", f"{waits[-1]:.2f} s"),
        ("batch sent", f"{len(left)} in {(left[-1] - left[0]).total_seconds():.0f} s"),
        ("of its share, whole minutes", f"{filled:.1%}" if filled is not None else "shorter than a minute"),
        ("429 from AssetPay", str(refused)),
    ):
        print(f"  {name:<30} {value}")


def fill(left: list[datetime], share: int) -> float | None:
    """How much of what it might have sent in whole minutes, from its first request on, the batch did send."""
    minutes = int((left[-1] - left[0]).total_seconds() // MINUTE)
    until = left[0] + timedelta(seconds=minutes * MINUTE)
    return sum(at < until for at in left) / (minutes * share) if minutes else None


if __name__ == "__main__":
    sys.exit(main())
