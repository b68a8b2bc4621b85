"""An entry of the log pays for no index that says nothing of it.

Its number is among what its hash is made of, and numbers are unique. SQLite writes the table anew for this, a few
seconds for each million entries; its triggers are put back after every migrate (`withdrawals.models.audit_triggers`).
"""

from django.db import migrations, models

# The column whose nothing is left out, by index.
KNOWN = {"audit_of_trade": "trade", "audit_of_item": "item", "audit_of_person": "actor"}


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0015_fewer_indexes")]

    operations = [
        *(migrations.RemoveIndex(model_name="auditentry", name=name) for name in KNOWN),
        migrations.AlterField(model_name="auditentry", name="hash", field=models.CharField(max_length=64)),
        *(
            migrations.AddIndex(
                model_name="auditentry",
                index=models.Index(
                    fields=[column, "number"], name=name, condition=models.Q((f"{column}__isnull", False))
                ),
            )
            for name, column in KNOWN.items()
        ),
    ]
