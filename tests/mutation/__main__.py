"""`make mutants`: change the guards one by one, and see whether a test fails.

N=60 draws so many, SEED=7 others, ONLY=refund those of the files in whose names the word stands. It works in a copy of
the project; a change after which every test still passes is a survivor, and is named.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of

PROJECT = Path(__file__).resolve().parents[2]
MERGE = ["tests/models/test_status.py", "tests/actions/test_mirror.py", "tests/actions/test_merge_order.py"]
MERGE += ["tests/faults/test_order.py", "tests/actions/test_audit_replay.py", "tests/actions/test_sightings.py"]
MERGE += ["tests/actions/test_races.py", "tests/faults/test_healing.py", "tests/actions/test_settling.py"]
LEDGER = ["tests/faults/test_money.py", "tests/actions/test_refunds.py", "tests/actions/test_refund_decisions.py"]
LEDGER += ["tests/views/test_refunds.py", "tests/actions/test_invariants.py"]
PERMITS = ["tests/actions/test_lanes.py", "tests/actions/test_sending.py", "tests/actions/test_arming.py"]
PERMITS += ["tests/actions/test_judgement.py", "tests/views/test_items.py", "tests/faults/test_cancelling.py"]
RULES = ["tests/models/test_cancel_rules.py", "tests/actions/test_arming.py", "tests/views/test_items.py"]
RULES += ["tests/views/test_cancel_item.py"]
# What is changed, and the tests that have to notice, those first that notice most.
GUARDS: dict[str, list[str]] = {
    "withdrawals/assetpay/signature.py": ["tests/assetpay/test_signature.py", "tests/faults/test_authenticity.py"],
    "withdrawals/models/status.py": MERGE,
    "withdrawals/actions/projection.py": MERGE,
    "withdrawals/actions/trades.py": [*MERGE, "tests/faults/test_convergence.py"],
    "withdrawals/actions/refunds.py": LEDGER,
    "withdrawals/actions/refund_corrections.py": LEDGER,
    "withdrawals/actions/refund_approvals.py": LEDGER,
    "withdrawals/models/refund_rules.py": LEDGER,
    "withdrawals/models/refund.py": LEDGER,
    "withdrawals/models/send_permit.py": PERMITS,
    "withdrawals/actions/budget.py": PERMITS,
    "withdrawals/models/item.py": RULES,
}
MOST_SECONDS = 600


def main() -> int:
    """Draw, try, tell; 0 where at least 95 of 100 were noticed."""
    seed = int(os.environ.get("SEED") or 0)
    only = os.environ.get("ONLY") or ""
    files = [file for file in GUARDS if only in file]
    everything = [(file, mutant) for file in files for mutant in mutants_of((PROJECT / file).read_text())]
    count = min(int(os.environ.get("N") or len(everything)), len(everything))
    drawn = random.Random(seed).sample(everything, count)
    print(f"{count} of {len(everything)} mutants of {len(files)} files, seed {seed}", flush=True)
    killed: Counter[str] = Counter()
    survivors = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assetpay_admin_mutants_") as folder:
        copy = copied(Path(folder) / "project")
        for tests in {tuple(GUARDS[file]) for file, _ in drawn}:
            if not noticed_nothing(copy, list(tests)):
                print(f"these tests fail without any change: {' '.join(tests)}")
                return 1
        for number, (file, mutant) in enumerate(drawn, start=1):
            if survives(copy, file, mutant):
                survivors.append(f"{file}:{mutant.line}: {mutant.before}  ->  {mutant.after}".replace("\n", " ")[:200])
                print(f"{number}: survived  {survivors[-1]}", flush=True)
            else:
                killed[file] += 1
    share = 100 * killed.total() / count
    took = time.monotonic() - started
    print(f"{killed.total()} of {count} noticed ({share:.1f} %) in {took:.0f} s, seed {seed}: {dict(killed)}")
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


def survives(copy: Path, file: str, mutant: Mutant) -> bool:
    """Whether every test still passes with this change."""
    kept = (copy / file).read_text()
    write(copy / file, mutant.source)
    try:
        return noticed_nothing(copy, GUARDS[file])
    finally:
        write(copy / file, kept)


def write(module: Path, source: str) -> None:
    """Put `source` there and forget what was compiled: a change of like length within the second looks like none."""
    module.write_text(source)
    for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
        compiled.unlink()


def noticed_nothing(copy: Path, tests: list[str]) -> bool:
    """Run them, to the first that fails; whoever hangs has noticed too."""
    # The database is made once: a change of a migration is no mutant here.
    environment = os.environ | {"MUTATION_DATABASE": str(copy / "databases/test.sqlite3")}
    # Hundreds of runs, of which each would compile everything anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--reuse-db"]
    try:
        done = subprocess.run(
            [*command, *tests], cwd=copy, env=environment, capture_output=True, check=False, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
