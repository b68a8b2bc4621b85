"""Every screen, as a screen reader and a strict browser see it."""

from itertools import batched
from math import ceil

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.browser.axe import LOOKS, Axe
from tests.browser.conftest import LogIn
from tests.browser.scenery import Scenery, bring_to
from tests.faults.door import LONG

# Each screen takes seconds: several processes share them.
PARTS = 6


# `make soak` asks axe for everything, as it comes.
@pytest.mark.parametrize("whole", [pytest.param(False, id="fast"), pytest.param(True, id="soak", marks=LONG)])
@pytest.mark.parametrize("part", range(PARTS))
def test_no_screen_shuts_anybody_out(
    page: Page,
    scenery: Scenery,
    log_in: LogIn,
    live_server: LiveServer,
    complaints: list[str],
    axe: Axe,
    whole: bool,
    part: int,
) -> None:
    axe = Axe(whole=True) if whole else axe
    page.goto(f"{live_server.url}/accounts/login/")
    found = axe.objections(page, "login") if part == 0 else []
    log_in(page, scenery.supervisor)
    screens = list(scenery.screens().items())
    narrow, _ = LOOKS["phone and dark"]
    page.set_viewport_size({"width": narrow, "height": 900})

    for name, path in list(batched(screens, ceil(len(screens) / PARTS)))[part]:
        page.goto(live_server.url + path)
        bring_to(page, name)
        # On the narrow screen, where the last look left it: that is how the page was loaded.
        found += [f"{name}: “{entry}” is out of sight" for entry in page.evaluate(OUT_OF_SIGHT)]
        found += axe.objections(page, name)

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
    page: Page, scenery: Scenery, log_in: LogIn, live_server: LiveServer, complaints: list[str], axe: Axe
) -> None:
    log_in(page, scenery.admin)
    found: list[str] = []

    for name, path in scenery.screens_of_admins().items():
        page.goto(live_server.url + path)
        found += axe.objections(page, name)
    page.get_by_role("button", name="Make a one-time link").click()
    page.get_by_role("heading", name="One-time link").wait_for()
    found += axe.objections(page, "one-time link")
    page.goto(f"{live_server.url}/accounts/reauthenticate/")
    found += axe.objections(page, "fresh proof")

    assert found == [], "\n".join(found)


PALE_BUTTON = "<button style='color: #999; background: #fff'>Text</button>"
GREY_ON_GREY = "<p style='color: #777; background: #888'>Grey on grey</p>"


def a_page(*parts: str) -> str:
    return f"<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1>{''.join(parts)}</main></html>"


def test_control_what_could_not_be_judged_on_one_page_is_judged_on_the_next(page: Page) -> None:
    pale, axe = "<p style='color: #999; width: 9em'>Pale text</p>", Axe()
    cover = "<div style='position: absolute; inset: 0; background: url(data:,)'></div>"
    page.set_content(a_page(pale, cover))
    assert [each for each in axe.objections(page, "covered") if "color-contrast" in each] == []

    page.set_content(a_page(pale))

    assert [each for each in axe.objections(page, "open") if "color-contrast" in each] != []


@pytest.mark.parametrize("whole", [False, True])
def test_control_what_shuts_somebody_out_is_found_in_each_look(page: Page, whole: bool) -> None:
    page.set_content(a_page("<button></button>", GREY_ON_GREY, "<p style='width: 2000px'>Wide</p>"))

    found = Axe(whole=whole).objections(page, "a page")

    for look in LOOKS:
        for what in ("button-name", "color-contrast", "px wider than the screen"):
            assert any(look in each and what in each for each in found), (look, what)


@pytest.mark.parametrize(
    "odd",
    [
        "<p style='color: #999'>Text</p>",
        "<p style='background: #333'>Text</p>",
        "<div style='background: #333'><div><p>Text</p></div></div>",
        "<p style='opacity: .3'>Text</p>",
        PALE_BUTTON,
    ],
)
def test_control_a_paler_kind_of_text_among_many_and_on_a_later_page_is_found(page: Page, odd: str) -> None:
    text, axe = "<p>Text</p>", Axe()
    page.set_content(a_page(*[text] * 40, PALE_BUTTON.replace("<button", "<button disabled")))
    assert axe.objections(page, "first") == []

    page.set_content(a_page(*[text] * 20, odd, *[text] * 20))

    assert [each for each in axe.objections(page, "second") if "color-contrast" in each] != []
