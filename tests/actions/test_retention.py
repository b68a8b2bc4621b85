"""Forgetting old bodies: what rests on nothing goes, evidence stays."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.desk import deliver, news
from tests.factories import DeliveryFactory, ItemFactory, RefundFactory, ago
from tests.wire import item_document
from withdrawals.actions.audit import Origin
from withdrawals.actions.deliveries import replay_delivery
from withdrawals.models import AuditEntry, Delivery, Source, Verdict
from withdrawals.models.audit_chain import verify_chain

pytestmark = pytest.mark.django_db
OLD = timedelta(days=500)


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("prune", *arguments, stdout=out)
    return out.getvalue()


def emptied() -> set[str]:
    return {each.delivery_id for each in Delivery.objects.all() if not bytes(each.body)}


def test_only_old_bodies_on_which_nothing_rests_are_forgotten() -> None:
    refund = RefundFactory()
    deliveries = {
        "old": DeliveryFactory(received_at=ago(days=500)),
        "new": DeliveryFactory(),
        "evidence": DeliveryFactory(received_at=ago(days=500), trade=refund.item.trade),
        "status": DeliveryFactory(received_at=ago(days=500)),
        "troubled": DeliveryFactory(received_at=ago(days=500), verdict=Verdict.QUARANTINED),
        "approval": DeliveryFactory(received_at=ago(days=500), verdict=Verdict.APPROVAL),
        "doubted": DeliveryFactory(received_at=ago(days=500)),
        "heard again": DeliveryFactory(received_at=ago(days=500), last_received_at=ago(days=1)),
    }
    DeliveryFactory(received_at=ago(days=500), conflicts_with=deliveries["doubted"], verdict=Verdict.QUARANTINED)
    ItemFactory(status_delivery=deliveries["status"])
    assert told("--dry-run").startswith("Would forget 1 bodies")
    assert emptied() == set()

    assert told().startswith("Forgot 1 bodies")

    assert emptied() == {deliveries["old"].delivery_id}
    entry = AuditEntry.objects.get(action="deliveries.bodies_forgotten")
    assert (entry.after["deliveries"], entry.after["first"]) == (1, deliveries["old"].pk)
    assert told().startswith("Forgot 0 bodies")
    assert AuditEntry.objects.filter(action="deliveries.bodies_forgotten").count() == 1
    assert not verify_chain().problem


def test_what_was_forgotten_still_has_its_hash_and_no_second_effect() -> None:
    then = timezone.now() - OLD
    deliver(news(), now=then, delivery_id="d-1")
    deliver(news(items=[item_document(status="active")], updatedAt="2026-03-03T11:00:00.000Z"), now=then)
    first = Delivery.objects.get(delivery_id="d-1")

    told()

    first.refresh_from_db()
    assert (bytes(first.body), len(first.body_sha256), first.verdict) == (b"", 64, Verdict.APPLIED)
    before = AuditEntry.objects.count()
    again = replay_delivery(
        delivery_id=first.pk, origin=Origin(Source.COMMAND, name="test"), now=timezone.now(), dry_run=True
    )
    assert (again.changes, AuditEntry.objects.count()) == ((), before)
    assert "forgotten" in again.problem


def test_a_typing_error_does_not_forget_the_last_month() -> None:
    DeliveryFactory(received_at=ago(days=5))

    told("--days", "0")

    assert emptied() == set()
