"""The rows that must stand before the desk can work. A migration makes them; a test that emptied the tables, too."""

from django.apps.registry import Apps

from withdrawals.models.user import PERMISSIONS, ROLE_PERMISSIONS


def make_first_rows(apps: Apps, *, using: str) -> None:
    """The head of the audit chain, the send budget, and a group with its permissions for each role. Repeatable.

    `apps` may be a migration's: permissions are otherwise made only after all migrations have run.
    """
    apps.get_model("withdrawals", "AuditHead").objects.using(using).get_or_create(pk=1)
    apps.get_model("withdrawals", "SendBudget").objects.using(using).get_or_create(pk=1)
    permission_table = apps.get_model("auth", "Permission").objects.using(using)
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    people, _ = content_types.get_or_create(app_label="withdrawals", model="user")
    permissions = {
        codename: permission_table.get_or_create(codename=codename, content_type=people, defaults={"name": name})[0]
        for codename, name in PERMISSIONS
    }
    for role, codenames in ROLE_PERMISSIONS.items():
        group, _ = apps.get_model("auth", "Group").objects.using(using).get_or_create(name=role.value)
        group.permissions.set([permissions[codename] for codename in codenames])
