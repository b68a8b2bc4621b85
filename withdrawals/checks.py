"""System checks: what a careful engineer would look at before opening the desk."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import OperationalError, ProgrammingError, connections
from django.utils.csp import CSP

from withdrawals import gateway
from withdrawals.models.audit_triggers import PROTECTED_TABLES, missing_triggers, powers_over_protected_tables
from withdrawals.models.item_names import missing_name_triggers
from withdrawals.models.item_tally import missing_tally_triggers

MIDDLEWARE_OF_CSP = {"django.middleware.csp.ContentSecurityPolicyMiddleware"}
LEAST_DIFFERENT_SIGNS = 8


@register()
def callback_signature_works(**_: Any) -> list[CheckMessage]:
    """A known vector verifies, so that a genuine callback cannot fail for a fault of this machine."""
    try:
        gateway.self_test()
    except RuntimeError as error:
        return [Error(f"The callback signature self-test fails: {error}", id="withdrawals.E001")]
    return []


@register(deploy=True)
def production_settings(**_: Any) -> list[CheckMessage]:
    """What `check --deploy` of Django does not know about this desk."""
    found: list[CheckMessage] = []
    if not settings.MFA_REQUIRED:
        found.append(Error("MFA_REQUIRED is false: a password alone would open the desk.", id="withdrawals.E002"))
    if "*" in settings.ALLOWED_HOSTS:
        found.append(Error("ALLOWED_HOSTS holds *: any host name would be answered.", id="withdrawals.E003"))
    if "LocMemCache" in settings.CACHES["default"]["BACKEND"]:
        found.append(Error("The cache is local memory: log-in throttling needs a shared one.", id="withdrawals.E004"))
    if settings.SECURE_CSP.get("default-src") != [CSP.NONE] or not set(settings.MIDDLEWARE) >= MIDDLEWARE_OF_CSP:
        found.append(
            Error("The content security policy is missing or wide: texts could run as scripts.", id="withdrawals.E006")
        )
    secrets = {
        "SECRET_KEY": settings.SECRET_KEY,
        "MFA_SEED_KEY": settings.MFA_SEED_KEY,
        **{f"ASSETPAY_API_SECRETS[{number}]": one for number, one in enumerate(settings.ASSETPAY_API_SECRETS)},
    }
    for name, secret in secrets.items():
        if len(set(secret)) < LEAST_DIFFERENT_SIGNS:
            found.append(
                Error(f"{name} repeats a few signs and can be guessed: make one by chance.", id="withdrawals.E007")
            )
    if settings.SECRET_KEY == settings.MFA_SEED_KEY:
        found.append(
            Error("MFA_SEED_KEY is SECRET_KEY again: one leak would open both.", id="withdrawals.E008"),
        )
    return found


@register(Tags.database)
def database_keeps_its_promises(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The audit triggers stand, and SQLite is not a version with a known fault."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        try:
            migrated = set(PROTECTED_TABLES) <= set(connection.introspection.table_names())
            missing = missing_triggers(connection) if migrated else []
            unnamed = missing_name_triggers(connection) if migrated else []
            uncounted = missing_tally_triggers(connection) if migrated else []
        except (OperationalError, ProgrammingError):
            continue  # not reachable or not made yet: Django's own checks speak of that
        if missing:
            found.append(
                Error(f"Audit triggers are missing: {', '.join(missing)}. Run migrate.", id="withdrawals.E005")
            )
        if unnamed:
            found.append(
                Error(f"Items would not be found by name: {', '.join(unnamed)}. Run migrate.", id="withdrawals.E009")
            )
        if uncounted:
            found.append(
                Error(
                    f"The counts of items would be wrong: {', '.join(uncounted)}. Run migrate.", id="withdrawals.E010"
                )
            )
        if connection.vendor == "sqlite" and sqlite3.sqlite_version_info < (3, 51, 3):
            found.append(
                Warning(
                    f"SQLite {sqlite3.sqlite_version} can lose writes when its WAL is reset under load "
                    "(fixed in 3.51.3); use PostgreSQL in production.",
                    id="withdrawals.W001",
                )
            )
    return found


@register(Tags.database, deploy=True)
def runtime_role_only_appends(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """On PostgreSQL the role that the desk runs as can read and append to the audit log, and do nothing else to it.

    Asked with `check --deploy --database default` and the DATABASE_URL of web and workers; the owner, who migrates,
    has these powers by right.
    """
    found: list[CheckMessage] = []
    for alias in databases or []:
        try:
            powers = powers_over_protected_tables(connections[alias])
        except (OperationalError, ProgrammingError):
            continue  # as above
        if powers:
            found.append(
                Warning(
                    f"This database role could change tables that must never change ({'; '.join(powers)}). Run web "
                    "and workers as a role of their own, and `manage.py grant_runtime ROLE` as the owner.",
                    id="withdrawals.W002",
                )
            )
    return found
