"""Which status wins: by what it is and when AssetPay reported it, never by when it reached us."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from tests.wire import NOON
from withdrawals.models.status import Status, status_class, status_weight

EARLIER, LATER = NOON, NOON + timedelta(seconds=1)


@pytest.mark.parametrize("ended", ["failed", "declined", "canceled", "completed", "reverted"])
@pytest.mark.parametrize("still_open", ["initiated", "pending", "active", "hold", "frozen"])
def test_an_end_beats_every_open_status_however_late_that_is_reported(ended: str, still_open: str) -> None:
    assert status_weight(ended, EARLIER) > status_weight(still_open, LATER)


@pytest.mark.parametrize("ended", ["failed", "declined", "canceled", "completed"])
def test_a_reversal_beats_every_other_end(ended: str) -> None:
    assert status_weight("reverted", EARLIER) > status_weight(ended, LATER)


def test_between_open_statuses_the_later_report_wins() -> None:
    assert status_weight("pending", LATER) > status_weight("active", EARLIER)


def test_at_the_same_moment_the_further_status_wins() -> None:
    assert status_weight("hold", NOON) > status_weight("active", NOON)


def test_at_the_same_moment_delivered_beats_every_undelivered_end() -> None:
    assert all(
        status_weight("completed", NOON) > status_weight(end, NOON) for end in ("failed", "declined", "canceled")
    )


def test_a_report_without_a_time_never_beats_one_with_a_time() -> None:
    assert status_weight("pending", EARLIER) > status_weight("hold", None)


def test_even_the_earliest_time_beats_none() -> None:
    earliest = datetime(1, 1, 1, microsecond=1, tzinfo=UTC)

    assert status_weight("pending", earliest) > status_weight("hold", None)


def test_the_classes_are_three() -> None:
    classes = {status: status_class(status) for status in Status}

    assert {status for status, rank in classes.items() if rank == 0} == {"initiated", "pending", "active", "hold"}
    assert {status for status, rank in classes.items() if rank == 1} == {"failed", "declined", "canceled", "completed"}
    assert {status for status, rank in classes.items() if rank == 2} == {"reverted"}


def test_a_status_that_nobody_documented_changes_nothing() -> None:
    assert status_weight("pending", EARLIER) > status_weight("frozen", LATER)
    assert status_class("frozen") == 0


def test_no_two_statuses_weigh_the_same() -> None:
    weights = [status_weight(status, NOON) for status in [*Status.values, "frozen", "melted"]]

    assert len(set(weights)) == len(weights)
    assert all(left != right for left, right in permutations(weights, 2))
