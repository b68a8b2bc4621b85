"""The language and the time zone that a person chose to read in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0012_lists")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="user",
            name="time_zone",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
