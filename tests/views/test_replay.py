"""Replaying stored callbacks and reading what is wrong: the screens behind the inbox."""

from typing import Any

import pytest
from django.test import Client

from tests.desk import deliver, news, person
from tests.wire import NOON, item_document, stamp
from withdrawals.actions.alarms import watch
from withdrawals.models import AuditEntry, Delivery, Item, Refund, Role, Sighting, Trade

pytestmark = pytest.mark.django_db


def desk_of(role: Role) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def lost_effect() -> Delivery:
    """A delivery whose effect is gone, as after a restored backup: the item stands where it stood before."""
    deliver(news())
    delivery = deliver(news(status="reverted", updatedAt=stamp(NOON), items=[item_document(status="reverted")]))
    Refund.objects.all().delete()
    Item.objects.update(status="pending", status_reported_at=None, ended_as="")
    return delivery


def test_a_replay_is_shown_before_it_is_done() -> None:
    delivery = lost_effect()
    entries = AuditEntry.objects.count()

    page = desk_of(Role.SUPERVISOR).get(f"/deliveries/{delivery.pk}/replay/").content.decode()

    assert "pending → reverted" in page
    assert Item.objects.get().status == "pending"
    assert AuditEntry.objects.count() == entries


def test_a_replay_brings_back_the_lost_effect_and_is_in_the_log() -> None:
    delivery = lost_effect()
    supervisor = desk_of(Role.SUPERVISOR)

    answer = supervisor.post(f"/deliveries/{delivery.pk}/replay/")

    assert answer.status_code == 303
    assert Item.objects.get().status == "reverted"
    assert Refund.objects.get().state == "due"
    entry = AuditEntry.objects.get(action="delivery.replayed")
    assert (entry.cause, entry.source) == (f"delivery:{delivery.pk}", "screen")


def test_a_replay_of_what_has_its_effect_changes_nothing() -> None:
    delivery = deliver(news())

    page = desk_of(Role.SUPERVISOR).get(f"/deliveries/{delivery.pk}/replay/").content.decode()

    assert "nothing would change" in page


def test_a_batch_is_exactly_what_was_shown_and_counted() -> None:
    shown = [deliver(news(f"trade-{number}")) for number in range(3)]
    supervisor = desk_of(Role.SUPERVISOR)
    page = supervisor.get("/deliveries/replay/?verdict=applied").content.decode()
    later = deliver(news("trade-later"))

    answer = supervisor.post("/deliveries/replay/", {"deliveries": [each.pk for each in shown]})

    assert "Replay 3 callbacks?" in page
    assert answer.status_code == 200
    replayed = AuditEntry.objects.filter(action="delivery.replayed").values_list("cause", flat=True)
    assert set(replayed) == {f"delivery:{each.pk}" for each in shown}
    assert f"delivery:{later.pk}" not in replayed


@pytest.mark.parametrize("data", [{}, {"deliveries": "x"}, {"deliveries": ["-1", "1e3", "9" * 40]}])
def test_a_batch_without_deliveries_is_refused_in_words(data: dict[str, Any]) -> None:
    answer = desk_of(Role.SUPERVISOR).post("/deliveries/replay/", data)

    assert answer.status_code == 422
    assert "Nothing was chosen" in answer.content.decode()


def test_a_filter_that_cannot_be_read_replays_nothing() -> None:
    answer = desk_of(Role.SUPERVISOR).get("/deliveries/replay/?verdict=nonsense")

    assert answer.status_code == 400


@pytest.mark.parametrize("role", [Role.AGENT, Role.AUDITOR])
def test_replaying_is_for_supervisors_and_admins(role: Role) -> None:
    delivery = deliver(news())

    assert desk_of(role).post(f"/deliveries/{delivery.pk}/replay/").status_code == 403
    assert desk_of(role).get("/deliveries/replay/").status_code == 403


def test_reading_a_raw_document_is_in_the_log() -> None:
    delivery = deliver(news())
    auditor = desk_of(Role.AUDITOR)

    auditor.get(f"/deliveries/{delivery.pk}/document/")
    auditor.get(f"/trades/{Trade.objects.get().pk}/document/")

    read = AuditEntry.objects.filter(action="document.read").order_by("number")
    assert [entry.after["document"] for entry in read] == [f"delivery:{delivery.pk}", "trade"]


def test_the_siblings_of_a_callback_are_shown() -> None:
    first = deliver(news())
    second = deliver(news(status="active", updatedAt=stamp(NOON)))

    page = desk_of(Role.AGENT).get(f"/deliveries/{first.pk}/").content.decode()

    assert f"/deliveries/{second.pk}/" in page


def test_an_alarm_is_a_banner_on_every_page_and_says_what_to_do_on_its_own() -> None:
    deliver(b"not json")
    watch(now=NOON)
    agent = desk_of(Role.AGENT)

    assert 'data-alarm="deliveries_stuck"' in agent.get("/items/").content.decode()
    assert "What to do" in agent.get("/alarms/").content.decode()

    Delivery.objects.update(verdict="noted")
    watch(now=NOON)

    assert "data-alarm" not in agent.get("/items/").content.decode()
    assert "All is quiet" in agent.get("/alarms/").content.decode()


def test_what_assetpay_does_not_document_is_counted() -> None:
    deliver(news(status="frozen", newKey=1))
    deliver(news(status="frozen", updatedAt=stamp(NOON)))

    page = desk_of(Role.AGENT).get("/alarms/").content.decode()

    assert Sighting.objects.get(name="trade.status=frozen").times_seen == 2
    assert "trade.status=frozen" in page
    assert "newKey" in page
