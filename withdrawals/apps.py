"""The app: what must stand before anything runs."""

from django.apps import AppConfig
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate


def restore_triggers(using: str, **_: object) -> None:
    """Put back the triggers of the audit log, the name index and the counts: remaking a table loses them."""
    from withdrawals.models.audit_triggers import PROTECTED_TABLES, create_triggers  # noqa: PLC0415 # models need the registry
    from withdrawals.models.item_names import TABLE, create_name_search  # noqa: PLC0415 # as above
    from withdrawals.models.item_tally import TALLY, create_tally  # noqa: PLC0415 # as above

    connection: BaseDatabaseWrapper = connections[using]
    tables = set(connection.introspection.table_names())
    if set(PROTECTED_TABLES) <= tables:
        create_triggers(connection)
    if TABLE in tables:
        create_name_search(connection)
    if TALLY in tables:
        create_tally(connection)


class WithdrawalsConfig(AppConfig):
    """The desk."""

    name = "withdrawals"

    def ready(self) -> None:
        """Register the checks and the look-only admin, and restore the triggers after every migrate."""
        from withdrawals import accounts, admin, checks  # noqa: F401, PLC0415 # importing registers them

        post_migrate.connect(restore_triggers, sender=self)
