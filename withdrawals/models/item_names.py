"""Finding names by any part of them: the database's own index of the names of items.

SQLite: an FTS5 table of trigrams that holds no text of its own, kept in step by triggers. A migration that remakes
the table of items drops these, so after every migrate they are put back, and the index is built anew where they were
missing. PostgreSQL: a GIN index of trigrams; where nobody may create `pg_trgm`, one of words and
their beginnings.
"""

import re
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

TABLE = "withdrawals_item"
INDEX = "withdrawals_item_names"
WORDS_INDEX = "withdrawals_item_name_words"
COLUMNS = ("name", "market_hash_name")
TRIGGERS = (f"{INDEX}_insert", f"{INDEX}_delete", f"{INDEX}_update")
SHORTEST_PART = 3
WORDS = "to_tsvector('simple', COALESCE(name, '') || ' ' || COALESCE(market_hash_name, ''))"

FOUND_WORDS = f"SELECT id FROM {TABLE} WHERE {WORDS} @@ to_tsquery('simple', %s)"  # noqa: S608 # constants of ours
FOUND_PARTS = f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s"  # noqa: S608 # as above


def create_name_search(connection: BaseDatabaseWrapper) -> None:
    """Make the index and, on SQLite, its triggers; whatever stands already is left as it is."""
    if connection.vendor == "postgresql":
        _create_on_postgresql(connection)
        return
    missing = missing_name_triggers(connection)
    if not missing:
        return
    columns = ", ".join(COLUMNS)
    new, old = (", ".join(f"{row}.{column}" for column in COLUMNS) for row in ("NEW", "OLD"))
    into = f"INSERT INTO {INDEX}"
    add = f"{into}(rowid, {columns}) VALUES (NEW.id, {new});"
    take = f"{into}({INDEX}, rowid, {columns}) VALUES ('delete', OLD.id, {old});"
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {INDEX} USING fts5"
            f"({columns}, content='{TABLE}', content_rowid='id', tokenize='trigram')"
        )
        for name in TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        insert, delete, update = TRIGGERS
        cursor.execute(f"CREATE TRIGGER {insert} AFTER INSERT ON {TABLE} BEGIN {add} END")
        cursor.execute(f"CREATE TRIGGER {delete} AFTER DELETE ON {TABLE} BEGIN {take} END")
        cursor.execute(
            f"CREATE TRIGGER {update} AFTER UPDATE OF id, {columns} ON {TABLE} "
            f"WHEN OLD.id <> NEW.id OR {changed} BEGIN {take} {add} END"
        )
        # Whatever was written while a trigger was missing is not in the index yet.
        cursor.execute(f"{into}({INDEX}) VALUES ('rebuild')")


def _create_on_postgresql(connection: BaseDatabaseWrapper) -> None:
    parts = ", ".join(f"UPPER({column}::text) gin_trgm_ops" for column in COLUMNS)
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON {TABLE} USING gin ({parts})")
    except DatabaseError:
        # Not installed, or not ours to create.
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {WORDS_INDEX} ON {TABLE} USING gin ({WORDS})")


def drop_name_search(connection: BaseDatabaseWrapper) -> None:
    """Take the index away."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP INDEX IF EXISTS {INDEX}, {WORDS_INDEX}")
            return
        for name in TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        cursor.execute(f"DROP TABLE IF EXISTS {INDEX}")


def missing_name_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the triggers that keep the index in step and are not there; PostgreSQL needs none."""
    if connection.vendor == "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        present = {row[0] for row in cursor.fetchall()}
    return [name for name in TRIGGERS if name not in present]


class Named(NamedTuple):
    """What is looked for among names: by which index (its SQL, if any) and how, and words to compare without one."""

    by: str
    asked: str
    words: tuple[str, ...]


def read_name(text: str, using: str = DEFAULT_DB_ALIAS) -> Named:
    """How this database finds the names in which every word of `text` occurs."""
    words = [word for word in text.split() if any(sign.isalnum() for sign in word)] or text.split()
    connection = connections[using]
    if connection.vendor == "postgresql" and not _has_trigrams(connection):
        return Named(FOUND_WORDS, _beginnings(words), ())
    parts = [word for word in words if len(word) >= SHORTEST_PART] if connection.vendor == "sqlite" else []
    asked = " AND ".join('"{}"'.format(part.replace('"', '""')) for part in parts)
    return Named(FOUND_PARTS if parts else "", asked, tuple(word for word in words if word not in parts))


def named_like[Rows: QuerySet](items: Rows, named: Named) -> Rows:  # type: ignore[type-arg] # of whatever model the caller has
    """Those of `items` in whose names all that was read of a text occurs, in any order and case."""
    found = items
    if named.by:
        found = found.filter(pk__in=RawSQL(named.by, [named.asked]))  # noqa: S611 # our own text; what was typed is a parameter
    for word in named.words:
        found = found.filter(Q(name__icontains=word) | Q(market_hash_name__icontains=word))
    return found


def _beginnings(words: list[str]) -> str:
    parts = [part for word in words for part in re.findall(r"\w+", word)]
    return " & ".join(f"{part}:*" for part in parts)


def _has_trigrams(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [INDEX])
        return bool(cursor.fetchone()[0])
