#!/usr/bin/env python
"""Take pictures of the screens, light and dark, at 1440 and 390 px, with believable data.

Usage: python scripts/screens.py             the pictures kept in docs/screens/
       python scripts/screens.py FOLDER      all screens, whole pages, into FOLDER

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
from django.core.management import call_command  # noqa: E402 # as above
from django.core.servers.basehttp import ThreadedWSGIServer  # noqa: E402 # as above
from django.test.testcases import QuietWSGIRequestHandler  # noqa: E402 # as above
from playwright.sync_api import Page, sync_playwright  # noqa: E402 # as above

from tests.browser.scenery import OPENERS, make_scenery  # noqa: E402 # as above
from tests.conftest import CHROMIUM_ARGUMENTS  # noqa: E402 # as above
from tests.factories import PASSWORD  # noqa: E402 # as above

KEPT_IN = ROOT / "docs" / "screens"
KEPT = {
    "login", "overview", "items", "dialog-cancel", "dialog-arm", "trade", "refunds", "dialog-refund", "audit",
    "batch-preview", "batch", "sending", "cancellations-stuck",
}  # fmt: skip
LOOKS = {
    "light": (1440, 900, "light"),
    "dark": (1440, 900, "dark"),
    "phone-light": (390, 844, "light"),
    "phone-dark": (390, 844, "dark"),
}


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


def show(page: Page, address: str, name: str, path: str) -> None:
    """Go to a screen; a dialog is opened from its list."""
    page.goto(address + path)
    if name in OPENERS:
        page.locator("button:enabled", has_text=OPENERS[name]).first.click()
        page.locator("dialog[open]").wait_for()


def main(folder: Path | None) -> None:
    """Make the data, then walk."""
    target = folder or KEPT_IN
    target.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    scenery = make_scenery()
    address = serve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGUMENTS
        )
        for look, (wide, high, theme) in LOOKS.items():
            if folder is None and look == "phone-dark":
                continue
            context = browser.new_context(viewport={"width": wide, "height": high}, color_scheme=theme)
            page = context.new_page()
            page.on("console", lambda message: print("console:", message.text))  # noqa: T201 # to be mended
            page.goto(f"{address}/accounts/login/")
            page.screenshot(path=target / f"login-{look}.png")
            log_in(page, address, scenery.supervisor)
            for name, path in scenery.screens().items():
                if folder is not None or name in KEPT:
                    show(page, address, name, path)
                    whole = folder is not None and not name.startswith("dialog")
                    page.screenshot(path=target / f"{name}-{look}.png", full_page=whole)
            print(look)  # noqa: T201 # progress
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
