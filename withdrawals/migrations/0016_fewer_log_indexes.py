"""An entry of the log pays for no index of its hash.

Its number is among what its hash is made of, and numbers are unique. PostgreSQL drops the index in no time; SQLite
writes the table anew, a few seconds for each million entries, and its triggers are put back after every migrate
(`withdrawals.models.audit_triggers`).
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0015_fewer_indexes")]

    operations = [
        migrations.AlterField(model_name="auditentry", name="hash", field=models.CharField(max_length=64)),
    ]
