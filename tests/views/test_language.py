"""Everybody reads in their own language and time zone; what is kept stays in English and in UTC."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.db import models
from django.test import Client
from django.utils import timezone, translation

from scripts import messages
from tests.browser.scenery import Scenery, make_scenery
from tests.factories import ItemFactory, UserFactory
from tests.pseudo import LANGUAGE, OPEN, mark_libraries, marked_text, untranslated, write_catalogue
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import AuditEntry, BatchItem, Cancellation, Item, Role, User
from withdrawals.templatetags.desk import usd
from withdrawals.views.script_words import SCRIPT_WORDS

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

SCRIPTS = Path(__file__).resolve().parents[2] / "static" / "js"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once: every text of the source is gathered for it."""
    folder = tmp_path_factory.mktemp("locale")
    write_catalogue(folder)
    return folder


@pytest.fixture
def pseudo(settings: LazySettings, catalogue: Path) -> None:
    """The language that nobody speaks is here."""
    settings.LOCALE_PATHS = [catalogue]
    settings.LANGUAGES = [("en", "English"), (LANGUAGE, "⟦Nobody's⟧")]
    mark_libraries()


@pytest.fixture
def scenery() -> Scenery:
    """A desk in the middle of its day."""
    return make_scenery()


def data() -> frozenset[str]:
    """What stands on a screen as it is in the tables: names, ids, and kept sentences that tell a name or a time."""
    items = Item.objects.all()
    kept = {text for columns in KEPT for text in columns[0].objects.values_list(columns[1], flat=True) if text}
    fixed = {message.id for message in messages.gathered()}
    return frozenset({item.title for item in items} | {item.assetpay_id for item in items} | (kept - fixed))


KEPT: tuple[tuple[Any, str], ...] = (
    (Cancellation, "waits_for"),
    (Cancellation, "ended_because"),
    (Cancellation, "needs_person"),
    (BatchItem, "excluded_because"),
)


def kept_texts() -> Iterator[str]:
    """Every text in every table of ours."""
    for model in apps.get_app_config("withdrawals").get_models():
        names = [
            field.attname
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField)
        ]
        for values in model._default_manager.values_list(*names) if names else ():
            yield from (str(value) for value in values)


def test_every_text_of_every_screen_can_be_translated(pseudo: None, scenery: Scenery, log_in: LogIn) -> None:
    User.objects.update(language=LANGUAGE)
    known, found = data(), {}

    for email, screens in ((scenery.supervisor, scenery.screens()), (scenery.admin, scenery.screens_of_admins())):
        browser = log_in(User.objects.get(email=email))
        for name, path in {**screens, "preferences": "/preferences/", "alarms": "/alarms/"}.items():
            page = text(browser.get(path))
            assert OPEN in page, f"{name} is not in the language that was chosen"
            if left := untranslated(page, known):
                found[name] = left

    assert found == {}, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in dict.fromkeys(lines))


def test_a_text_that_is_in_no_catalogue_is_found() -> None:
    page = f"<p title='x'>{marked_text('by <bdi>Ann</bdi>, late')} <b>12 s</b></p><p>Forgotten <code>x</code></p>"

    assert untranslated(page) == ["<b> 12 s", "<p> Forgotten"]
    assert untranslated("<input placeholder='Any id'>") == ["placeholder=Any id"]


def test_the_catalogue_holds_every_text_and_nothing_else() -> None:
    assert messages.main(["--check"]) == 0


def test_what_scripts_say_comes_with_the_page(pseudo: None, log_in: LogIn) -> None:
    asked = {
        words
        for script in SCRIPTS.glob("*.js")
        for words in re.findall(r"\bt\('([^']+)'|'(\{count\} \w+)'", script.read_text())
        for words in words
        if words
    }

    page = text(log_in(UserFactory(language=LANGUAGE)).get("/"))

    assert asked == set(SCRIPT_WORDS)
    assert "⟦Copied⟧" in page
    assert "data-words" not in text(log_in(UserFactory()).get("/"))


def test_what_is_kept_is_english_whoever_is_at_the_desk(pseudo: None, log_in: LogIn) -> None:
    browser = log_in(UserFactory(role=Role.SUPERVISOR, language=LANGUAGE))
    old, young = ItemFactory(), ItemFactory(trade__opened_at=timezone.now() - timedelta(minutes=2))
    ended = ItemFactory(status="completed")
    asked = {"reason": "Customer asked", "note": ""}

    browser.post(f"/items/{old.pk}/cancel/", {**asked, "number": 1})
    browser.post(f"/items/{young.pk}/arm/", {**asked, "number": 1})
    browser.post("/batches/", {"item": [old.pk, ended.pk], "next": "/items/"})
    browser.post("/batches/", {"scope": "matching", "tab": "all", "q": "", "next": "/items/"})
    browser.post(f"/cancellations/{Cancellation.objects.get(item=old).pk}/undo/")
    browser.post("/views/", {"saved_list": "item_list", "name": "Mine", "query": "tab=soon"})
    browser.get("/people/")

    kept = list(kept_texts())
    assert {"cancellation.requested", "cancellation.armed", "batch.drafted", "view.saved", "access.denied"} <= set(kept)
    assert BatchItem.objects.exclude(excluded_because="").exists()
    assert [words for words in kept if OPEN in words] == []


def test_a_person_chooses_language_and_zone_once(log_in: LogIn, settings: LazySettings, pseudo: None) -> None:
    person = UserFactory()
    browser = log_in(person)

    answer = browser.post("/preferences/", {"language": LANGUAGE, "time_zone": "Asia/Tokyo"}, follow=True)
    browser.post("/preferences/", {"language": LANGUAGE, "time_zone": "Asia/Tokyo"})

    person.refresh_from_db()
    assert (person.language, person.time_zone) == (LANGUAGE, "Asia/Tokyo")
    assert f'<html lang="{LANGUAGE}" data-zone="Asia/Tokyo"' in text(answer)
    assert "⟦Language and time⟧" in text(answer)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after) == (
        "person.display_chosen",
        {"language": LANGUAGE, "time_zone": "Asia/Tokyo"},
    )


@pytest.mark.parametrize("typed", [{"time_zone": "Mars/Olympus"}, {"time_zone": "../etc/passwd"}, {"language": "tlh"}])
def test_what_is_not_here_is_refused(log_in: LogIn, typed: dict[str, str]) -> None:
    person = UserFactory()

    answer = log_in(person).post("/preferences/", typed)

    person.refresh_from_db()
    assert answer.status_code == 422
    assert (person.language, person.time_zone) == ("", "")
    assert not AuditEntry.objects.exists()


def test_times_are_in_the_persons_zone_and_say_so(log_in: LogIn) -> None:
    noon = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    trade = ItemFactory(trade__opened_at=noon).trade
    pages = {
        zone: text(log_in(UserFactory(time_zone=zone)).get(f"/trades/{trade.pk}/"))
        for zone in ("", "Europe/Lisbon", "Asia/Tokyo", "Asia/Dubai", "Gone/Away")
    }

    assert "05 Jan 2026 12:00:00 UTC" in pages[""]
    assert "05 Jan 2026 12:00:00 WET" in pages["Europe/Lisbon"]
    assert "05 Jan 2026 21:00:00 JST" in pages["Asia/Tokyo"]
    assert "05 Jan 2026 16:00:00 UTC+04" in pages["Asia/Dubai"]
    assert "05 Jan 2026 12:00:00 UTC" in pages["Gone/Away"]
    assert all('datetime="2026-01-05T12:00:00.000+00:00"' in page for page in pages.values())


@pytest.mark.parametrize(
    ("language", "whole", "parts"),
    [
        ("en", "$1,234.50", "$0.4725"),
        ("de", "1.234,50\xa0$", "0,4725\xa0$"),
        ("pt-br", "US$\xa01.234,50", "US$\xa00,4725"),
        (LANGUAGE, "$1,234.50", "$0.4725"),
    ],
)
def test_money_is_written_as_its_reader_writes_it(language: str, whole: str, parts: str) -> None:
    with translation.override(language):
        assert (usd(Decimal("1234.5")), usd(Decimal("0.4725"))) == (whole, parts)


def test_exports_stay_in_english_and_utc(pseudo: None, log_in: LogIn) -> None:
    noon = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    ItemFactory(trade__opened_at=noon)
    plain = log_in(UserFactory(role=Role.SUPERVISOR))
    elsewhere = log_in(UserFactory(role=Role.SUPERVISOR, language=LANGUAGE, time_zone="Asia/Tokyo"))

    one, other = (
        b"".join(browser.get("/items/export.csv?tab=all").streaming_content)  # type: ignore[attr-defined] # streamed
        for browser in (plain, elsewhere)
    )

    assert one == other
    assert b"2026-01-05T12:00:00" in one


def test_without_a_choice_the_browser_is_asked(pseudo: None, log_in: LogIn) -> None:
    person = UserFactory()
    Client().get("/accounts/login/")

    theirs = log_in(person).get("/", headers={"Accept-Language": "xx, en;q=0.5"})
    unknown = log_in(person).get("/", headers={"Accept-Language": "tlh"})
    at_login = Client().get("/accounts/login/", headers={"Accept-Language": "xx"})

    assert [answer.headers["Content-Language"] for answer in (theirs, unknown, at_login)] == [LANGUAGE, "en", LANGUAGE]
    assert "⟦Overview⟧" in text(theirs)
    assert "⟦Log in⟧" in text(at_login)
    assert "Accept-Language" in theirs.headers["Vary"]
    assert translation.get_language() == "en"
    assert timezone.get_current_timezone_name() == "UTC"
