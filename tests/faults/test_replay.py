"""Replaying what was kept: dry it writes nothing, wet it changes nothing that is there, and it finds what was lost."""

from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from tests.desk import deliver, news
from tests.faults.door import APPROVAL, Saboteur, crypto_approval, everything, seeded
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import replay_delivery
from withdrawals.models import AuditEntry, Delivery, Item, Refund, Source, Trade, Verdict
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db

BY_HAND = Origin(Source.COMMAND, name="test")
LATER = NOON + timedelta(days=8)
# What says when and how often somebody looked, not what is true.
ABOUT_LOOKING = {"last_seen_at", "checked_at"}


def week_of_traffic(trades: int) -> None:
    """Seven days of callbacks: lives of trades, an approval each, repeats, and some that cannot be read."""
    chance = seeded(7)
    for number in range(trades):
        start = NOON + timedelta(minutes=chance.randrange(7 * 24 * 60))
        life = ["initiated", "pending", "active", chance.choice(["completed", "reverted", "failed", "declined"])]
        messages = [
            news(
                f"t-{number}",
                status=status,
                items=[item_document(status=status)],
                updatedAt=stamp(start + timedelta(minutes=step)),
            )
            for step, status in enumerate(life)
        ]
        chance.shuffle(messages)
        for step, message in enumerate([*messages, messages[0]]):
            deliver(message, now=start + timedelta(minutes=10 + step), delivery_id=f"d-{number}-{step}")
    deliver(b"not JSON", now=NOON, delivery_id="d-broken")
    deliver(crypto_approval("w-1"), now=NOON, delivery_id="d-crypto")
    deliver(b'{"deposit":{"id":"d","status":"completed"}}', now=NOON, delivery_id="d-deposit")


def truth() -> list[list[dict[str, Any]]]:
    """Every column of the mirror and of what is owed, but those that only tell of looking."""
    return [
        [
            {name: value for name, value in row.items() if name not in ABOUT_LOOKING}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in (Trade, Item, Refund)
    ]


def replay_all(*, dry_run: bool) -> list[tuple[str, ...]]:
    pks = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))
    return [replay_delivery(delivery_id=pk, origin=BY_HAND, now=LATER, dry_run=dry_run).changes for pk in pks]


def test_a_dry_replay_of_a_week_writes_nothing_at_all() -> None:
    week_of_traffic(8)
    before = everything()

    changes = replay_all(dry_run=True)

    assert everything() == before
    assert set(changes) == {()}


def test_a_real_replay_of_a_week_changes_nothing_of_the_mirror() -> None:
    week_of_traffic(8)
    before, verdicts = truth(), list(Delivery.objects.order_by("pk").values_list("verdict", flat=True))

    changes = replay_all(dry_run=False)

    assert truth() == before
    assert set(changes) == {()}
    assert list(Delivery.objects.order_by("pk").values_list("verdict", flat=True)) == verdicts
    assert verify_chain().problem == ""


def test_a_lost_effect_is_shown_by_a_dry_replay_and_made_by_a_real_one() -> None:
    deliver(news(), now=NOON, delivery_id="d-1")
    undone = news(status="reverted", items=[item_document(status="reverted")], updatedAt=stamp(NOON))
    deliver(undone, now=NOON, delivery_id="d-2")
    Refund.objects.all().delete()
    Item.objects.update(status="pending", status_reported_at=NOON - timedelta(hours=1))
    without = everything()
    lost = Delivery.objects.get(delivery_id="d-2")

    dry = replay_delivery(delivery_id=lost.pk, origin=BY_HAND, now=LATER, dry_run=True)
    assert everything() == without
    real = replay_delivery(delivery_id=lost.pk, origin=BY_HAND, now=LATER, dry_run=False)

    assert dry == real
    assert len(dry.changes) == 2
    assert "pending → reverted" in dry.changes[0]
    assert Item.objects.get().status == "reverted"
    assert Refund.objects.count() == 1


def test_a_delivery_that_failed_here_is_made_good_by_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("planted")

    with monkeypatch.context() as patch:
        patch.setattr("withdrawals.actions.trades.record_all", fail)
        failed = deliver(news())
    assert failed.verdict == Verdict.FAILED

    replayed = replay_delivery(delivery_id=failed.pk, origin=BY_HAND, now=LATER, dry_run=False)

    assert (replayed.verdict, len(replayed.changes)) == (Verdict.APPLIED, 2)
    assert Trade.objects.exists()


def test_the_command_names_what_it_did_and_dry_does_nothing() -> None:
    deliver(news(), delivery_id="d-1")
    deliver(APPROVAL, delivery_id="d-2")
    deliver(b"not JSON", delivery_id="d-3")
    before = everything()
    said = StringIO()

    call_command("replay_delivery", "d-1", "d-2", "d-3", "--dry-run", stdout=said)

    assert everything() == before
    assert [line.partition(":")[0] for line in said.getvalue().splitlines()] == ["d-1", "d-2", "d-3"]
    assert "nothing changes" in said.getvalue()
    assert "is not JSON" in said.getvalue()

    call_command("replay_delivery", "--number", str(Delivery.objects.get(delivery_id="d-1").pk), stdout=said)
    with pytest.raises(CommandError):
        call_command("replay_delivery", "never-heard-of")


def test_a_number_is_assetpays_id_unless_it_is_named_as_ours() -> None:
    ours = deliver(news(), delivery_id="d-1")
    theirs = deliver(news("trade-two"), delivery_id=str(ours.pk))
    said = StringIO()

    call_command("replay_delivery", str(ours.pk), stdout=said)
    assert AuditEntry.objects.latest("number").cause == f"delivery:{theirs.pk}"
    call_command("replay_delivery", "--number", str(ours.pk), stdout=said)
    assert AuditEntry.objects.latest("number").cause == f"delivery:{ours.pk}"

    with pytest.raises(CommandError, match=f"Our own number would be --number {theirs.pk}"):
        call_command("replay_delivery", str(theirs.pk))
    with pytest.raises(CommandError, match="Say which"):
        call_command("replay_delivery")


@pytest.mark.django_db(transaction=True)
def test_a_dry_replay_of_what_fails_here_writes_nothing_either() -> None:
    deliver(news(), delivery_id="d-1")
    before = everything()
    known = Delivery.objects.get()

    for place in range(1, 12):
        with connection.execute_wrapper(Saboteur(place, OperationalError)), suppress(OperationalError):
            replay_delivery(delivery_id=known.pk, origin=BY_HAND, now=LATER, dry_run=True)
        assert everything() == before, place
