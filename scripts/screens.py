#!/usr/bin/env python
"""Take the pictures in docs/screens/: every screen, light and dark, at 1440 and 390 px, with believable data.

Usage: python scripts/screens.py [NAME…]     (NAMEs: only these screens)

Works on a database of its own in a temporary folder; needs Chromium and the development tools.
"""

import os
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FOLDER = Path(tempfile.mkdtemp(prefix="assetpay_screens_"))
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "tests.settings",
    "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
}
import tests.settings as test_settings  # noqa: E402, F401 # fixes the environment before Django reads it

os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER / 'screens.sqlite3'}"

import django  # noqa: E402 # as above
from django.conf import settings  # noqa: E402 # as above

settings.DATABASES["default"]["NAME"] = str(FOLDER / "screens.sqlite3")
settings.DEBUG = False
settings.DEMO = True
django.setup()

from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402 # needs the set-up above
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 # as above
from django.core.servers.basehttp import ThreadedWSGIServer  # noqa: E402 # as above
from django.test.testcases import QuietWSGIRequestHandler  # noqa: E402 # as above
from django.core.management import call_command  # noqa: E402 # as above
from playwright.sync_api import Page, sync_playwright  # noqa: E402 # as above

from tests.browser.scenery import Scenery, make_scenery  # noqa: E402 # as above
from tests.conftest import CHROMIUM_ARGUMENTS  # noqa: E402 # as above
from tests.factories import PASSWORD  # noqa: E402 # as above

TARGET = ROOT / "docs" / "screens"
WIDTHS = {"wide": (1440, 900), "phone": (390, 844)}


def serve() -> str:
    """Start the desk on a free port; its address."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietWSGIRequestHandler)
    server.set_app(StaticFilesHandler(WSGIHandler()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def log_in(page: Page, address: str, email: str) -> None:
    """Through the form, as anybody does."""
    page.goto(f"{address}/accounts/login/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/")


def take(page: Page, address: str, scenery: Scenery, wanted: list[str], look: str) -> None:
    """One picture of each wanted screen."""
    for name, path in scenery.screens().items():
        if wanted and name not in wanted:
            continue
        page.goto(address + path)
        if name.startswith("dialog"):
            button = "Confirm refund" if "refund" in name else "Cancel item"
            page.locator("button:enabled", has_text=button).first.click()
            page.locator("dialog[open]").wait_for()
        page.screenshot(path=TARGET / f"{name}-{look}.png", full_page=not name.startswith("dialog"))
        print(name, look)  # noqa: T201 # progress


def main(wanted: list[str]) -> None:
    """Make the data, then walk."""
    call_command("migrate", verbosity=0)
    scenery = make_scenery()
    address = serve()
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGUMENTS
        )
        for width, (wide, high) in WIDTHS.items():
            for theme in ("light", "dark"):
                context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
                page = context.new_page()
                page.on("console", lambda message: print("console:", message.text))  # noqa: T201 # to be mended
                if not wanted or "login" in wanted:
                    page.goto(f"{address}/accounts/login/")
                    page.screenshot(path=TARGET / f"login-{width}-{theme}.png")
                log_in(page, address, scenery.supervisor)
                take(page, address, scenery, wanted, f"{width}-{theme}")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
