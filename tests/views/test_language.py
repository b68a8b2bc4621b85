"""Everybody reads in their own language and time zone; what is kept stays as it is (F86)."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from tests.browser.scenery import Scenery, make_scenery
from tests.pseudo import LANGUAGE, OPEN, mark_libraries, untranslated, write_catalogue
from tests.views.conftest import LogIn
from tests.views.reading import text
from withdrawals.models import Item, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def pseudo(settings: LazySettings, tmp_path: Path) -> None:
    """The language that nobody speaks is here."""
    write_catalogue(tmp_path)
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), (LANGUAGE, "⟦Nobody's⟧")]
    mark_libraries()


@pytest.fixture
def scenery() -> Scenery:
    """A desk in the middle of its day."""
    return make_scenery()


def names() -> frozenset[str]:
    """What items are called, which is data wherever it stands."""
    return frozenset(item.title for item in Item.objects.all()) | frozenset(
        Item.objects.values_list("assetpay_id", flat=True)
    )


def test_every_text_of_every_screen_can_be_translated(pseudo: None, scenery: Scenery, log_in: LogIn) -> None:
    User.objects.update(language=LANGUAGE)
    found = {}

    for email, screens in ((scenery.supervisor, scenery.screens()), (scenery.admin, scenery.screens_of_admins())):
        browser = log_in(User.objects.get(email=email))
        for name, path in screens.items():
            page = text(browser.get(path))
            assert OPEN in page, f"{name} is not in the language that was chosen"
            if left := untranslated(page, names()):
                found[name] = left

    assert found == {}, "\n".join(f"{name}: {line}" for name, lines in found.items() for line in dict.fromkeys(lines))
