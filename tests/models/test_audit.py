"""The audit log: what the database refuses, and what a walk along the chain finds."""

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from tests.tampering import somebody_with_the_keys, write
from withdrawals.models import AuditEntry, AuditHead
from withdrawals.models.audit_chain import verify_chain
from withdrawals.models.audit_triggers import missing_triggers


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE withdrawals_auditentry SET actor_name = 'nobody'",
        "DELETE FROM withdrawals_auditentry WHERE number = 1",
        "DELETE FROM withdrawals_auditentry",
    ],
)
def test_the_database_refuses_to_change_the_log(statement: str) -> None:
    write(3)

    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert AuditEntry.objects.count() == 3


@pytest.mark.django_db
def test_control_without_the_triggers_the_log_can_be_changed() -> None:
    write(1)

    with somebody_with_the_keys():
        changed = AuditEntry.objects.update(actor_name="nobody")

    assert changed == 1


@pytest.mark.django_db(transaction=True)
def test_postgresql_refuses_truncate_too() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    write(1)

    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE withdrawals_auditentry")


@pytest.mark.django_db(databases=["default"])
def test_a_missing_trigger_is_found_by_the_system_check() -> None:
    with somebody_with_the_keys():
        missing = missing_triggers(connection)
        found = run_checks(databases=["default"], tags=["database"])

    assert missing
    assert any(message.id == "withdrawals.E005" for message in found)
    assert missing_triggers(connection) == []


@pytest.mark.django_db
def test_entries_are_numbered_without_gaps_and_linked() -> None:
    write(2)
    write(3)

    verified = verify_chain()

    assert list(AuditEntry.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4, 5]
    assert (verified.entries, verified.problem) == (5, "")
    assert AuditHead.objects.get().hash == verified.head


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        ("UPDATE withdrawals_auditentry SET actor_name = 'nobody' WHERE number = 3", "Edited: Entry 3 was edited"),
        ("DELETE FROM withdrawals_auditentry WHERE number = 2", "Missing: Entry 2 is missing; the next is 3."),
        (
            "DELETE FROM withdrawals_auditentry WHERE number = 5",
            "Tail cut: Entry 5 and what followed were cut off: the log ends at 4, but its head is at 5.",
        ),
        ("UPDATE withdrawals_auditentry SET previous_hash = 'x' WHERE number = 4", "Edited: Entry 4 was edited"),
    ],
)
def test_tampering_is_named_at_the_first_bad_entry(tamper: str, problem: str) -> None:
    write(5)
    with somebody_with_the_keys(), connection.cursor() as cursor:
        cursor.execute(tamper)

    assert verify_chain().problem.startswith(problem.partition(": ")[2])
    with pytest.raises(CommandError, match=problem):
        call_command("verify_audit")


@pytest.mark.django_db
def test_an_entry_that_is_rolled_back_leaves_no_gap() -> None:
    write(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(1)
        raise ZeroDivisionError
    write(1)

    assert verify_chain().entries == 2
