"""Old refunds and their ledger come through the migration that gave them a second person and a fuller ledger."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from tests.running.test_backup import another_database, leading_to
from tests.wire import NOON
from withdrawals.models import Refund, RefundEntry
from withdrawals.models.audit_triggers import missing_triggers

RELEASED = ("withdrawals", "0003_permissions")
# The triggers as the release of 0003 made them.
NEVER = {
    "sqlite": [
        "CREATE TRIGGER withdrawals_refundentry_no_{0} BEFORE {0} ON withdrawals_refundentry "
        "BEGIN SELECT RAISE(ABORT, 'rows of withdrawals_refundentry never change'); END"
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME; END $$",
        "CREATE TRIGGER withdrawals_refundentry_no_{0} BEFORE {0} ON withdrawals_refundentry "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    ],
}
# Each cause of version 1 that was decided or waits: state, amount, and what the rules are to have said.
DECIDED = [
    ("undone", "confirmed", "12.50", "due"),
    ("reverted_by_user", "confirmed", "100.01", "in_review"),
    ("declined", "in_review", "8.00", "in_review"),
    ("canceled", "due", "999.9999", "due"),
    ("never_charged", "not_owed", "5.00", "not_owed"),
    ("price_unknown", "in_review", None, "in_review"),
]


@pytest.fixture
def old_database(database_url: str, tmp_path: Path) -> Iterator[None]:
    """The connection leads to a database as the release of 0003 left it."""
    with another_database(database_url, tmp_path) as url, leading_to(url):
        call_command("migrate", *RELEASED, verbosity=0)
        yield


def fill() -> None:
    """Refunds of version 1, as that release wrote them."""
    models = MigrationLoader(connection).project_state(RELEASED).apps

    def make(model: str, **fields: Any) -> Any:
        return models.get_model("withdrawals", model).objects.create(**fields)

    agent = make("User", email="agent@desk.example", password="!")
    seen = {"opened_at": NOON, "first_seen_at": NOON, "last_seen_at": NOON}
    trade = make("Trade", assetpay_id="trade-old", type="withdraw", status="reverted", signs=[], **seen)
    read = make("Read", trade=trade, route="secure", read_at=NOON, body_sha256="7" * 64, document="{}")
    for number, (cause, state, amount, _) in enumerate(DECIDED):
        price = None if amount is None else Decimal(amount)
        item = make(
            "Item",
            trade=trade,
            assetpay_id=f"item-{number}",
            status="reverted",
            reported_status="reverted",
            opened_at=NOON,
            is_cs2_withdrawal=True,
            status_changed_at=NOON,
            status_read=read,
            first_price=price,
            price=price,
            position=number,
            document="{}",
        )
        shown = {"evidence_sha256": read.body_sha256, "amount": price}
        terms = {"state": state, "cause": cause, "rule_version": 1, "opened_at": NOON, "changed_at": NOON}
        if state != "confirmed":
            make("Refund", item=item, evidence_read=read, **shown, **terms)
            continue
        by = {"confirmed_by": agent, "confirmed_at": NOON, "reference": f"Payout  {number}", "net": price}
        refund = make("Refund", item=item, evidence_read=read, **shown, **terms, **by)
        written = {"made_at": NOON, "actor": agent, "reference": f"Payout  {number}"}
        make("RefundEntry", refund=refund, number=1, kind="confirmation", **shown, **written)


@pytest.mark.django_db(transaction=True)
def test_refunds_of_the_first_rules_keep_their_money_version_and_evidence(old_database: None) -> None:
    fill()
    with connection.cursor() as cursor:
        for event in ("UPDATE", "DELETE"):
            for statement in NEVER[connection.vendor]:
                cursor.execute(statement.format(event))

    call_command("migrate", verbosity=0)

    refunds = Refund.objects.order_by("pk")
    entries = RefundEntry.objects.order_by("pk")
    price = [None if amount is None else Decimal(amount) for _, _, amount, _ in DECIDED]
    assert [(row.cause, row.state, row.ruling) for row in refunds] == [(row[0], row[1], row[3]) for row in DECIDED]
    assert [row.price for row in refunds] == [row.amount for row in refunds] == price
    assert {row.rule_version for row in refunds} == {1}
    assert [row.entries_made for row in refunds] == [1, 1, 0, 0, 0, 0]
    assert [row.net for row in refunds] == [*price[:2], 0, 0, 0, 0]
    assert [row.reference_key for row in refunds[:2]] == ["payout0", "payout1"]
    for refund, entry in zip(refunds, entries, strict=False):
        assert (entry.refund_id, entry.number, entry.amount) == (refund.pk, 1, refund.net)
        assert (entry.cause, entry.rule_version) == (refund.cause, 1)
        assert (entry.evidence_read_id, entry.evidence_delivery_id) == (refund.evidence_read_id, None)
        assert (entry.evidence_sha256, entry.reference_key) == ("7" * 64, refund.reference_key)

    # The database itself still keeps the ledger, and the checks stand.
    assert missing_triggers(connection) == []
    for statement in ("UPDATE withdrawals_refundentry SET amount = 1", "DELETE FROM withdrawals_refundentry"):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
            connection.cursor().execute(statement)
    for change in ({"state": "paid"}, {"ruling": "confirmed"}, {"net": Decimal("0.01")}):
        with pytest.raises(IntegrityError), transaction.atomic():
            refunds.filter(cause="undone").update(**change)
    copy = entries[0]
    copy.pk, copy.number = None, 2
    with pytest.raises(DatabaseError), transaction.atomic():
        copy.save()
