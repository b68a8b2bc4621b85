"""What the first person saw who proposed that a cancellation was not done."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0013_language")]

    operations = [
        migrations.AddField(
            model_name="settlement",
            name="fingerprint",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
