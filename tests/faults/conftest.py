"""What every fault test can rely on, and what `make soak` tells of the long ones."""

import logging
from collections.abc import Iterator

import pytest

from tests.faults.door import NOTES

TOLD = "told"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Faults by the thousand: their log lines would fill the report and take most of the time."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Of a long run, keep its size and what it told, also where it failed: a seed brings the failure back."""
    NOTES.clear()
    try:
        return (yield)
    finally:
        if item.get_closest_marker("soak"):
            given = getattr(getattr(item, "callspec", None), "params", {})
            sizes = [f"{name} {value:,}" for name, value in given.items() if type(value) is int]
            item.user_properties.append((TOLD, ", ".join(dict.fromkeys([*sizes, *NOTES]))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each long run: how much, from which seed, how long, and its own figures."""
    runs = [
        (report, told)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, told in report.user_properties
        if name == TOLD
    ]
    if runs:
        terminalreporter.section("what the long runs did")
    for report, told in runs:
        terminalreporter.line(
            f"{report.nodeid.partition('::')[2]}: {report.outcome} in {report.duration:.0f} s, {told}"
        )
