"""Every screen, as a screen reader and a strict browser see it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.conftest import LogIn
from tests.browser.scenery import Scenery, bring_to

LOOKS = {"wide and light": (1440, "light"), "phone and dark": (390, "dark")}


@pytest.mark.parametrize("look", LOOKS)
def test_no_screen_shuts_anybody_out(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str], look: str
) -> None:
    width, theme = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # one of Playwright's literals
    page.goto(f"{live_server.url}/accounts/login/")
    found = violations(page, "login")
    log_in(page, scenery.supervisor)

    for name, path in scenery.screens().items():
        page.goto(live_server.url + path)
        bring_to(page, name)
        found += violations(page, name)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{name}: {overflow} px wider than the screen")
        found += [f"{name}: “{entry}” is out of sight" for entry in page.evaluate(OUT_OF_SIGHT)]

    assert found == [], "\n".join(found)


# The entries of this page in the rail and among the tabs that a narrow screen does not show.
OUT_OF_SIGHT = """() => {
    const entries = [...document.querySelectorAll('.rail nav [aria-current], .tabs-line [aria-current]')];
    return entries.filter((entry) => {
        const [box, line] = [entry, entry.closest('ul, .tabs-line')].map((each) => each.getBoundingClientRect());
        return box.left < line.left - 1 || box.right > line.right + 1;
    }).map((entry) => entry.textContent.trim());
}"""


@pytest.mark.parametrize("look", LOOKS)
def test_no_screen_of_an_admin_shuts_anybody_out(
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str], look: str
) -> None:
    width, theme = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # one of Playwright's literals
    log_in(page, scenery.admin)
    found: list[str] = []

    for name, path in scenery.screens_of_admins().items():
        page.goto(live_server.url + path)
        found += violations(page, name)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{name}: {overflow} px wider than the screen")
    page.get_by_role("button", name="Make a one-time link").click()
    page.get_by_role("heading", name="One-time link").wait_for()
    found += violations(page, "one-time link")
    page.goto(f"{live_server.url}/accounts/reauthenticate/")
    found += violations(page, "fresh proof")

    assert found == [], "\n".join(found)


def violations(page: Page, name: str) -> list[str]:
    """What axe finds on the page as it stands."""
    return [
        f"{name}: {violation['id']} at {node['target']}: {node['html'][:160]}"
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
    ]
