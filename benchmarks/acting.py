"""What people do while the benchmark runs, through the real actions; imported once Django is set up."""

import secrets
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import simplejson
from django.contrib.auth.models import Group
from django.db import connections

from sandbox.testing import RunningSandbox
from withdrawals.actions.audit import Origin
from withdrawals.actions.batches import draft_batch, start_batch
from withdrawals.actions.cancellations import request_cancellation
from withdrawals.actions.trades import mirror_trade
from withdrawals.assetpay.documents import parse_json
from withdrawals.assetpay.snapshots import read_trade
from withdrawals.models import Evidence, Item, Read, Role, Route, Source, User


def make_items(sandbox: RunningSandbox, count: int) -> list[int]:
    """So many items, each a withdrawal of its own that is old enough; their keys."""
    found = []
    for _ in range(count):
        made = sandbox.control.make_trade(age_seconds=7_200, auto_cancel_seconds=None, announce=False)
        snapshot = read_trade(parse_json(simplejson.dumps(made, use_decimal=True).encode()))
        read = Read(route=Route.SECURE, read_at=_now(), body_sha256="0" * 64, document=snapshot.document)
        mirror_trade(snapshot, evidence=Evidence(read=read), origin=Origin(Source.READ), now=_now())
        found.append(Item.objects.get(trade__assetpay_id=made["id"]).pk)
    return found


def start_batch_of(items: Sequence[int]) -> None:
    """Choose these and start."""
    who = _agent()
    origin = Origin(Source.SCREEN, actor=who)
    batch = draft_batch(item_ids=items, selection="benchmark", actor=who, origin=origin, now=_now())
    start_batch(batch_id=batch.pk, reason="benchmark", note="", actor=who, origin=origin, now=_now())


def click(items: Sequence[int], pause_seconds: float, number: int, done: threading.Event) -> None:
    """One agent: an item, a pause, the next, until there are no more or the benchmark is over."""
    who = _agent()
    # The agents do not click in step.
    done.wait(pause_seconds * (number + 1) / 3)
    try:
        for item in items:
            if done.is_set():
                return
            origin = Origin(Source.SCREEN, actor=who)
            request_cancellation(item_id=item, reason="benchmark", note="", actor=who, origin=origin, now=_now())
            done.wait(pause_seconds)
    finally:
        connections.close_all()


def _agent() -> User:
    who = User.objects.create_user(f"agent-{secrets.token_hex(4)}@desk.example")
    who.groups.add(Group.objects.get(name=Role.AGENT.value))
    return who


def _now() -> datetime:
    return datetime.now(UTC)
