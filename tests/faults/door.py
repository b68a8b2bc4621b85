"""The callback door as AssetPay or a stranger meets it, faults to plant, and how long a run is."""

import json
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from tests.desk import news, signed
from tests.wire import item_document

DOOR = "/callbacks/assetpay/"
APPROVAL = news(status="initiated", items=[item_document(status="initiated")])
CRYPTO_APPROVAL = json.dumps(
    {"withdrawal": {"id": "w-1", "type": "crypto_withdraw", "status": "awaiting_approval"}}
).encode()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What the test under way has to tell of itself; conftest empties it, and prints it of the long ones.
NOTES: list[str] = []
# A long run commits as it goes: a single transaction of a hundred thousand calls grows slow by its own weight.
LONG = [pytest.mark.soak, pytest.mark.django_db(transaction=True)]

# One caller for all: loading the middleware anew would take longer than the calls.
_caller = Client(enforce_csrf_checks=True, raise_request_exception=False)


def runs(fast: int, long: int) -> list[Any]:
    """The size of a run in `make test`, and its long one: as N=… says, or the share of the full one that is wanted."""
    share = float(os.environ.get("SOAK_SHARE") or 1)
    most = int(os.environ.get("SOAK_RUNS") or max(fast, long * share))
    return [pytest.param(fast, id="fast"), pytest.param(most, id="soak", marks=LONG)]


def seeded(number: int) -> random.Random:
    """Chance that comes again: the same for the same number, moved by SEED=… of `make soak`."""
    seed = number + int(os.environ.get("SOAK_SEED") or 0)
    tell(f"seed {seed}")
    return random.Random(seed)


def tell(note: str) -> None:
    """Let the summary of `make soak` say this of the test under way."""
    NOTES.append(note)


def moment() -> datetime:
    """Now."""
    return datetime.now(UTC)


def call(body: bytes, signature: str | None, *, is_copy: bool = True, **headers: str) -> int:
    """POST these very bytes; no signature header at all for None. The status answered, always without a body."""
    sent = dict(headers)
    if signature is not None:
        sent["X-AssetPay-Signature"] = signature
    if is_copy:
        sent["X-Callback-Copy"] = "1"
    answer = _caller.generic("POST", DOOR, body, content_type="application/json", headers=sent)
    assert answer.content == b""
    return int(answer.status_code)


def send(body: bytes, *, is_copy: bool = True, **signing: Any) -> int:
    """POST as AssetPay does, well signed; `signing` as in `tests.desk.signed`. The status answered."""
    return call(body, signed(body, **{"now": moment(), **signing}), is_copy=is_copy)


def approval(trade_id: str, **fields: Any) -> bytes:
    """An approval of this trade."""
    return news(trade_id, status="initiated", items=[item_document(status="initiated")], **fields)


def crypto_approval(payout_id: str) -> bytes:
    """An approval of this crypto cash-out."""
    return json.dumps(
        {"withdrawal": {"id": payout_id, "type": "crypto_withdraw", "status": "awaiting_approval"}}
    ).encode()


def word(chance: random.Random, *, least: int = 3, most: int = 12) -> str:
    """A made-up word."""
    return "".join(chance.choices(LETTERS, k=chance.randint(least, most)))


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of ours."""
    models = apps.get_app_config("withdrawals").get_models()
    return {model.__name__: list(model._default_manager.order_by("pk").values_list()) for model in models}


class Saboteur:
    """Around every statement of the connection: lets the one numbered `fails_at` fail, and `for_good` all after it."""

    def __init__(self, fails_at: int, error: type[Exception], *, for_good: bool = False) -> None:
        self.fails_at, self.error, self.for_good = fails_at, error, for_good
        self.seen = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """As `connection.execute_wrapper` wants it."""
        self.seen += 1
        if self.seen == self.fails_at or (self.for_good and self.seen > self.fails_at):
            raise self.error("planted")
        return execute(sql, params, many, context)

    @property
    def has_struck(self) -> bool:
        """Whether there was such a statement."""
        return self.seen >= self.fails_at


def sabotaged(body: bytes, saboteur: Saboteur, **sending: Any) -> int:
    """Send while the saboteur sits in the database connection."""
    with connection.execute_wrapper(saboteur):
        return send(body, **sending)


@contextmanager
def database_locked() -> Iterator[None]:
    """Somebody else holds what every callback must write to."""
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        other = sqlite3.connect(place["NAME"], isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    else:
        other = psycopg.connect(
            host=place["HOST"],
            port=place["PORT"],
            user=place["USER"],
            password=place["PASSWORD"],
            dbname=place["NAME"],
        )
        other.execute("LOCK TABLE withdrawals_delivery, withdrawals_rejectedcall IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


@contextmanager
def impatient() -> Iterator[None]:
    """This connection waits a tenth of a second for a lock instead of five."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=100" if is_sqlite else "SET lock_timeout=100")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout=5000" if is_sqlite else "SET lock_timeout=5000")


@contextmanager
def database_read_only() -> Iterator[None]:
    """Nothing can be written, as on a full disk or a replica."""
    is_sqlite = connection.vendor == "sqlite"
    setting = "PRAGMA query_only={}" if is_sqlite else "SET default_transaction_read_only={}"
    with connection.cursor() as cursor:
        cursor.execute(setting.format("on"))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(setting.format("off"))
