"""The clock: right whatever the browser believes, never negative, and told to whoever cannot see it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.desk import deliver, item_of, news
from tests.factories import ItemFactory, TradeFactory, UserFactory, ago
from tests.wire import NOON, stamp
from withdrawals.models import Item, Role, Trade

WINDOW = timedelta(minutes=30)


def item_ready_in(seconds: float) -> Item:
    return ItemFactory(trade=TradeFactory(opened_at=ago(seconds=WINDOW.total_seconds() - seconds)))


def shown_seconds(page: Page) -> int:
    text = page.locator("time.countdown").inner_text()
    minutes, seconds = re.fullmatch(r"in (\d+):(\d\d)", text).groups()  # type: ignore[union-attr] # else the test fails
    return int(minutes) * 60 + int(seconds)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_browser_clock_twenty_minutes_off_changes_nothing(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str], minutes: int
) -> None:
    page.add_init_script(f"const right = Date.now; Date.now = () => right() + {minutes} * 60 * 1000;")
    log_in(page, UserFactory().email)
    item = item_ready_in(12)
    page.goto(f"{live_server.url}/items/?tab=soon")

    left = (item.opened_at + WINDOW - ago(seconds=0)).total_seconds()
    assert abs(shown_seconds(page) - left) <= 1.5

    button = page.locator(f"#item-{item.pk}").get_by_role("button", name="Cancel item")
    seen = page.evaluate_handle(
        """() => { const seen = []; const look = () => document.querySelectorAll('time.countdown').forEach(
            (time) => seen.push(time.textContent)); setInterval(look, 50); return seen; }"""
    )
    expect(button).to_be_enabled(timeout=15_000)
    # From the server's moment on: one second to flip, and what this machine needs to answer.
    late = (ago(seconds=0) - (item.opened_at + WINDOW)).total_seconds()
    assert late < 3
    assert [text for text in seen.json_value() if "-" in text or "00:00" in text] == []


def test_after_an_hour_asleep_the_page_asks_the_server(
    page: Page, live_server: LiveServer, transactional_db: None, log_in: LogIn, complaints: list[str]
) -> None:
    log_in(page, UserFactory().email)
    item = item_ready_in(20 * 60)
    page.goto(f"{live_server.url}/items/?tab=soon")
    button = page.locator(f"#item-{item.pk}").get_by_role("button", name="Cancel item")
    expect(button).to_be_disabled()

    # While the lid was shut the steady counter stood still and an hour went by outside.
    Trade.objects.filter(pk=item.trade_id).update(opened_at=item.trade.opened_at - timedelta(hours=1))
    Item.objects.filter(pk=item.pk).update(opened_at=item.opened_at - timedelta(hours=1))
    page.route("**/now/", lambda route: route.fulfill(body=(ago(hours=-1)).isoformat(), content_type="text/plain"))
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")

    expect(button).to_be_enabled()
    expect(page.locator("time.countdown")).to_have_count(0)


@pytest.mark.parametrize(("seconds", "words"), [(302, "5 min"), (62, "1 min"), (3, "can be cancelled now")])
def test_five_minutes_one_minute_and_ready_are_spoken_once(
    page: Page,
    live_server: LiveServer,
    transactional_db: None,
    log_in: LogIn,
    complaints: list[str],
    seconds: int,
    words: str,
) -> None:
    log_in(page, UserFactory().email)
    item_ready_in(seconds + 3)
    page.goto(f"{live_server.url}/items/?tab=soon")
    spoken = page.evaluate_handle(
        """() => { const spoken = []; const voice = document.getElementById('spoken');
            new MutationObserver(() => spoken.push(voice.textContent)).observe(voice, { childList: true });
            return spoken; }"""
    )

    expect(page.locator("#spoken")).to_contain_text(words, timeout=12_000)
    page.wait_for_timeout(1_500)

    assert [text for text in spoken.json_value() if words in text] == [page.locator("#spoken").inner_text()]


def test_times_stand_in_the_zone_of_the_browser_unless_a_person_chose_one(
    new_context: Callable[..., BrowserContext], live_server: LiveServer, transactional_db: None, log_in: LogIn
) -> None:
    deliver(news())
    trade = item_of().trade
    page = new_context(timezone_id="Asia/Tokyo").new_page()
    log_in(page, UserFactory(role=Role.SUPERVISOR).email)

    def at(moment: datetime) -> str:
        return f"{moment.astimezone(ZoneInfo('Asia/Tokyo')):%H:%M:%S} GMT+9"

    page.goto(f"{live_server.url}/trades/{trade.pk}/")
    facts = page.locator("[data-live-part=facts]")
    expect(facts).to_contain_text(at(trade.opened_at))
    expect(facts.locator("time[data-relative]").first).to_have_attribute("title", re.compile("GMT\\+9"))
    # What comes later, by itself, too.
    deliver(news(status="active", updatedAt=stamp(NOON + timedelta(minutes=7))))
    expect(facts).to_contain_text(at(NOON + timedelta(minutes=7)), timeout=12_000)
    # The log says in which zone it speaks.
    page.goto(f"{live_server.url}/audit/")
    expect(page.locator("[data-live-rows] time").first).not_to_contain_text("GMT+9")

    chosen = new_context(timezone_id="Asia/Tokyo").new_page()
    log_in(chosen, UserFactory(time_zone="Europe/Lisbon").email)
    chosen.goto(f"{live_server.url}/trades/{trade.pk}/")
    expect(chosen.locator("[data-live-part=facts]")).not_to_contain_text("GMT+9")
    unscripted = new_context(timezone_id="Asia/Tokyo", java_script_enabled=False).new_page()
    log_in(unscripted, UserFactory().email)
    unscripted.goto(f"{live_server.url}/trades/{trade.pk}/")
    expect(unscripted.locator("[data-live-part=facts]")).to_contain_text("UTC")
