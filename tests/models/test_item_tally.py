"""The counts of the tabs and the rail are exact, whatever is written and by whom."""

import random
from datetime import timedelta
from threading import Barrier

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.factories import (
    CancellationFactory,
    DeliveryFactory,
    ItemFactory,
    RefundFactory,
    TradeFactory,
    UserFactory,
    ago,
)
from tests.races import race
from withdrawals.actions.presence import mark_presence
from withdrawals.models import (
    Alarm,
    AlarmKind,
    Cancellation,
    CancellationState,
    Delivery,
    Item,
    ItemTally,
    Refund,
    SavedList,
    SavedView,
    Status,
    Verdict,
    count_desk,
    count_desk_and,
)
from withdrawals.models.item_tally import NAMES, missing_tally_triggers
from withdrawals.models.refund_rules import OWED_REFUNDS, RefundState
from withdrawals.models.saved_view import views_seen
from withdrawals.views.worklist import TABS, others_there

pytestmark = pytest.mark.django_db

STATUSES = [*Status.values, "teleporting"]
on_postgresql = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")


def assert_exact() -> None:
    """Every count is the length of its list."""
    now = timezone.now()
    counts = count_desk(now)
    assert {tab.name: getattr(counts, tab.name) for tab in TABS} == {tab.name: tab.holds(now).count() for tab in TABS}
    assert counts.uncertain == Cancellation.objects.filter(state=CancellationState.UNCERTAIN).count()
    assert counts.owed == Refund.objects.filter(state__in=OWED_REFUNDS).count()
    assert counts.troubled == Delivery.objects.needing_a_person().count()
    assert counts.ringing == Alarm.objects.ringing().count()
    assert counts.unmarked == Delivery.objects.unmarked_approvals(now - timedelta(hours=24)).count()


def test_what_else_is_counted_with_them_is_told_beside_them(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    mira, other, now = UserFactory(), UserFactory(), timezone.now()
    item = CancellationFactory().item
    for person in (mira, other):
        mark_presence(actor=person, item_id=item.pk, trade_id=None, now=now)
    SavedView.objects.create(owner=other, saved_list=SavedList.ITEMS, name="Theirs", query="", saved_at=now)

    counts = count_desk(now)

    for person, views in ((mira, 0), (other, 1)):
        counted = [others_there(person, now), views_seen(SavedList.ITEMS, person)]
        with django_assert_num_queries(1):
            assert count_desk_and(counted, now) == (counts, [1, views])


@pytest.mark.parametrize("seed", range(4))
def test_each_count_is_the_length_of_its_list_after_every_step(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        match chance.randrange(6):
            case 0 | 1:
                game = chance.choice(["730", "730", "252490"])
                trade = TradeFactory(opened_at=ago(minutes=chance.choice([1, 29, 31, 300])), game=game)
                ItemFactory.create_batch(chance.randint(1, 3), trade=trade, status=chance.choice(STATUSES))
            case 2:
                some = Item.objects.order_by("?")[:3].values_list("pk", flat=True)
                Item.objects.filter(pk__in=list(some)).update(status=chance.choice(STATUSES))
            case 3:
                item = Item.objects.exclude(cancellations__ended_at=None, cancellations__isnull=False).first()
                if item:
                    CancellationFactory(item=item, state=chance.choice(CancellationState.values))
            case 4:
                Item.objects.filter(pk__in=list(Item.objects.order_by("?")[:2].values_list("pk", flat=True))).update(
                    is_cs2_withdrawal=chance.random() < 0.5
                )
            case 5:
                free = Item.objects.filter(cancellations=None).first()
                if free:
                    free.delete()
        assert_exact()


def test_what_the_rail_counts_is_exact() -> None:
    RefundFactory(), RefundFactory(state=RefundState.CONFIRMED)
    for verdict in Verdict:
        DeliveryFactory(verdict=verdict, is_copy=False)
    DeliveryFactory(verdict=Verdict.APPROVAL, is_copy=False, last_received_at=ago(hours=25))
    now = timezone.now()
    Alarm.objects.create(kind=AlarmKind.CLOCK_SKEW, raised_at=now, changed_at=now)
    Alarm.objects.create(kind=AlarmKind.WRONG_SECRET, raised_at=now, changed_at=now, cleared_at=now)

    assert_exact()
    assert (count_desk(now).owed, count_desk(now).troubled, count_desk(now).unmarked) == (1, 2, 1)


def test_what_is_taken_back_is_not_counted() -> None:
    ItemFactory()
    with pytest.raises(RuntimeError), transaction.atomic():
        ItemFactory.create_batch(3)
        raise RuntimeError("taken back")

    assert_exact()
    assert count_desk(timezone.now()).all == 1


def test_lost_triggers_are_reported_and_put_back_and_what_was_missed_is_counted() -> None:
    ItemFactory()
    on_table = "" if connection.vendor == "sqlite" else " ON withdrawals_item"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {NAMES['INSERT']}{on_table}")
    ItemFactory()

    assert count_desk(timezone.now()).all == 1
    assert "withdrawals.E010" in [message.id for message in run_checks(databases=["default"])]
    # PostgreSQL makes no index on a table whose foreign keys it has yet to look at.
    connection.check_constraints()
    call_command("migrate", verbosity=0)
    assert missing_tally_triggers(connection) == []
    assert_exact()


def test_the_lists_and_counts_of_what_waits_read_an_index_of_just_that() -> None:
    trade = TradeFactory(status=Status.COMPLETED)
    ItemFactory.create_batch(60, trade=trade)
    ItemFactory.create_batch(2)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # What earlier tests left in the indexes counts in their price.
            cursor.execute("REINDEX TABLE withdrawals_item")
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")

    for tab in TABS[:2]:
        plan = tab.holds(timezone.now()).order_by("opened_at", "pk")[:51].explain()
        assert "item_waiting" in plan


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_writers_of_items_do_not_wait_for_each_other() -> None:
    trade, both_have_written = TradeFactory(), Barrier(2, timeout=20)

    def write(name: int) -> str:
        with transaction.atomic():
            for number in range(5):
                ItemFactory(trade=trade, assetpay_id=f"{name}-{number}")
            # Neither has committed: whoever waited for the other would never come here.
            both_have_written.wait()
        return "written"

    assert race(2, write) == ["written", "written"]
    assert ItemTally.objects.count() >= 2
    assert_exact()
