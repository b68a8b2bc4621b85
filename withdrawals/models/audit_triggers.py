"""The triggers by which the database itself refuses to change the audit log, its anchors, the refund ledger and notes.

SQLite drops a table's triggers whenever a migration remakes the table, so they are put back after every migrate, and
a system check says when one is missing.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

LEDGER = "withdrawals_refundentry"
# The ledger takes only the next number: with odd confirmations and even compensations that makes two in a row
# impossible. Two at one instant may both be next; the unique number refuses one of them.
IN_LINE = f"{LEDGER}_in_line"
PROTECTED_TABLES = (
    "withdrawals_auditentry",
    "withdrawals_auditanchor",
    LEDGER,
    "withdrawals_note",
)


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Put every trigger in place; those that stand already are made anew."""
    drop_triggers(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME; END $$"
            )
            cursor.execute(
                "CREATE OR REPLACE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql AS "  # noqa: S608 # our own name
                f"$$ BEGIN IF NEW.number <> 1 + (SELECT count(*) FROM {LEDGER} WHERE refund_id = NEW.refund_id) "
                "THEN RAISE EXCEPTION 'this is not the next row of the ledger'; END IF; RETURN NEW; END $$"
            )
        for table, event, name in _wanted(connection.vendor):
            if event == "INSERT":
                _refuse_gaps(cursor, connection.vendor)
            elif connection.vendor == "postgresql":
                level = "STATEMENT" if event == "TRUNCATE" else "ROW"
                cursor.execute(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {level} EXECUTE FUNCTION refuse_change()"
                )
            else:
                cursor.execute(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, 'rows of {table} never change'); END"
                )


def _refuse_gaps(cursor: CursorWrapper, vendor: str) -> None:
    if vendor == "postgresql":
        cursor.execute(f"CREATE TRIGGER {IN_LINE} BEFORE INSERT ON {LEDGER} FOR EACH ROW EXECUTE FUNCTION refuse_gap()")
        return
    cursor.execute(
        f"CREATE TRIGGER {IN_LINE} BEFORE INSERT ON {LEDGER} "  # noqa: S608 # names of our own
        f"WHEN NEW.number <> 1 + (SELECT count(*) FROM {LEDGER} WHERE refund_id = NEW.refund_id) "
        "BEGIN SELECT RAISE(ABORT, 'this is not the next row of the ledger'); END"
    )


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Take every trigger away: for tests that empty their database, and before they are made anew."""
    with connection.cursor() as cursor:
        for table, _event, name in _wanted(connection.vendor):
            on_table = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")


def missing_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the triggers that are not there."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    return [name for _table, _event, name in _wanted(connection.vendor) if name not in present]


def _wanted(vendor: str) -> list[tuple[str, str, str]]:
    # INSERT OR REPLACE deletes without a DELETE trigger on SQLite, but only where a unique value repeats; the
    # runtime never writes so, and the chain of hashes shows it.
    events = ("UPDATE", "DELETE", "TRUNCATE") if vendor == "postgresql" else ("UPDATE", "DELETE")
    refusals = [(table, event, f"{table}_no_{event.lower()}") for table in PROTECTED_TABLES for event in events]
    return [*refusals, (LEDGER, "INSERT", IN_LINE)]


def powers_over_protected_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """What the role of this connection could do to the protected tables beyond reading and appending; [] on SQLite."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_has_role(c.relowner, 'MEMBER'), has_table_privilege(c.oid, 'UPDATE'),"
            " has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'TRUNCATE')"
            " FROM pg_class c WHERE c.relkind = 'r' AND c.relname = ANY(%s) AND pg_table_is_visible(c.oid)"
            " ORDER BY c.relname",
            [list(PROTECTED_TABLES)],
        )
        rows = cursor.fetchall()
    words = ("own", "UPDATE", "DELETE", "TRUNCATE")
    return [
        f"{table}: {', '.join(word for word, can in zip(words, powers, strict=True) if can)}"
        for table, *powers in rows
        if any(powers)
    ]
