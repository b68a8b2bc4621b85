"""Callbacks take turns at SQLite's one write lock and share transactions; whoever keeps the turn stops nobody."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import get_ident

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper

from withdrawals.models import User
from withdrawals.models.turns import _line, _take_turn, _Wish, do_in_turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite lets one transaction write at a time")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    yield
    assert not _line.has_leader
    assert _line.next() is None


def turn() -> Path:
    return Path(f"{connection.settings_dict['NAME']}-turn")


def write(name: str = "desk") -> int:
    """Who wrote."""
    User.objects.create(email=f"{name}@desk.example")
    return get_ident()


def fail() -> int:
    write("nobody")
    raise ZeroDivisionError


def kept() -> set[str]:
    return {email.removesuffix("@desk.example") for email in User.objects.values_list("email", flat=True)}


def together(*works: Callable[[], int]) -> list[Future[int]]:
    """Each on a thread of its own, all of which wait before the first is done."""

    def one(work: Callable[[], int]) -> int:
        be_patient(5_000)
        try:
            return do_in_turn(work)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads, turn().open("ab") as somebody_else:
        connection.settings_dict["OPTIONS"]["timeout"] = 5
        assert _take_turn(somebody_else)
        found = []
        for number, work in enumerate(works):
            found.append(threads.submit(one, work))
            while not _line.has_leader or len(_line._waiting) < number:
                time.sleep(0.001)
    return found


def test_what_waits_is_done_by_whoever_has_the_turn_in_one_transaction() -> None:
    commits = []

    def count(name: str) -> Callable[[], int]:
        def work() -> int:
            transaction.on_commit(lambda: commits.append(len(commits)), robust=True)
            assert not commits, "another transaction ended before"
            return write(name)

        return work

    first, second, third = together(count("first"), count("second"), count("third"))

    assert first.result() == second.result() == third.result() != get_ident()
    assert kept() == {"first", "second", "third"}


def test_one_that_fails_keeps_no_other_from_being_done() -> None:
    for works in ((fail, write), (write, fail)):
        User.objects.all().delete()

        futures = together(*works)

        errors = [future.exception() for future in futures]
        assert [isinstance(error, ZeroDivisionError) for error in errors] == [work is fail for work in works]
        assert kept() == {"desk"}


def refuse_commits(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    commit, left = DatabaseWrapper._commit, iter(range(times))  # type: ignore[attr-defined] # the stubs lack it

    def refuse(self: DatabaseWrapper) -> None:
        if next(left, None) is not None:
            raise OperationalError("planted")
        commit(self)

    monkeypatch.setattr(DatabaseWrapper, "_commit", refuse)


def test_where_the_shared_commit_fails_each_is_done_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_commits(monkeypatch, times=1)

    futures = together(lambda: write("first"), lambda: write("second"))

    assert [future.exception() for future in futures] == [None, None]
    assert kept() == {"first", "second"}


def test_nobody_is_told_that_it_is_done_before_it_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The shared one, and each one of their own.
    refuse_commits(monkeypatch, times=3)

    futures = together(lambda: write("first"), lambda: write("second"))

    assert [type(future.exception()) for future in futures] == [OperationalError, OperationalError]
    assert kept() == set()


def test_control_told_before_the_commit_somebody_is_told_what_is_not_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_commits(monkeypatch, times=3)
    do = _Wish.do

    def do_and_tell(self: _Wish) -> None:
        do(self)
        self.is_over = True

    with monkeypatch.context() as patch:
        patch.setattr(_Wish, "do", do_and_tell)
        patch.setattr(_Wish, "do_alone", lambda self: None)
        futures = together(lambda: write("first"), lambda: write("second"))

    assert [future.exception() for future in futures] == [None, None]
    assert kept() == set()


def be_patient(milliseconds: int) -> None:
    """This thread's connection waits so long for the database."""
    connection.ensure_connection()
    connection.connection.execute(f"PRAGMA busy_timeout={milliseconds}")


def lead_patiently() -> int:
    be_patient(5_000)
    try:
        return do_in_turn(write)
    finally:
        connection.close()


def test_who_waits_behind_one_that_waits_for_the_database_can_give_up() -> None:
    be_patient(50)
    somebody_else = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    somebody_else.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(lead_patiently)
        while not _line.has_leader:
            time.sleep(0.001)

        with pytest.raises(OperationalError, match="locked"):
            do_in_turn(lambda: write("follower"))

        assert not leader.done()
        somebody_else.close()

    assert leader.exception() is None
    assert kept() == {"desk"}


def test_whoever_writes_holds_the_turn_and_gives_it_back() -> None:
    with turn().open("ab") as somebody_else:

        def look_and_write() -> None:
            assert not _take_turn(somebody_else)
            write()

        do_in_turn(look_and_write)

        assert _take_turn(somebody_else)
    assert kept() == {"desk"}


def test_the_turn_is_given_back_by_whoever_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        do_in_turn(fail)

    with turn().open("ab") as somebody_else:
        assert _take_turn(somebody_else)
    assert not User.objects.exists()


def test_another_process_that_keeps_the_turn_stops_nobody() -> None:
    with turn().open("ab") as somebody_else, turn().open("ab") as another:
        assert _take_turn(somebody_else)

        do_in_turn(write)

        assert not _take_turn(another), "the turn of somebody else was given away"
    assert kept() == {"desk"}


def test_another_thread_that_keeps_the_lead_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_line, "has_leader", True)
        do_in_turn(write)

    assert kept() == {"desk"}


def test_one_that_is_done_for_ever_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_line, "has_leader", True)
    with ThreadPoolExecutor(1) as threads:
        follower = threads.submit(do_in_turn, write)
        while _line.next() is None:
            time.sleep(0.001)

    assert "has not come back" in str(follower.exception())
    monkeypatch.undo()


def test_where_no_file_can_be_made_nobody_is_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nowhere/at/all/desk.sqlite3")

    with pytest.raises(FileNotFoundError):
        do_in_turn(write)

    assert not _line.has_leader
