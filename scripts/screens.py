#!/usr/bin/env python
"""Take pictures of every screen and state, light and dark, at 1440 and 390 px, with believable data.

Usage: python scripts/screens.py                      the gallery, docs/screens/
       python scripts/screens.py FOLDER               the same as whole pages, into FOLDER
       python scripts/screens.py FOLDER items trade   only these; anew in the gallery where FOLDER is docs/screens
       python scripts/screens.py FOLDER dark items    in this look only

Works on databases of its own in a temporary folder; needs Chromium and the development tools, and ImageMagick's
`convert`, which packs the pictures to a palette.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
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
# A walk may take longer than a proof of who one is holds.
settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 86_400
django.setup()

from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402 # needs the set-up above
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402 # as above
from django.core.management import call_command  # noqa: E402 # as above
from django.core.servers.basehttp import ThreadedWSGIServer  # noqa: E402 # as above
from django.db import connections  # noqa: E402 # as above
from django.test.testcases import QuietWSGIRequestHandler  # noqa: E402 # as above
from playwright.sync_api import Page, ViewportSize, sync_playwright  # noqa: E402 # as above

from tests.browser.scenery import Scenery, bring_to, make_scenery  # noqa: E402 # as above
from tests.conftest import CHROMIUM_ARGUMENTS  # noqa: E402 # as above
from tests.factories import PASSWORD  # noqa: E402 # as above

KEPT_IN = ROOT / "docs" / "screens"
MOST_BYTES = 8_000_000
LOOKS = {
    "light": (1440, 900, "light"),
    "phone-dark": (390, 844, "dark"),
    "dark": (1440, 900, "dark"),
    "phone-light": (390, 844, "light"),
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


def pack(picture: Path) -> None:
    """To a palette of 40 colours: a quarter of the bytes, and every letter stays."""
    program = shutil.which("convert")
    if program is None:
        raise SystemExit("ImageMagick's `convert` is not here: install the package imagemagick.")
    how = ["+dither", "-colors", "40", "-define", "png:compression-level=9"]
    subprocess.run([program, picture, *how, f"PNG8:{picture}"], check=True)  # noqa: S603 # our own pictures


def walk(
    enter: Callable[[], Page], address: str, scenery: Scenery, target: Path, look: str, only: set[str], *, whole: bool
) -> None:
    """Every screen in one look, each person's in a browser of their own."""

    def keep(page: Page, name: str) -> None:
        picture = target / f"{name}-{look}.png"
        page.screenshot(path=picture, full_page=whole and not name.startswith("dialog"))
        pack(picture)

    if not only or "login" in only:
        page = enter()
        page.goto(f"{address}/accounts/login/")
        keep(page, "login")
    for person, screens in ((scenery.supervisor, scenery.screens()), (scenery.admin, scenery.screens_of_admins())):
        wanted = {name: path for name, path in screens.items() if not only or name in only}
        if not wanted:
            continue
        page = enter()
        log_in(page, address, person)
        for name, path in wanted.items():
            page.goto(address + path)
            bring_to(page, name)
            keep(page, name)
        page.context.close()


def take(look: str, target: Path, only: set[str], *, whole: bool) -> None:
    """One look: its data, which are as old as those of every other and in the same states, and a walk through them."""
    settings.DATABASES["default"]["NAME"] = str(FOLDER / f"{look}.sqlite3")
    shutil.copyfile(FOLDER / "screens.sqlite3", FOLDER / f"{look}.sqlite3")
    scenery = make_scenery()
    address = serve()
    wide, high, theme = LOOKS[look]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGUMENTS
        )

        def enter() -> Page:
            # Nothing half-way: a menu that is still fading in looks like a fault.
            size: ViewportSize = {"width": wide, "height": high}
            context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
            page = context.new_page()
            page.on("console", lambda message: print("console:", message.text))  # noqa: T201 # to be mended
            return page

        walk(enter, address, scenery, target, look, only, whole=whole)
        browser.close()
    print(look)  # noqa: T201 # progress


def main(folder: Path | None, only: set[str]) -> None:
    """A walk for each look, in a process and a database of its own: a screen may leave something behind (a toast's
    request is asked for), and time goes on.
    """
    target = folder or KEPT_IN
    target.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    connections.close_all()
    looks, only = [look for look in LOOKS if look in only] or list(LOOKS), only - LOOKS.keys()
    for look in looks:
        walker = multiprocessing.get_context("fork").Process(
            target=take, args=(look, target, only), kwargs={"whole": target.resolve() != KEPT_IN}
        )
        walker.start()
        walker.join()
        if walker.exitcode:
            raise SystemExit(f"The look “{look}” did not come to its end.")
    shutil.rmtree(FOLDER)
    weight = sum(picture.stat().st_size for picture in KEPT_IN.glob("*.png"))
    if weight > MOST_BYTES:
        raise SystemExit(f"The gallery weighs {weight:,} bytes; {MOST_BYTES:,} is the most.")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None, set(sys.argv[2:]))
