"""Sums of items that the database keeps (its triggers are put in place after every migrate), and two small indexes."""

from django.db import migrations, models

import withdrawals.models.item


class Migration(migrations.Migration):
    dependencies = [
        ("withdrawals", "0010_people"),
    ]

    operations = [
        migrations.CreateModel(
            name="ItemTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("items", models.BigIntegerField(db_default=0)),
                ("ended", models.BigIntegerField(db_default=0)),
                ("waiting", models.BigIntegerField(db_default=0)),
            ],
        ),
        migrations.AddIndex(
            model_name="cancellation",
            index=models.Index(condition=models.Q(("ended_at", None)), fields=["item"], name="cancellation_open"),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(withdrawals.models.item.Waits(models.F("status"), models.F("is_cs2_withdrawal"))),
                fields=["opened_at", "id"],
                name="item_waiting",
            ),
        ),
    ]
