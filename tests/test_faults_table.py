"""docs/faults.md names every fault and property once, and only tests that exist."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parent.parent
PAGE = (PROJECT / "docs/faults.md").read_text()
# F27 was struck from the list before anything was built.
WANTED = (
    [f"F{number}" for number in range(1, 79) if number != 27] + ["F10b"] + [f"P{number}" for number in range(1, 31)]
)
ROWS = {
    row.split("|")[1].strip(): row
    for row in PAGE.partition("## Every number")[2].splitlines()
    if re.match(r"\| [FP]\d+b? \|", row)
}
# What asks the world outside, or is no test of ours; each with its reason in its row.
WITHOUT_TEST = {"F78"}


def test_every_fault_and_property_has_its_line() -> None:
    assert sorted(ROWS) == sorted(WANTED)
    assert "F27 was struck" in PAGE


@pytest.mark.parametrize("number", WANTED)
def test_every_line_names_tests_that_exist_a_place_and_a_figure(number: str) -> None:
    _, _, _, shown_by, where, figure, _ = ROWS[number].split("|")
    named = re.findall(r"`([^`]+)`", shown_by)
    files = [each for each in named if each.startswith("tests/")]

    assert bool(files) != (number in WITHOUT_TEST)
    assert re.search(r"`make [a-z]+`", where)
    assert figure.strip()
    for part in shown_by.split("; "):
        names = re.findall(r"`([^`]+)`", part)
        if names:
            tests = re.findall(r"^def (test_\w+)", (PROJECT / names[0]).read_text(), flags=re.M)
            assert [name for name in names[1:] if not any(fnmatch(test, name) for test in tests)] == []


def test_nothing_is_still_promised_for_later() -> None:
    assert "comes with its capability" not in PAGE


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+\.py)`", PAGE))

    assert [name for name in sorted(named) if not (PROJECT / name).exists()] == []
