"""The callback door beside what a Django user would pick: dj-stripe's webhook endpoint, under the same server."""

import hashlib
import hmac
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import simplejson

from benchmarks.intake import ROUNDS, SECONDS, Load, Post, callbacks, drive, serve
from benchmarks.report import Row

DJSTRIPE = "2.11.0"
ENDPOINT = "00000000-0000-4000-8000-000000000001"
SECRET = b"whsec_of_the_benchmarks"
APPLICATION = "benchmarks.djstripe_app"


def measure_rival(folder: Path) -> list[Row]:
    """Ours and theirs in turn, at 8 connections; no row where dj-stripe cannot be had."""
    python = _rival_python(folder.absolute() / "djstripe")
    if python is None:
        return []
    subprocess.run([python, "-m", APPLICATION], env=_environment(), check=True)  # noqa: S603 # our own module
    loads: dict[str, list[Load]] = {"ours": [], "theirs": []}
    with (
        serve("assetpay_admin.wsgi") as ours,
        serve(f"{APPLICATION}:application", programs=python.parent) as theirs,
    ):
        for _ in range(ROUNDS):
            loads["ours"].append(drive(ours.port, 8, SECONDS, posts=callbacks))
            loads["theirs"].append(drive(theirs.port, 8, SECONDS, posts=events))
    # What is refused comes again, so only what is kept counts.
    mine, other = (max(loads[name], key=_kept_per_second) for name in ("ours", "theirs"))
    refused = sum(load.refused for load in loads["theirs"])
    return [
        Row(
            "intake / dj-stripe's endpoint, 8 connections",
            _kept_per_second(mine) / _kept_per_second(other),
            "x",
            3,
            at_least=True,
            detail=f"{_kept_per_second(mine):,.0f} and {_kept_per_second(other):,.0f} a second; "
            f"theirs p99 {other.wait.p99:.0f} ms, {refused} refused; it keeps each event, mirrors nothing",
        )
    ]


def _kept_per_second(load: Load) -> float:
    return load.per_second - load.refused / SECONDS


def events() -> Iterator[Post]:
    """Signed events of the kind that dj-stripe keeps without asking Stripe, each another one."""
    amounts = [{"amount": 1250, "currency": "usd", "source_types": {"card": 1250}}] * 3
    balance = {"object": "balance", "available": amounts, "livemode": False, "pending": amounts}
    while True:
        at = int(time.time())
        event = {
            "id": f"evt_{uuid.uuid4().hex[:24]}",
            "object": "event",
            "api_version": "2026-05-27.dahlia",
            "created": at,
            "data": {"object": balance},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": "balance.available",
        }
        body = simplejson.dumps(event).encode()
        signature = hmac.new(SECRET, b"%d.%b" % (at, body), hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={at},v1={signature}", "Host": "localhost"}
        yield Post(f"/webhook/{ENDPOINT}/", body, headers)


def _rival_python(home: Path) -> Path | None:
    """A Python with dj-stripe, and with the desk's own Django and server; None where it cannot be had."""
    python = home / "bin" / "python"
    wanted = [f"dj-stripe=={DJSTRIPE}", "psycopg[binary]"]
    wanted += [f"{name}=={version(name)}" for name in ("django", "gunicorn")]
    for arguments in (
        ["venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)],
        ["pip", "install", "--quiet", "--python", str(python), *wanted],
    ):
        if subprocess.run([Path("scripts/uv.sh").absolute(), *arguments], check=False).returncode:  # noqa: S603 # our own script
            sys.stderr.write("dj-stripe could not be installed, so its row is left out.\n")
            return None
    return python


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path.cwd())}
