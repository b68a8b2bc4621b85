"""A form that was opened before the desk was restored from a backup pays once or not at all."""

from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from tests.desk import person, see
from tests.running.test_backup import another_database, leading_to, script
from tests.wire import item_document, trade_snapshot
from withdrawals.models import Item, Refund, RefundEntry, User


def form(refund: Refund, reference: str) -> dict[str, str]:
    stands = Refund.objects.select_related("item__trade").get(pk=refund.pk)
    return {"seen": stands.fingerprint(), "reference": reference}


def ended(number: int) -> Refund:
    items = [item_document(f"item-{number}", status="reverted")]
    see(trade_snapshot(f"trade-{number}", status="reverted", items=items), now=timezone.now())
    return Refund.objects.get(item__trade__assetpay_id=f"trade-{number}")


@pytest.mark.django_db(transaction=True)
def test_a_form_from_before_a_restore_confirms_once_or_is_refused(database_url: str, tmp_path: Path) -> None:
    agent, file = person(), tmp_path / "backup"
    same, moved = ended(1), ended(2)
    backup = script("scripts/backup.sh", database_url=database_url, FILE=str(file))
    assert backup.returncode == 0, backup.stderr
    # After the backup: one is as it was, another changed before its form was opened.
    of_same = form(same, "P-1")
    Item.objects.filter(pk=moved.item_id).update(price=9)
    of_moved = form(moved, "P-2")

    with another_database(database_url, tmp_path) as url:
        restored = script("scripts/restore.sh", database_url=url, FILE=str(file))
        assert restored.returncode == 0, restored.stderr
        with leading_to(url):
            back = Client()
            back.force_login(User.objects.get(pk=agent.pk))
            answers = [back.post(f"/refunds/{same.pk}/confirm/", of_same) for _ in range(2)]
            refused = back.post(f"/refunds/{moved.pk}/confirm/", of_moved)
            rows = list(RefundEntry.objects.values_list("refund", "number", "reference"))

    assert [answer.status_code for answer in answers] == [303, 409]
    assert refused.status_code == 409
    assert "changed after your page was loaded" in refused.content.decode()
    assert rows == [(same.pk, 1, "P-1")]
