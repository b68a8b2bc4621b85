"""A connection to PostgreSQL that is kept is looked at before it is used, and not asked (decision 48)."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper


def cut(line: BaseDatabaseWrapper) -> None:
    """The other end is gone without a word."""
    with socket.socket(fileno=os.dup(line.connection.pgconn.socket)) as end:
        end.shutdown(socket.SHUT_RDWR)


def end(line: BaseDatabaseWrapper) -> None:
    """The server ends the session and says so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [line.connection.info.backend_pid])


def call_out(line: BaseDatabaseWrapper) -> None:
    """The server sends something that nobody asked for now."""
    with line.cursor() as cursor:
        cursor.execute("LISTEN something")
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY something")


def leave_alone(line: BaseDatabaseWrapper) -> None:
    """Nothing happens between two requests."""


@pytest.fixture
def kept_line(transactional_db: None) -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own, as a web process keeps one between requests."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no line that could break")
    line = connection.copy()
    line.ensure_connection()
    yield line
    line.close()


def last_words(pid: int) -> str:
    """What a session asked the server last."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
        return str(cursor.fetchone()[0])


@pytest.mark.parametrize(("between", "is_kept"), [(leave_alone, True), (call_out, True), (end, False), (cut, False)])
def test_a_request_meets_a_line_that_works_without_asking_the_server(
    kept_line: BaseDatabaseWrapper, between: Callable[[BaseDatabaseWrapper], None], is_kept: bool
) -> None:
    pid = kept_line.connection.info.backend_pid
    between(kept_line)
    last = last_words(pid) if is_kept else ""

    kept_line.close_if_unusable_or_obsolete()  # as at the start of a request
    kept_line.close_if_health_check_failed()  # as before its first statement

    assert not is_kept or last_words(pid) == last
    with kept_line.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert (cursor.fetchone()[0] == pid) == is_kept


@pytest.mark.parametrize("between", [end, cut])
def test_control_a_line_that_nobody_looks_at_fails_the_request(
    kept_line: BaseDatabaseWrapper, between: Callable[[BaseDatabaseWrapper], None]
) -> None:
    kept_line.health_check_enabled = False
    between(kept_line)

    with pytest.raises(DatabaseError), kept_line.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
