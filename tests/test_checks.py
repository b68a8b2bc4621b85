"""`check --deploy` says so when the desk is opened to the world carelessly."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.utils.csp import CSP

from withdrawals.checks import production_settings

GOOD = {
    "MFA_REQUIRED": True,
    "SECRET_KEY": "the quick brown fox jumps over the lazy dog, 50 signs",
    "MFA_SEED_KEY": "pack my box with five dozen liquor jugs, 50 signs too",
    "ASSETPAY_API_SECRETS": ["sphinx of black quartz, judge my vow"],
}


def found(settings: LazySettings, **changed: Any) -> list[str]:
    """The ids of what the check finds with good settings but for those."""
    for name, value in (GOOD | changed).items():
        setattr(settings, name, value)
    return [str(message.id) for message in production_settings()]


def test_good_settings_are_clean(settings: LazySettings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(
    ("changed", "id"),
    [
        ({"MFA_REQUIRED": False}, "withdrawals.E002"),
        ({"ALLOWED_HOSTS": ["desk.example", "*"]}, "withdrawals.E003"),
        ({"CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}, "withdrawals.E004"),
        ({"SECURE_CSP": {}}, "withdrawals.E006"),
        ({"SECURE_CSP": {"default-src": [CSP.SELF]}}, "withdrawals.E006"),
        ({"MIDDLEWARE": []}, "withdrawals.E006"),
        ({"SECRET_KEY": "x" * 50}, "withdrawals.E007"),
        ({"MFA_SEED_KEY": "ab" * 25}, "withdrawals.E007"),
        ({"ASSETPAY_API_SECRETS": [*GOOD["ASSETPAY_API_SECRETS"], "0" * 32]}, "withdrawals.E007"),
        ({"SECRET_KEY": GOOD["MFA_SEED_KEY"]}, "withdrawals.E008"),
    ],
)
def test_a_careless_setting_is_found(settings: LazySettings, changed: dict[str, Any], id: str) -> None:
    assert found(settings, **changed) == [id]
