"""No column keeps an index of its own where another one begins with it, nor one for a search that nobody makes.

Each row that is written paid for them.

The indexes alone are dropped: to alter the field would have SQLite write the whole table anew.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

COVERED = (
    ("Trade", "opened_at"),
    ("Item", "trade"),
    ("AuditEntry", "actor"),
    ("AuditEntry", "trade"),
    ("AuditEntry", "item"),
    ("Cancellation", "item"),
    ("Attempt", "cancellation"),
    ("BatchItem", "batch"),
    ("RefundEntry", "refund"),
    ("RefundApproval", "refund"),
    ("SavedView", "owner"),
)
# Django gives each text column with an index a second one on PostgreSQL, for LIKE 'x%', which nobody asks of these.
NEVER_BY_BEGINNING = (
    ("Trade", "assetpay_id"),
    ("Trade", "client_user_id"),
    ("Trade", "client_steam_id"),
    ("Trade", "external_id"),
    ("Trade", "external_client_user_id"),
    ("Trade", "offer_id"),
    ("Item", "external_id"),
    ("Item", "asset_id"),
    ("AuditEntry", "hash"),
)


def drop(apps, schema_editor):
    unused = [index for model, name in COVERED for index in own_indexes(schema_editor.connection, apps, model, name)]
    if schema_editor.connection.vendor == "postgresql":
        unused += [
            index
            for model, name in NEVER_BY_BEGINNING
            for index in own_indexes(schema_editor.connection, apps, model, name)
            if index.endswith("_like")
        ]
    for index in unused:
        schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(index)}")


def make_again(apps, schema_editor):
    for model, name in COVERED:
        table, column = columns_of(apps, model, name)
        if not own_indexes(schema_editor.connection, apps, model, name):
            index, quote = f"{table}_{column}", schema_editor.quote_name
            schema_editor.execute(f"CREATE INDEX {quote(index)} ON {quote(table)} ({quote(column)})")
    if schema_editor.connection.vendor == "postgresql":
        for model, name in NEVER_BY_BEGINNING:
            table, column = columns_of(apps, model, name)
            index, quote = f"{table}_{column}_like", schema_editor.quote_name
            schema_editor.execute(
                f"CREATE INDEX {quote(index)} ON {quote(table)} ({quote(column)} varchar_pattern_ops)"
            )


def columns_of(apps, model, name):
    meta = apps.get_model("withdrawals", model)._meta
    return meta.db_table, meta.get_field(name).column


def own_indexes(connection, apps, model, name):
    """The names of the indexes that Django made of this column alone; those that a model names stay."""
    table, column = columns_of(apps, model, name)
    named = {index.name for index in apps.get_model("withdrawals", model)._meta.indexes}
    with connection.cursor() as cursor:
        known = connection.introspection.get_constraints(cursor, table)
    found = [index for index, each in known.items() if each["index"] and each["columns"] == [column]]
    return [index for index in found if index not in named and not known[index]["unique"]]


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0014_settlement_seen")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, make_again)],
            state_operations=[
                migrations.AlterField(model_name="trade", name="opened_at", field=models.DateTimeField()),
                migrations.AlterField(
                    model_name="attempt",
                    name="cancellation",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="withdrawals.cancellation",
                    ),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="actor",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="item",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="audit_entries",
                        to="withdrawals.item",
                    ),
                ),
                migrations.AlterField(
                    model_name="auditentry",
                    name="trade",
                    field=models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="audit_entries",
                        to="withdrawals.trade",
                    ),
                ),
                migrations.AlterField(
                    model_name="batchitem",
                    name="batch",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="withdrawals.batch",
                    ),
                ),
                migrations.AlterField(
                    model_name="cancellation",
                    name="item",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cancellations",
                        to="withdrawals.item",
                    ),
                ),
                migrations.AlterField(
                    model_name="item",
                    name="trade",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="withdrawals.trade",
                    ),
                ),
                migrations.AlterField(
                    model_name="refundapproval",
                    name="refund",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to="withdrawals.refund",
                    ),
                ),
                migrations.AlterField(
                    model_name="refundentry",
                    name="refund",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="withdrawals.refund",
                    ),
                ),
                migrations.AlterField(
                    model_name="savedview",
                    name="owner",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="saved_views",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
