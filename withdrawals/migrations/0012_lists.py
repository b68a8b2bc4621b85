"""An index for the worklist by price."""

from django.db import migrations, models

import withdrawals.models.item


class Migration(migrations.Migration):
    dependencies = [("withdrawals", "0010_people")]

    operations = [
        migrations.AddIndex(
            model_name="item",
            index=models.Index(withdrawals.models.item.ShownPrice("first_price", "price"), "id", name="item_by_price"),
        ),
    ]
