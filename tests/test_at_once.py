"""`make test` runs both databases' parts at once; its end and its exit status tell what became of them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

AT_ONCE = [sys.executable, str(Path(__file__).resolve().parents[1] / "scripts/at_once.py")]


def run(first: str, second: str) -> subprocess.CompletedProcess[str]:
    command = [*AT_ONCE, "sh", "-c", first, "--and", "sh", "-c", second]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_each_is_shown_as_a_whole_and_well_is_what_all_are() -> None:
    ended = run("echo one; sleep 0.2; echo one ends", "echo two >&2; sleep 0.1; echo two ends")

    assert (ended.stdout, ended.stderr) == ("one\none ends\ntwo\ntwo ends\n", "")
    assert ended.returncode == 0


def test_one_that_failed_is_shown_last_and_gives_the_exit_status() -> None:
    first, second = run("echo red; exit 3", "exec sleep 50"), run("echo green", "echo red; exit 4")

    assert (first.stdout, first.returncode) == ("red\n", 3)
    assert (second.stdout, second.returncode) == ("green\nred\n", 4)
    assert run("true", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_stopped_from_outside_it_stops_all(tmp_path: Path) -> None:
    program = "trap 'touch $0.ended; exit' TERM; touch $0.begun; while true; do sleep 0.05; done"
    commands = ["sh", "-c", program, f"{tmp_path}/one", "--and", "sh", "-c", program, f"{tmp_path}/two"]
    with subprocess.Popen([*AT_ONCE, *commands]) as process:
        while len(list(tmp_path.glob("*.begun"))) < 2:
            time.sleep(0.05)
        process.terminate()

    assert process.returncode == 128 + signal.SIGTERM
    assert len(list(tmp_path.glob("*.ended"))) == 2
