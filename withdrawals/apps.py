"""The app: what must stand before anything runs."""

from django.apps import AppConfig
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate


def restore_triggers(using: str, **_: object) -> None:
    """Put the audit triggers back: a migration that remakes a table on SQLite loses them."""
    from withdrawals.models.audit_triggers import PROTECTED_TABLES, create_triggers  # noqa: PLC0415 # models need the registry

    connection: BaseDatabaseWrapper = connections[using]
    if set(PROTECTED_TABLES) <= set(connection.introspection.table_names()):
        create_triggers(connection)


class WithdrawalsConfig(AppConfig):
    """The desk."""

    name = "withdrawals"

    def ready(self) -> None:
        """Register the checks and the look-only admin, and restore the triggers after every migrate."""
        from withdrawals import accounts, admin, checks  # noqa: F401, PLC0415 # importing registers them

        post_migrate.connect(restore_triggers, sender=self)
