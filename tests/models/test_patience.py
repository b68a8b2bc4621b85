"""Callbacks take turns at SQLite's one write lock; whoever keeps the turn for ever stops nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from withdrawals.models import User
from withdrawals.models.patience import _of_this_process, _take_turn, transaction_in_turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite lets one transaction write at a time")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    yield
    assert not _of_this_process.locked()


def turn() -> Path:
    return Path(f"{connection.settings_dict['NAME']}-turn")


def write() -> None:
    User.objects.create(email="desk@desk.example")


def test_whoever_writes_holds_the_turn_and_gives_it_back() -> None:
    with turn().open("ab") as somebody_else:
        with transaction_in_turn():
            assert not _take_turn(somebody_else)
            write()

        assert _take_turn(somebody_else)
    assert User.objects.count() == 1


def test_the_turn_is_given_back_by_whoever_fails() -> None:
    with pytest.raises(ZeroDivisionError), transaction_in_turn():
        write()
        1 / 0  # noqa: B018 # fails

    with turn().open("ab") as somebody_else:
        assert _take_turn(somebody_else)
    assert not User.objects.exists()


def test_another_process_that_keeps_the_turn_stops_nobody() -> None:
    with turn().open("ab") as somebody_else, turn().open("ab") as another:
        assert _take_turn(somebody_else)

        with transaction_in_turn():
            write()

        assert not _take_turn(another), "the turn of somebody else was given away"
    assert User.objects.count() == 1


def test_another_thread_that_keeps_the_turn_stops_nobody() -> None:
    with _of_this_process, transaction_in_turn():
        write()

    assert User.objects.count() == 1


def test_where_no_file_can_be_made_nobody_is_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nowhere/at/all/desk.sqlite3")

    with pytest.raises(FileNotFoundError), transaction_in_turn():
        write()

    assert not _of_this_process.locked()
