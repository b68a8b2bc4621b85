"""The rows that must be there before anything runs: the audit head, the send budget, the roles, the cache's table."""

from typing import Any

from django.core.management import call_command
from django.db import migrations

from withdrawals.models.first_rows import make_first_rows


def make_rows(apps: Any, schema_editor: Any) -> None:
    make_first_rows(apps, using=schema_editor.connection.alias)


def make_cache_table(apps: Any, schema_editor: Any) -> None:
    call_command("createcachetable", "shared_cache", database=schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("withdrawals", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunPython(make_rows, migrations.RunPython.noop),
        migrations.RunPython(make_cache_table, migrations.RunPython.noop),
    ]
