"""The mutator changes what guards, one thing at a time, and leaves words alone."""

import gc
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.utils.functional import SimpleLazyObject

from tests.mutation.__main__ import GUARDS, LEFT_OUT, PROJECT
from tests.mutation.forks import exchange
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


MODEL = """
class Payment(Model):
    net = UsdField(null=True, default=Decimal(0))
    kind = CharField(max_length=16)

    class Meta:
        constraints = [CheckConstraint(condition=Q(net__gt=0))]

    def __str__(self) -> str:
        return self.kind * 2

@dataclass(frozen=True)
class Told:
    many: int = 4
"""


def test_of_a_model_only_what_runs_is_changed() -> None:
    assert [(mutant.before, mutant.after) for mutant in mutants_of(MODEL)] == [("0", "1"), ("4", "5")]


def test_a_mutant_names_the_lines_of_its_statement_and_not_those_of_the_block_beneath() -> None:
    lines = {mutant.before.splitlines()[0]: list(mutant.lines) for mutant in mutants_of(SOURCE)}

    assert (lines["used < LIMIT"], lines["note(used)"], lines["5"]) == ([7], [10], [3])


def test_one_mutant_differs_in_one_place() -> None:
    whole = list(mutants_of(SOURCE))

    assert len({mutant.source for mutant in whole}) == len(whole)


def test_what_is_guarded_and_what_must_notice_exists() -> None:
    named = {*GUARDS, *(test for tests in GUARDS.values() for test in tests)}

    assert [name for name in sorted(named) if not (PROJECT / name).is_file()] == []
    assert [name for name in LEFT_OUT if name.split("::")[1] not in (PROJECT / name.split("::")[0]).read_text()] == []


GUARD = """
import contextlib

def free(used):
    return used < 5

class Budget:
    @property
    def is_free(self):
        return free(3)

    @contextlib.contextmanager
    def taken(self):
        yield free(2)

kept = [free]
"""


def imported(place: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("guard", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_mutant_is_there_for_everybody_who_holds_the_function(tmp_path: Path) -> None:
    place = tmp_path / "guard.py"
    place.write_text(GUARD)
    module = imported(place)
    free, budget = module.kept[0], module.Budget()
    gc.freeze()

    exchange(place, GUARD, GUARD.replace("used < 5", "used >= 5").replace("free(3)", "not free(3)"))

    assert (free(4), budget.is_free) == (False, True)
    with budget.taken() as is_free:
        assert not is_free


def test_a_mutant_of_what_nobody_holds_is_not_tried(tmp_path: Path) -> None:
    place = tmp_path / "guard.py"
    place.write_text(GUARD)

    with pytest.raises(RuntimeError, match="nobody holds"):
        exchange(place, GUARD, GUARD)


def test_what_is_lazy_is_not_made_by_looking_for_functions(tmp_path: Path) -> None:
    place = tmp_path / "guard.py"
    place.write_text(GUARD)
    kept = imported(place), SimpleLazyObject(lambda: pytest.fail("asked what it stands for"))

    exchange(place, GUARD, GUARD.replace("used < 5", "used < 6"))

    assert kept[0].free(5)


TEST = """
import guard
import pytest

def test_nothing():
    pass

def test_the_edge():
    assert guard.free(4)
    assert not guard.free(5)

@pytest.mark.parametrize("told", [1])
def test_a_method(told):
    assert guard.Budget().is_free
"""


def test_what_harms_is_noticed_by_name_and_what_does_not_survives(tmp_path: Path) -> None:
    (tmp_path / "guard.py").write_text(GUARD)
    (tmp_path / "test_guard.py").write_text(TEST)
    tests = [f"test_guard.py::{name}" for name in ("test_nothing", "test_the_edge", "test_a_method[1]")]
    changes = [("", ""), ("used < 5", "used <= 5"), ("used < 5", "5 > used"), ("return free(3)", "return free(7)")]
    changes += [("return free(3)", "import os; os.abort()")]
    jobs = [
        {"number": number, "file": "guard.py", "source": GUARD.replace(*change), "tests": tests}
        for number, change in enumerate(changes)
    ]
    (tmp_path / "jobs.json").write_text(json.dumps([{"number": -1, "tests": tests}, *jobs]))
    read, written = os.pipe()
    environment = {"MUTATION_JOBS": str(tmp_path / "jobs.json"), "MUTATION_ANSWERS": str(written)}
    environment |= {"MUTATION_DATABASE": str(tmp_path / "none.sqlite3"), "PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "tests.mutation.forks", "test_guard.py"]

    environment |= {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    # A run of its own, whatever the one around it was told.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, cwd=tmp_path, env=inherited | environment, pass_fds=[written], capture_output=True)
    os.close(written)

    with os.fdopen(read) as told:
        answers = [json.loads(line) for line in told]
    assert answers == [[-1, ""], [0, ""], [1, tests[1]], [2, ""], [3, tests[2]], [4, "signal 6"]]
    assert (tmp_path / "guard.py").read_text() == GUARD
