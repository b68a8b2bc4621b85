"""A column that may be empty and an index, on the table that callbacks write to."""

from django.db import migrations


class Migration(migrations.Migration):
    """Only adds, so that the release before it goes on."""

    dependencies = [("withdrawals", "0003_permissions")]
    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE withdrawals_delivery ADD COLUMN noted_for varchar(100) NULL",
                "CREATE INDEX delivery_noted_for ON withdrawals_delivery (noted_for)",
            ],
            ["DROP INDEX delivery_noted_for", "ALTER TABLE withdrawals_delivery DROP COLUMN noted_for"],
        )
    ]
