"""A pytest plugin: the tests are collected once, and each mutant is tried in a fork of the process that did.

MUTATION_JOBS names a file with what to try; the answers go, a line of JSON for each job, to the file descriptor
MUTATION_ANSWERS: the test that noticed, or nothing. With MUTATION_TIMES the tests run as ever instead, and what each of
them takes goes into that file.
"""

import gc
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from _pytest.main import pytest_runtestloop as run_items
from _pytest.runner import runtestprotocol
from django.db import connections

# Seconds of the processor, and of the clock for what waits for ever.
MOST_SECONDS = 120
LONGEST_WAIT = 1800
SURVIVED, NOTICED, BROKEN = range(3)
times: dict[str, float] = {}
failed: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Measure what a test takes of the processor, whoever else is at work on the machine.

    Each has its statements written anew: the lines that write them would not run where an earlier one had them written.
    """
    if prepared := sys.modules.get("withdrawals.models.prepared"):
        prepared._written.cache_clear()
    started = time.process_time()
    try:
        return (yield)
    finally:
        times[item.nodeid] = time.process_time() - started


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep who failed."""
    if report.failed:
        failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Add what was measured to what is known."""
    if "MUTATION_TIMES" in os.environ:
        place = Path(os.environ["MUTATION_TIMES"])
        known = json.loads(place.read_text()) if place.exists() else {}
        place.write_text(json.dumps(known | times))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Try job after job, and run nothing else."""
    if "MUTATION_JOBS" not in os.environ or session.testsfailed:
        return None
    # One test makes the database for all; what belongs to the whole session stands, and is there in each fork.
    for first in [item for item in session.items if item.get_closest_marker("django_db")][:1]:
        runtestprotocol(first, nextitem=session, log=False)  # type: ignore[arg-type] # what is needed next: no module
    connections.close_all()
    database = Path(os.environ["MUTATION_DATABASE"])
    clean = database.with_suffix(".clean")
    if database.exists():
        shutil.copy2(database, clean)
    items = {item.nodeid: item for item in session.items}
    kills: Counter[str] = Counter()
    for job in json.loads(Path(os.environ["MUTATION_JOBS"]).read_text()):
        for left in database.parent.glob(f"{database.name}*"):
            left.unlink()
        if clean.exists():
            shutil.copy2(clean, database)
        # Who noticed much before is asked first.
        session.items = [items[test] for test in sorted(job["tests"], key=lambda name: -kills[name])]
        kept = Path(job["file"]).read_text() if "source" in job else ""
        if kept:
            # For the processes that a test starts.
            write(Path(job["file"]), job["source"])
        answer = tried(session, job, kept)
        if kept:
            write(Path(job["file"]), kept)
        kills.update([answer] if answer else [])
        os.write(int(os.environ["MUTATION_ANSWERS"]), json.dumps([job["number"], answer]).encode() + b"\n")
    session.items = []
    return True


def tried(session: pytest.Session, job: dict[str, Any], kept: str) -> str:
    """Which test noticed; empty where none did."""
    read, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        code = BROKEN
        try:
            code = try_here(session, job, kept, out)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    os.close(out)
    until = time.monotonic() + LONGEST_WAIT
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        # What a test started and did not end.
        os.killpg(child, signal.SIGKILL)
    with os.fdopen(read) as told:
        noticed = told.read()
    if os.WIFSIGNALED(ended[1]):
        return f"signal {os.WTERMSIG(ended[1])}"
    if os.WEXITSTATUS(ended[1]) == BROKEN:
        raise RuntimeError(f"job {job['number']} could not be tried")
    return noticed if os.WEXITSTATUS(ended[1]) == NOTICED else ""


def try_here(session: pytest.Session, job: dict[str, Any], kept: str, out: int) -> int:
    """In the fork: put the mutant in place and run its tests to the first that fails."""
    # A loop without an end is ended: who hangs has noticed too.
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    if kept:
        exchange(Path(job["file"]).resolve(), kept, job["source"])
    failed.clear()
    session.config.option.maxfail = 1
    with suppress(session.Failed):
        run_items(session)
    if not session.testsfailed:
        return SURVIVED
    os.write(out, failed[0].encode())
    return NOTICED


def exchange(module: Path, kept: str, source: str) -> None:
    """Give every function of this module that exists, whoever holds it, the code that the mutant has in its place.

    What ran on importing cannot be changed so.
    """
    before, after = codes(kept, module), codes(source, module)
    found = set()
    # Whom the collector has been told to leave alone (tests/conftest.py) it does not list either.
    gc.unfreeze()
    for function in gc.get_objects():
        # `isinstance` would ask a lazy object what it stands for, and so make it.
        if type(function) is FunctionType and function.__code__.co_filename == str(module):
            name = function.__code__.co_qualname
            if name in after:
                function.__code__ = after[name]
                found.add(name)
    if found != before.keys():
        raise RuntimeError(f"nobody holds {before.keys() - found}")


def write(module: Path, source: str) -> None:
    """Put `source` there and forget what was compiled: a change of like length within the second looks like none."""
    module.write_text(source)
    for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
        compiled.unlink()


def codes(source: str, module: Path) -> dict[str, CodeType]:
    """The code of each function and method of a module; those within come with the one that they are in."""
    found: dict[str, CodeType] = {}
    waiting = [compile(source, str(module), "exec")]
    while waiting:
        for part in waiting.pop().co_consts:
            if not isinstance(part, CodeType):
                continue
            if part.co_flags & 0x0002:  # a function's own names: no class
                assert part.co_qualname not in found, f"two are called {part.co_qualname}"
                found[part.co_qualname] = part
            else:
                waiting.append(part)
    return found
