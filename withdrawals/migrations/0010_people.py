"""A number in every session's signature, by which all sessions of a person end at once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0009_running")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="session_epoch",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
