"""What waits in one process is done together; whoever keeps the turn, or the lead, stops nobody."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import get_ident

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.together import all_at_once
from withdrawals.models import User
from withdrawals.models import turns as turns_module
from withdrawals.models.turns import Turns, _take_turn, _Wish

pytestmark = pytest.mark.django_db(transaction=True)
on_sqlite = pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="only SQLite lets one transaction write at a time"
)


def write(names: Sequence[str]) -> list[int]:
    """Keep everybody; who wrote, for each. "nobody" cannot be kept, and nobody can be kept with "loner"."""
    for name in names:
        User.objects.create(email=f"{name}@desk.example")
    if "nobody" in names or ("loner" in names and len(names) > 1):
        raise ZeroDivisionError
    return [get_ident() for _ in names]


def write_one(name: str) -> int:
    """The same for one."""
    return write([name])[0]


def kept() -> set[str]:
    return {email.removesuffix("@desk.example") for email in User.objects.values_list("email", flat=True)}


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns[str, int]]:
    monkeypatch.setattr(turns_module, "_patience", lambda: 0.2)
    made = Turns(write, alone=write_one)
    yield made
    assert not made.line.has_leader
    assert not made.line.take()


def turn() -> Path:
    return Path(f"{connection.settings_dict['NAME']}-turn")


def be_patient(milliseconds: int) -> None:
    """This thread's connection waits so long for the database."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        connection.connection.execute(f"PRAGMA busy_timeout={milliseconds}")


def together(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch, *names: str, subjects: Sequence[str] = ()
) -> list[Future[int]]:
    """Each on a thread of its own, all of which wait before the first is done."""
    monkeypatch.setattr(turns_module, "_patience", lambda: 5.0)

    def one(name: str, subject: str) -> int:
        be_patient(5_000)
        try:
            return turns.do(name, subject=subject)
        finally:
            connection.close()

    return all_at_once(
        turns, [partial(one, name, subject) for name, subject in zip(names, subjects or names, strict=True)]
    )


def count_commits(monkeypatch: pytest.MonkeyPatch, *, refused: int = 0) -> list[int]:
    """Grows with each; the first so many do not come about."""
    commit, commits = BaseDatabaseWrapper._commit, []  # type: ignore[attr-defined] # the stubs lack it

    def counted(self: BaseDatabaseWrapper) -> None:
        commits.append(len(commits))
        if len(commits) <= refused:
            raise OperationalError("planted")
        commit(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", counted)
    return commits


def test_what_waits_is_done_by_whoever_leads_in_one_transaction(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = count_commits(monkeypatch)

    first, second, third = together(turns, monkeypatch, "first", "second", "third")

    assert first.result() == second.result() == third.result() != get_ident()
    assert len(commits) == 1
    assert kept() == {"first", "second", "third"}


def test_each_is_told_its_own_result(monkeypatch: pytest.MonkeyPatch) -> None:
    told: Turns[str, str] = Turns(lambda names: [name.upper() for name in names], alone=str.upper)

    futures = together(told, monkeypatch, "first", "second", "third")  # type: ignore[arg-type,var-annotated]

    assert [future.result() for future in futures] == ["FIRST", "SECOND", "THIRD"]


def test_two_about_one_subject_are_done_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = count_commits(monkeypatch)
    done: list[list[str]] = []

    def note(names: Sequence[str]) -> list[int]:
        done.append(list(names))
        return write(names)

    noted: Turns[str, int] = Turns(note, alone=write_one)
    futures = together(noted, monkeypatch, "first", "second", "third", subjects=("one", "one", "two"))

    assert [future.exception() for future in futures] == [None] * 3
    assert done == [["first", "third"], ["second"]]
    # On PostgreSQL the log's head is locked by then, behind which nobody may wait.
    assert len(commits) == (1 if connection.vendor == "sqlite" else 2)


def test_one_that_fails_keeps_no_other_from_being_done(turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for names in (("nobody", "desk"), ("desk", "nobody")):
        User.objects.all().delete()

        futures = together(turns, monkeypatch, *names)

        errors = [future.exception() for future in futures]
        assert [isinstance(error, ZeroDivisionError) for error in errors] == [name == "nobody" for name in names]
        assert kept() == {"desk"}


def test_what_cannot_be_done_together_is_done_by_itself_and_by_its_own_thread(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = together(turns, monkeypatch, "first", "loner", "third")

    assert kept() == {"first", "loner", "third"}
    assert len({first.result(), second.result(), third.result()}) == 3


def test_where_the_shared_commit_fails_each_is_done_by_itself(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    count_commits(monkeypatch, refused=1)

    futures = together(turns, monkeypatch, "first", "second")

    assert [future.exception() for future in futures] == [None, None]
    assert kept() == {"first", "second"}


def test_nobody_is_told_that_it_is_done_before_it_is_committed(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The shared one, and each one of their own.
    count_commits(monkeypatch, refused=3)

    futures = together(turns, monkeypatch, "first", "second")

    assert [type(future.exception()) for future in futures] == [OperationalError, OperationalError]
    assert kept() == set()


def test_control_told_before_the_commit_somebody_is_told_what_is_not_so(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    count_commits(monkeypatch, refused=3)
    take = turns.line.take

    def tell_at_once(*own: _Wish[str, int]) -> list[_Wish[str, int]]:
        taken = take(*own)
        for wish in taken:
            if wish not in own:
                wish.end(0)
        return taken

    monkeypatch.setattr(turns.line, "take", tell_at_once)

    futures = together(turns, monkeypatch, "first", "second")
    monkeypatch.undo()

    assert futures[1].exception() is None
    assert kept() == set()


def lead_patiently(turns: Turns[str, int]) -> int:
    be_patient(5_000)
    try:
        return turns.do("desk", subject="desk")
    finally:
        connection.close()


@on_sqlite
def test_who_waits_behind_one_that_waits_for_the_database_can_give_up(turns: Turns[str, int]) -> None:
    be_patient(50)
    somebody_else = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    somebody_else.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(lead_patiently, turns)
        while not turns.line.has_leader:
            time.sleep(0.001)  # between two looks at the line

        with pytest.raises(OperationalError, match="locked"):
            turns.do("follower", subject="follower")

        assert not leader.done()
        somebody_else.close()

    assert leader.exception() is None
    assert kept() == {"desk"}


@on_sqlite
def test_whoever_writes_holds_the_turn_and_gives_it_back() -> None:
    with turn().open("ab") as somebody_else:

        def look_and_write(names: Sequence[str]) -> list[int]:
            assert not _take_turn(somebody_else)
            return write(names)

        Turns(look_and_write, alone=write_one).do("desk", subject="")

        assert _take_turn(somebody_else)
    assert kept() == {"desk"}


@on_sqlite
def test_the_turn_is_given_back_by_whoever_fails(turns: Turns[str, int]) -> None:
    with pytest.raises(ZeroDivisionError):
        turns.do("nobody", subject="")

    with turn().open("ab") as somebody_else:
        assert _take_turn(somebody_else)
    assert not User.objects.exists()


@on_sqlite
def test_another_process_that_keeps_the_turn_stops_nobody(turns: Turns[str, int]) -> None:
    with turn().open("ab") as somebody_else, turn().open("ab") as another:
        assert _take_turn(somebody_else)

        turns.do("desk", subject="")

        assert not _take_turn(another), "the turn of somebody else was given away"
    assert kept() == {"desk"}


def test_another_thread_that_keeps_the_lead_stops_nobody(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(turns.line, "has_leader", True)
        turns.do("desk", subject="")

    assert kept() == {"desk"}


def follow(turns: Turns[str, int]) -> int:
    try:
        return turns.do("desk", subject="")
    finally:
        connection.close()


def test_one_that_is_done_for_ever_is_not_waited_for_for_ever(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as threads:
        patch.setattr(turns.line, "has_leader", True)
        follower = threads.submit(follow, turns)
        while not turns.line.take():
            time.sleep(0.001)  # between two looks at the line

    assert "has not come back" in str(follower.exception())


def test_where_the_leader_is_stopped_those_whom_it_took_along_are_told(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(names: Sequence[str]) -> list[int]:
        raise KeyboardInterrupt

    stopped: Turns[str, int] = Turns(stop, alone=write_one)

    leader, follower = together(stopped, monkeypatch, "first", "second")

    assert isinstance(leader.exception(), KeyboardInterrupt)
    assert "was stopped" in str(follower.exception())
    assert not stopped.line.has_leader


@on_sqlite
def test_where_no_file_can_be_made_nobody_is_kept_waiting(
    turns: Turns[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nowhere/at/all/desk.sqlite3")

    with pytest.raises(FileNotFoundError):
        turns.do("desk", subject="")

    assert not turns.line.has_leader


def test_within_a_transaction_of_the_callers_it_is_done_there(turns: Turns[str, int]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        turns.do("desk", subject="")
        assert kept() == {"desk"}
        raise ZeroDivisionError

    assert kept() == set()
