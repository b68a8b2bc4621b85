"""The permissions of the second round of capabilities: in bulk, settling, approving, waiving, exporting."""

from typing import Any

from django.db import migrations

from withdrawals.models.first_rows import make_first_rows
from withdrawals.models.user import PERMISSIONS


def grant(apps: Any, schema_editor: Any) -> None:
    make_first_rows(apps, using=schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0002_first_rows")]

    operations = [
        migrations.AlterModelOptions(name="user", options={"permissions": tuple(PERMISSIONS)}),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
