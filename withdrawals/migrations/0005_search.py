"""Finding anything: the ends of ids, the names of items; and notes on trades and items."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import withdrawals.models.ends
from withdrawals.models.item_names import create_name_search, drop_name_search


def index_names(apps: Any, schema_editor: Any) -> None:
    create_name_search(schema_editor.connection)


def forget_names(apps: Any, schema_editor: Any) -> None:
    drop_name_search(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("withdrawals", "0004_audit_anchors"),
    ]

    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("written_at", models.DateTimeField()),
                ("text", models.CharField(max_length=2000)),
            ],
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(withdrawals.models.ends.Tail("assetpay_id"), name="item_by_tail"),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(withdrawals.models.ends.Head("assetpay_id"), name="item_by_head"),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(withdrawals.models.ends.Tail("assetpay_id"), name="trade_by_tail"),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(withdrawals.models.ends.Head("assetpay_id"), name="trade_by_head"),
        ),
        migrations.AddField(
            model_name="note",
            name="author",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="item",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="notes", to="withdrawals.item"
            ),
        ),
        migrations.AddField(
            model_name="note",
            name="trade",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="notes", to="withdrawals.trade"
            ),
        ),
        migrations.AddConstraint(
            model_name="note",
            constraint=models.CheckConstraint(
                condition=models.Q(("text", ""), _negated=True), name="note_says_something"
            ),
        ),
        migrations.RunPython(index_names, forget_names),
    ]
