"""`.env.example` lists every setting, and no other."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_database

PROJECT = Path(__file__).resolve().parent.parent
# What the scripts read, or what says where the file itself lies.
NOT_OF_THE_SETTINGS_FILE: set[str] = set()


def test_the_example_lists_every_setting_that_is_read() -> None:
    source = (PROJECT / "assetpay_admin" / "settings.py").read_text()
    example = (PROJECT / ".env.example").read_text()

    # A call that reads the environment names its setting first: switch("DEBUG", ...), env.str("SECRET_KEY", ...).
    read = set(re.findall(r"\b(?:env\.\w+|switch|whole_number)\(\s*\"([A-Z_]+)\"", source))
    listed = set(re.findall(r"^#? ?([A-Z_]+)=", example, flags=re.MULTILINE))

    assert len(read) > 20
    assert listed - NOT_OF_THE_SETTINGS_FILE == read
