"""The mutator changes what guards, one thing at a time, and leaves words alone."""

import pytest

from tests.mutation.__main__ import GUARDS, PROJECT
from tests.mutation.mutants import mutants_of

pytestmark = pytest.mark.any_database

SOURCE = '''
"""A docstring of 3 words."""
LIMIT = 5

def is_free(used: int, held: bool = False) -> bool:
    """Whether 1 more may leave."""
    if held or not used < LIMIT:
        log.info("held %s", 7)
        raise ValueError(f"{used} of {LIMIT}")
    note(used)
    return min(used + 1, LIMIT) == LIMIT
'''


def test_each_guard_is_changed_once_in_each_way() -> None:
    changes = [(mutant.before.splitlines()[0], mutant.after.splitlines()[0]) for mutant in mutants_of(SOURCE)]

    assert changes == [
        ("5", "6"),
        ("False", "True"),
        ("if held or not used < LIMIT:", "if not (held or not used < LIMIT):"),
        ("held or not used < LIMIT", "held and (not used < LIMIT)"),
        ("not used < LIMIT", "used < LIMIT"),
        ("used < LIMIT", "used <= LIMIT"),
        ("note(used)", "None"),
        ("return min(used + 1, LIMIT) == LIMIT", "return None"),
        ("min(used + 1, LIMIT) == LIMIT", "min(used + 1, LIMIT) != LIMIT"),
        ("min(used + 1, LIMIT)", "max(used + 1, LIMIT)"),
        ("used + 1", "used - 1"),
        ("1", "2"),
    ]


def test_one_mutant_differs_in_one_place() -> None:
    whole = list(mutants_of(SOURCE))

    assert len({mutant.source for mutant in whole}) == len(whole)


def test_what_is_guarded_and_what_must_notice_exists() -> None:
    named = {*GUARDS, *(test for tests in GUARDS.values() for test in tests)}

    assert [name for name in sorted(named) if not (PROJECT / name).is_file()] == []
