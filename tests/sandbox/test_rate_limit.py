from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sandbox.client import SandboxControl
from sandbox.rules import RateLimit
from tests.sandbox.acting import Caller, key


def test_all_cancel_routes_share_one_limit(control: SandboxControl, caller: Caller) -> None:
    control.switch(cancels_per_minute=3)
    one = control.make_trade(age_seconds=2000)
    other = control.make_trade(age_seconds=2000, source="self", steam_id="76561198000000077")

    first = [
        caller.cancel(one),
        caller.cancel_all(one),
        caller.http.post(f"/secure/buy/{other['id']}/cancel", headers=caller.as_merchant),
    ]
    beyond = caller.cancel(one)

    assert [response.status_code for response in first] == [200, 200, 200]
    assert (beyond.status_code, key(beyond)) == (429, "RATE_LIMITED")
    assert 1 <= int(beyond.headers["retry-after"]) <= 60


def test_the_limit_is_ten_a_minute_and_forgets_after_sixty_seconds(control: SandboxControl, caller: Caller) -> None:
    trade = control.make_trade(age_seconds=2000, supplier="silent")

    statuses = [caller.cancel(trade).status_code for _ in range(11)]
    control.advance(60)

    assert statuses == [200] * 10 + [429]
    assert caller.cancel(trade).status_code == 200


def test_a_call_without_a_valid_token_takes_nothing_from_the_limit(control: SandboxControl, caller: Caller) -> None:
    control.switch(cancels_per_minute=1)
    trade = control.make_trade(age_seconds=2000)

    caller.cancel(trade, headers={"Authorization": "Bearer nonsense"})

    assert caller.cancel(trade).status_code == 200


def test_retry_after_comes_as_a_date_absurd_or_not_at_all(control: SandboxControl, caller: Caller) -> None:
    control.switch(cancels_per_minute=0)
    trade = control.make_trade(age_seconds=2000)

    def header(form: str) -> str | None:
        control.switch(retry_after=form)
        found: str | None = caller.cancel(trade).headers.get("retry-after")
        return found

    date, absurd, none = header("date"), header("absurd"), header("none")
    assert parsedate_to_datetime(date or "") > datetime.now(UTC)
    assert int(absurd or 0) > 365 * 24 * 3600
    assert none is None


def test_no_window_of_sixty_seconds_ever_holds_more_than_the_limit() -> None:
    limit, start = RateLimit(), datetime(2026, 3, 1, tzinfo=UTC)

    admitted = [
        moment for second in range(200) if limit.wait_seconds(moment := start + timedelta(seconds=second), 7) is None
    ]

    for moment in admitted:
        window = [each for each in admitted if moment <= each < moment + timedelta(seconds=60)]
        assert len(window) <= 7
    assert len(admitted) == 28


def test_the_told_wait_is_exactly_long_enough() -> None:
    limit, now = RateLimit(), datetime(2026, 3, 1, tzinfo=UTC)
    limit.wait_seconds(now, 1)

    wait = limit.wait_seconds(now + timedelta(seconds=10), 1)

    assert wait == 50
    assert limit.wait_seconds(now + timedelta(seconds=60), 1) is None
