"""Every screen, as a screen reader and a strict browser see it."""

from itertools import batched
from math import ceil

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.browser.scenery import Scenery, bring_to

LOOKS = {"wide and light": (1440, "light"), "phone and dark": (390, "dark")}
# Each screen takes seconds: several processes share them.
PARTS = 6


@pytest.mark.parametrize("part", range(PARTS))
def test_no_screen_shuts_anybody_out(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str], part: int
) -> None:
    page.goto(f"{live_server.url}/accounts/login/")
    found = objections(page, "login") if part == 0 else []
    log_in(page, scenery.supervisor)
    screens = list(scenery.screens().items())
    narrow, _ = LOOKS["phone and dark"]
    page.set_viewport_size({"width": narrow, "height": 900})

    for name, path in list(batched(screens, ceil(len(screens) / PARTS)))[part]:
        page.goto(live_server.url + path)
        bring_to(page, name)
        # On the narrow screen, where the last look left it: that is how the page was loaded.
        found += [f"{name}: “{entry}” is out of sight" for entry in page.evaluate(OUT_OF_SIGHT)]
        found += objections(page, name)

    assert found == [], "\n".join(found)


# The entries of this page in the rail and among the tabs that a narrow screen does not show.
OUT_OF_SIGHT = """() => {
    const entries = [...document.querySelectorAll('.rail nav [aria-current], .tabs-line [aria-current]')];
    return entries.filter((entry) => {
        const [box, line] = [entry, entry.closest('ul, .tabs-line')].map((each) => each.getBoundingClientRect());
        return box.left < line.left - 1 || box.right > line.right + 1;
    }).map((entry) => entry.textContent.trim());
}"""


def test_no_screen_of_an_admin_shuts_anybody_out(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str]
) -> None:
    log_in(page, scenery.admin)
    found: list[str] = []

    for name, path in scenery.screens_of_admins().items():
        page.goto(live_server.url + path)
        found += objections(page, name)
    page.get_by_role("button", name="Make a one-time link").click()
    page.get_by_role("heading", name="One-time link").wait_for()
    found += objections(page, "one-time link")
    page.goto(f"{live_server.url}/accounts/reauthenticate/")
    found += objections(page, "fresh proof")

    assert found == [], "\n".join(found)


# Without a second look at the style sheets: it would fetch each anew, and no rule that is on reads them.
RUN_AXE = "axe.run({resultTypes: ['violations'], preload: false})"


def objections(page: Page, name: str) -> list[str]:
    """What axe finds on the page as it stands, and what is wider than the screen, in each look; the last one stays."""
    found = []
    page.evaluate(AXE_SCRIPT)
    for look, (width, theme) in LOOKS.items():
        page.set_viewport_size({"width": width, "height": 900})
        # Without motion: halfway between two looks no colour is what it will be.
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type] # Playwright's literals
        found += [
            f"{name}, {look}: {violation['id']} at {node['target']}: {node['html'][:160]}"
            for violation in page.evaluate(RUN_AXE)["violations"]
            for node in violation["nodes"]
        ]
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{name}, {look}: {overflow} px wider than the screen")
    return found


def test_control_what_shuts_somebody_out_is_found_in_each_look(page: Page) -> None:
    page.set_content(
        "<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1><button></button>"
        "<p style='color: #777; background: #888; width: 2000px'>Grey on grey</p></main></html>"
    )

    found = objections(page, "a page")

    for look in LOOKS:
        for what in ("button-name", "color-contrast", "px wider than the screen"):
            assert any(look in each and what in each for each in found), (look, what)
