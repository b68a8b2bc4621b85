"""`make mutants`: change the guards one by one, and see whether a test fails.

N=60 draws so many, SEED=7 others, ONLY=refund those of the files in whose names the word stands. It works in a copy of
the project; a change after which every test still passes is a survivor, and is named.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coverage import CoverageData

from tests.mutation.forks import write
from tests.mutation.mutants import Mutant, mutants_of

PROJECT = Path(__file__).resolve().parents[2]
MERGE = ["tests/models/test_status.py", "tests/actions/test_mirror.py", "tests/actions/test_merge_order.py"]
MERGE += ["tests/faults/test_order.py", "tests/actions/test_audit_replay.py", "tests/actions/test_sightings.py"]
MERGE += [
    "tests/actions/test_mirror_guards.py",
    "tests/actions/test_races.py",
    "tests/faults/test_healing.py",
    "tests/actions/test_settling.py",
]
# And what a callback may cost.
FOLLOWING = ["tests/faults/test_convergence.py", "tests/actions/test_arming.py", "tests/views/test_callback_door.py"]
LEDGER = ["tests/faults/test_money.py", "tests/actions/test_refunds.py", "tests/actions/test_refund_decisions.py"]
LEDGER += ["tests/actions/test_refund_guards.py", "tests/views/test_refunds.py", "tests/actions/test_races.py"]
LEDGER += ["tests/faults/test_healing.py", "tests/views/test_money.py", "tests/actions/test_invariants.py"]
PERMITS = ["tests/actions/test_lanes.py", "tests/actions/test_sending.py", "tests/actions/test_arming.py"]
PERMITS += [
    "tests/views/test_sending.py",
    "tests/actions/test_judgement.py",
    "tests/views/test_items.py",
    "tests/faults/test_cancelling.py",
]
RULES = ["tests/models/test_cancel_rules.py", "tests/actions/test_arming.py", "tests/views/test_items.py"]
RULES += ["tests/views/test_cancel_item.py", "tests/models/test_items.py", "tests/views/test_search.py"]
# What is changed, and the tests that have to notice, those first that notice most.
GUARDS: dict[str, list[str]] = {
    "withdrawals/assetpay/signature.py": ["tests/assetpay/test_signature.py", "tests/faults/test_authenticity.py"],
    "withdrawals/models/status.py": MERGE,
    "withdrawals/actions/projection.py": MERGE,
    "withdrawals/actions/trades.py": [*MERGE, *FOLLOWING],
    "withdrawals/actions/refunds.py": LEDGER,
    "withdrawals/actions/refund_corrections.py": LEDGER,
    "withdrawals/actions/refund_approvals.py": LEDGER,
    "withdrawals/models/refund_rules.py": LEDGER,
    "withdrawals/models/refund.py": LEDGER,
    "withdrawals/models/send_permit.py": PERMITS,
    "withdrawals/actions/budget.py": PERMITS,
    # Also what a new row holds.
    "withdrawals/models/item.py": [*RULES, "tests/actions/test_mirror.py"],
}
# Long walks, of which each would take longer than all the others of a mutant, and what a busy machine can fail.
LEFT_OUT = [
    "tests/faults/test_healing.py::test_confirmers_and_callbacks_of_one_trade_do_not_deadlock",
    "tests/faults/test_healing.py::test_approvers_and_callbacks_of_one_trade_do_not_deadlock",
    "tests/faults/test_money.py::test_f52_p19_p20_p21_p22_whatever_happens_the_ledger_adds_up",
    "tests/faults/test_money.py::test_f53_p23_sums_are_exact",
    "tests/faults/test_cancelling.py::test_f31_eight_clickers_on_each_of_many_items_ask_once_for_each",
    "tests/faults/test_cancelling.py::test_f39_a_storm_of_429_pauses_the_merchant_and_everything_is_finished",
    "tests/faults/test_cancelling.py::test_f40_p14_four_processes_never_send_more_than_the_limit",
    "tests/actions/test_lanes.py::test_two_workers_fill_a_batchs_share_and_no_click_waits_two_seconds",
    "tests/actions/test_merge_order.py::test_p1_p2_p3_p4_any_order_and_repetition_ends_the_same",
]
# Seconds of the processor that a test may take, and all of one mutant's together: the cheapest are run.
MOST_OF_ONE, MOST_OF_ALL = 5.0, 40.0
# What was measured is kept for as long as nothing has changed.
MEASURED = PROJECT / "var" / "mutants"
LINES, TIMES = MEASURED / "coverage", MEASURED / "times.json"
# Who noticed what, run after run.
ANSWERS = MEASURED / "answers.txt"
CONTROL = -1


def main() -> int:
    """Draw, try, tell; 0 where at least 95 of 100 were noticed."""
    seed = int(os.environ.get("SEED") or 0)
    only = os.environ.get("ONLY") or ""
    files = [file for file in GUARDS if only in file]
    everything = [(file, mutant) for file in files for mutant in mutants_of((PROJECT / file).read_text())]
    count = min(int(os.environ.get("N") or len(everything)), len(everything))
    drawn = random.Random(seed).sample(everything, count)
    print(f"{count} of {len(everything)} mutants of {len(files)} files, seed {seed}", flush=True)
    noticed: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assetpay_admin_mutants_") as folder:
        copy = copied(Path(folder) / "project")
        measure(sorted({test for file in files for test in GUARDS[file]}))
        for file in files:
            mutants = [mutant for where, mutant in drawn if where == file]
            for mutant, by in tried(copy, file, mutants):
                noticed[file] += bool(by)
                change = f"{file}:{mutant.line}: {mutant.before}  ->  {mutant.after}".replace("\n", " ")[:200]
                with ANSWERS.open("a") as told:
                    told.write(f"{change}\t{by}\n")
                if not by:
                    print(f"survived  {change}", flush=True)
            print(f"{file}: {noticed[file]} of {len(mutants)} noticed", flush=True)
    share = 100 * noticed.total() / count
    print(f"{noticed.total()} of {count} noticed ({share:.1f} %) in {time.monotonic() - started:.0f} s, seed {seed}")
    return 0 if share >= 95 else 1


def copied(place: Path) -> Path:
    """The project's files, with the environment beside them."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (PROJECT / name).is_file() and not name.startswith("docs/screens/"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, place / name)
    (place / ".venv").symlink_to(PROJECT / ".venv")
    (place / "databases").mkdir()
    return place


def measure(tests: list[str]) -> None:
    """Know which test runs which lines of the guards, and how long it takes; only what is not known yet is run."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    known = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    at = TIMES.stat().st_mtime if TIMES.exists() else 0
    if any((PROJECT / file).stat().st_mtime > at for file in GUARDS):
        known = {}
        LINES.unlink(missing_ok=True)
        TIMES.unlink(missing_ok=True)
    measured = {name.partition("::")[0] for name in known}
    wanted = [test for test in tests if test not in measured or (PROJECT / test).stat().st_mtime > at]
    if wanted:
        options = [f"--cov={guard.removesuffix('.py').replace('/', '.')}" for guard in GUARDS]
        options += ["--cov-context=test", "--cov-append", "--cov-report="]
        environment = {"COVERAGE_FILE": str(LINES), "MUTATION_TIMES": str(TIMES)}
        if pytest_in(PROJECT, [*options, *wanted], environment).wait():
            sys.exit(f"these tests fail without any change: {' '.join(wanted)}")


def tried(copy: Path, file: str, mutants: list[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with the test that noticed it, or with nothing."""
    data = CoverageData(str(LINES))
    data.read()
    ran = data.contexts_by_lineno(str(PROJECT / file))
    everybody = {context for contexts in ran.values() for context in contexts}
    control = {"number": CONTROL, "tests": cheapest(everybody, GUARDS[file])}
    jobs, alone = [control], []
    for number, mutant in enumerate(mutants):
        contexts = {context for line in mutant.lines for context in ran.get(line, [])}
        job = {"number": number, "file": file, "source": mutant.source, "tests": cheapest(contexts, GUARDS[file])}
        if "" not in contexts:
            jobs.append(job)
        else:
            # What ran while it was imported is there already when the process is forked.
            alone.append(job | {"tests": control["tests"]})
    for number, by in answers(copy, file, jobs):
        if number != CONTROL:
            yield mutants[number], by
        elif by:
            sys.exit(f"without any change {by} fails")
    kept = (copy / file).read_text()
    for job in alone:
        write(copy / file, job.pop("source"))
        # Who cannot even be imported has been noticed.
        told = list(answers(copy, file, [job])) or [(job["number"], "its import")]
        write(copy / file, kept)
        yield mutants[job["number"]], told[0][1]


def cheapest(contexts: set[str], files: list[str]) -> list[str]:
    """The tests of these files in which the lines ran, as far as they are cheap enough, the cheapest first."""
    times = json.loads(TIMES.read_text())
    names = {context.rpartition("|")[0] for context in contexts}
    ours = sorted((times[name], name) for name in names if name in times and name.partition("::")[0] in files)
    found, together = [], 0.0
    for seconds, name in ours:
        together += seconds
        if seconds <= MOST_OF_ONE and together <= MOST_OF_ALL:
            found.append(name)
    return found


def answers(copy: Path, file: str, jobs: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """What `tests.mutation.forks` tells of each job."""
    read, written = os.pipe()
    place = copy / "databases" / "jobs.json"
    place.write_text(json.dumps(jobs))
    environment = {"MUTATION_JOBS": str(place), "MUTATION_ANSWERS": str(written)}
    environment |= {"MUTATION_DATABASE": str(copy / "databases/test.sqlite3")}
    process = pytest_in(copy, [*GUARDS[file]], environment, pass_fds=[written])
    os.close(written)
    with os.fdopen(read) as told:
        yield from map(json.loads, told)
    if process.wait() and len(jobs) > 1:
        sys.exit("not every mutant could be tried")


def pytest_in(
    place: Path, arguments: list[str], environment: dict[str, str], pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """pytest as the mutants need it: one test after the other, as ever the same."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutation.forks", "--reuse-db", *arguments]
    command += [f"--deselect={test}" for test in LEFT_OUT]
    return subprocess.Popen(
        command, cwd=place, env=os.environ | environment, stdout=subprocess.DEVNULL, pass_fds=pass_fds
    )


if __name__ == "__main__":
    sys.exit(main())
