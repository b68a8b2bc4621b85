"""How many items there are, and what the tabs and the rail count: exact, and cheap at any size.

The database itself keeps three sums of the items (all, ended, those that wait), by triggers, so no way of writing can
forget them. What depends on the time, or is open just now, is few rows and is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from withdrawals.models.cancellation import CancellationState
from withdrawals.models.delivery import UNAPPLIED, WARN_FOR, Verdict
from withdrawals.models.item import cancel_window
from withdrawals.models.prepared import Counted, counting, planned_once
from withdrawals.models.refund_rules import OWED_REFUNDS
from withdrawals.models.status import FINAL

ITEMS = "withdrawals_item"
TALLY = "withdrawals_itemtally"
SUMS = ("items", "ended", "waiting")
ENDED = "status IN ({})".format(", ".join(f"'{status}'" for status in FINAL))
NAMES = {event: f"{TALLY}_{event.lower()}" for event in ("INSERT", "DELETE", "UPDATE")}


class ItemTally(models.Model):
    """A part of the sums; their total is what counts.

    On PostgreSQL each writer takes a row that nobody holds, or makes one, so that none waits for another; SQLite has
    one writer and one row.
    """

    items = models.BigIntegerField(db_default=0)
    ended = models.BigIntegerField(db_default=0)
    waiting = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return f"tally {self.pk}"


@dataclass(frozen=True)
class Counts:
    """How many rows each tab of the worklist and each entry of the rail holds at one moment."""

    can: int
    soon: int
    open: int
    done: int
    all: int
    uncertain: int
    owed: int
    troubled: int
    ringing: int
    unmarked: int


def count_desk(now: datetime) -> Counts:
    """All counts of the desk, in one statement.

    The twin of `views.worklist.TABS` and of the querysets behind the rail; a test holds them together. Among the
    items that wait, one with an open cancellation is in "In progress" alone, and has one such cancellation at most.
    """
    counts, _ = count_desk_and([], now)
    return counts


def count_desk_and(counted: Sequence[Counted], now: datetime) -> tuple[Counts, list[int]]:
    """The same, and how many rows each of `counted` finds: where that is none, they need no asking for."""
    opened_at = connection.ops.adapt_datetimefield_value(now - cancel_window())
    since = connection.ops.adapt_datetimefield_value(now - WARN_FOR)
    columns, parameters = counting(counted)
    with planned_once() as cursor:
        more = f", {columns}" if counted else ""
        cursor.execute(f"{COUNTING}{more}\n{COUNTED_IN}", [opened_at, since, *parameters, opened_at])
        found = cursor.fetchone()
    items, ended, waiting, young, is_open, is_open_waiting, is_open_young, *others = found[: len(found) - len(counted)]
    soon = young - is_open_young
    counts = Counts(waiting - is_open_waiting - soon, soon, is_open, ended, items, *others)
    return counts, list(found[len(found) - len(counted) :])


def _literals(words: tuple[str, ...]) -> str:
    # Of our own making. Parameters would hide from SQLite that an index holds just these rows.
    return ", ".join(f"'{word}'" for word in words)


COUNTING = f"""
SELECT kept.items, kept.ended, kept.waiting,
    (SELECT COUNT(*) FROM {ITEMS} WHERE is_cs2_withdrawal AND NOT {ENDED} AND opened_at > %s),
    asked.number, asked.waiting, asked.young,
    (SELECT COUNT(*) FROM withdrawals_cancellation WHERE state = '{CancellationState.UNCERTAIN}'),
    (SELECT COUNT(*) FROM withdrawals_refund WHERE state IN ({_literals(OWED_REFUNDS)})),
    (SELECT COUNT(*) FROM withdrawals_delivery WHERE verdict IN ({_literals(UNAPPLIED)})),
    (SELECT COUNT(*) FROM withdrawals_alarm WHERE cleared_at IS NULL),
    (SELECT COUNT(*) FROM withdrawals_delivery
        WHERE verdict = '{Verdict.APPROVAL}' AND NOT is_copy AND last_received_at >= %s)
"""  # noqa: S608 # names and words of our own
COUNTED_IN = f"""
FROM (
    SELECT COALESCE(SUM(items), 0) AS items, COALESCE(SUM(ended), 0) AS ended, COALESCE(SUM(waiting), 0) AS waiting
    FROM {TALLY}
) kept, (
    SELECT COUNT(*) AS number, COALESCE(SUM(CASE WHEN waits THEN 1 ELSE 0 END), 0) AS waiting,
        COALESCE(SUM(CASE WHEN waits AND opened_at > %s THEN 1 ELSE 0 END), 0) AS young
    FROM (
        SELECT item.is_cs2_withdrawal AND NOT item.{ENDED} AS waits, item.opened_at
        FROM withdrawals_cancellation c JOIN {ITEMS} item ON item.id = c.item_id WHERE c.ended_at IS NULL
    ) open_ones
) asked
"""  # noqa: S608 # names and words of our own


def create_tally(connection: BaseDatabaseWrapper) -> None:
    """Put the triggers in place and count anew, where one is missing: what was written without it is in no sum."""
    if not missing_tally_triggers(connection) and ItemTally.objects.using(connection.alias).exists():
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Nobody writes between the count and the first trigger.
            cursor.execute(f"LOCK TABLE {ITEMS} IN SHARE ROW EXCLUSIVE MODE")
        drop_tally(connection)
        for statement in _on_postgresql() if connection.vendor == "postgresql" else _on_sqlite():
            cursor.execute(statement)
        cursor.execute(f"DELETE FROM {TALLY}")  # noqa: S608 # names of our own, as below
        sums = f"COALESCE(SUM({_one('ended')}), 0), COALESCE(SUM({_one('waiting')}), 0)"
        cursor.execute(f"INSERT INTO {TALLY} ({', '.join(SUMS)}) SELECT COUNT(*), {sums} FROM {ITEMS}")  # noqa: S608


def drop_tally(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away."""
    on_table = f" ON {ITEMS}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in NAMES.values():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")


def missing_tally_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the triggers that keep the sums and are not there."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    return [name for name in NAMES.values() if name not in present]


def _one(what: str, row: str = "") -> str:
    """1 where the row counts for this sum, else 0."""
    condition = {"items": "", "ended": f"{row}{ENDED}", "waiting": f"{row}is_cs2_withdrawal AND NOT {row}{ENDED}"}[what]
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END" if condition else "1"


def _on_sqlite() -> list[str]:
    added, taken = ([_one(each, row) for each in SUMS] for row in ("NEW.", "OLD."))
    changes = {
        "INSERT": added,
        "DELETE": [f"-({each})" for each in taken],
        "UPDATE": [f"({new}) - ({old})" for new, old in zip(added, taken, strict=True)],
    }
    on = {"INSERT": "INSERT", "DELETE": "DELETE", "UPDATE": "UPDATE OF status, is_cs2_withdrawal"}
    return [
        f"CREATE TRIGGER {name} AFTER {on[event]} ON {ITEMS} BEGIN UPDATE {TALLY} SET "  # noqa: S608 # as above
        + ", ".join(f"{each} = {each} + {change}" for each, change in zip(SUMS, changes[event], strict=True))
        + "; END"
        for event, name in NAMES.items()
    ]


def _on_postgresql() -> list[str]:
    def total(sign: str, table: str) -> str:
        sums = ", ".join(f"{sign}{_one(each)} AS {each}" for each in SUMS)
        return f"SELECT {sums} FROM {table}"  # noqa: S608 # as above

    tables = {"INSERT": {"": "added"}, "DELETE": {"-": "taken"}, "UPDATE": {"": "added", "-": "taken"}}
    statements = []
    for event, parts in tables.items():
        rows = " UNION ALL ".join(total(sign, table) for sign, table in parts.items())
        sums = ", ".join(f"COALESCE(SUM({each}), 0)" for each in SUMS)
        statements.append(
            f"CREATE OR REPLACE FUNCTION {NAMES[event]}() RETURNS trigger LANGUAGE plpgsql AS $$ "  # noqa: S608 # as above
            "DECLARE i bigint; e bigint; w bigint; free bigint; BEGIN "
            f"SELECT {sums} INTO i, e, w FROM ({rows}) changed; "
            "IF i = 0 AND e = 0 AND w = 0 THEN RETURN NULL; END IF; "
            f"SELECT id INTO free FROM {TALLY} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED; "
            f"IF free IS NULL THEN INSERT INTO {TALLY} ({', '.join(SUMS)}) VALUES (i, e, w); "
            f"ELSE UPDATE {TALLY} SET items = items + i, ended = ended + e, waiting = waiting + w WHERE id = free; "
            "END IF; RETURN NULL; END $$"
        )
        words = {"added": "NEW TABLE AS added", "taken": "OLD TABLE AS taken"}
        referencing = " ".join(words[table] for table in parts.values())
        statements.append(
            f"CREATE TRIGGER {NAMES[event]} AFTER {event} ON {ITEMS} REFERENCING {referencing} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {NAMES[event]}()"
        )
    return statements
