"""Asking, asking twice, taking back: what a click does, before anything leaves."""

from datetime import timedelta

import pytest
from django_tasks_db.models import DBTaskResult

from tests.desk import READ, ask, item_of, person, see
from tests.wire import NOON, stamp, trade_snapshot
from withdrawals.actions.audit import Origin
from withdrawals.actions.cancellations import CancelRefused, UndoRefused, undo_cancellation
from withdrawals.models import AuditEntry, Cancellation, CancellationState, Source

pytestmark = pytest.mark.django_db


def test_a_click_commits_intent_entry_and_wake_up_together() -> None:
    see(trade_snapshot())

    cancellation = ask(item_of(), now=NOON)

    entry = AuditEntry.objects.latest("number")
    assert cancellation.state == CancellationState.REQUESTED
    assert (entry.action, entry.reason, entry.actor) == (
        "cancellation.requested",
        "not delivered",
        cancellation.requested_by,
    )
    assert DBTaskResult.objects.get().task_path.endswith("drain_cancellations")


def test_a_refused_click_leaves_nothing_behind() -> None:
    see(trade_snapshot(createdAt=stamp(NOON - timedelta(minutes=29))))
    entries = AuditEntry.objects.count()

    with pytest.raises(CancelRefused, match="Too young"):
        ask(item_of(), now=NOON)

    assert not Cancellation.objects.exists()
    assert not DBTaskResult.objects.exists()
    assert AuditEntry.objects.count() == entries


def test_a_second_click_meets_the_first_and_says_whose_it_was() -> None:
    see(trade_snapshot())
    first = ask(item_of(), actor=person(email="first@desk.example"))

    with pytest.raises(CancelRefused, match=r"first@desk\.example at 12:00:00 UTC"):
        ask(item_of(), now=NOON + timedelta(seconds=4))

    assert Cancellation.objects.get() == first


def test_a_form_sent_again_after_its_request_ended_asks_for_nothing() -> None:
    see(trade_snapshot())
    cancellation = ask(item_of(), number=1)
    Cancellation.objects.filter(pk=cancellation.pk).move(to=CancellationState.REFUSED, now=NOON)

    with pytest.raises(CancelRefused, match="already made"):
        ask(item_of(), number=1)

    assert ask(item_of(), number=2).number == 2


def test_a_request_can_be_taken_back_before_it_is_sent() -> None:
    see(trade_snapshot())
    cancellation = ask(item_of())

    undone = undo_cancellation(cancellation_id=cancellation.pk, actor=person(), origin=READ, now=NOON)

    assert undone.state == CancellationState.WITHDRAWN
    assert AuditEntry.objects.latest("number").action == "cancellation.withdrawn"


@pytest.mark.parametrize("state", ["sending", "accepted", "uncertain", "refused", "confirmed", "overtaken"])
def test_what_may_have_left_cannot_be_taken_back(state: str) -> None:
    see(trade_snapshot())
    cancellation = ask(item_of())
    Cancellation.objects.filter(pk=cancellation.pk).move(to=CancellationState(state), now=NOON, lease_until=NOON)

    with pytest.raises(UndoRefused):
        undo_cancellation(cancellation_id=cancellation.pk, actor=person(), origin=Origin(Source.SCREEN), now=NOON)

    cancellation.refresh_from_db()
    assert cancellation.state == state


def test_the_log_keeps_who_came_from_which_door() -> None:
    see(trade_snapshot())
    actor = person()
    ask(item_of(), actor=actor)

    entry = AuditEntry.objects.latest("number")
    assert (entry.source, entry.actor_name, entry.item, entry.trade) == (
        Source.SCREEN,
        actor.email,
        item_of(),
        item_of().trade,
    )
