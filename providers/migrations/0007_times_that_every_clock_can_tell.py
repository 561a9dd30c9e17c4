import django.utils.timezone
from django.db import migrations, models

import core.models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0006_exchange_rates_of_utc_days"),
    ]

    operations = [
        migrations.AlterField(
            model_name="price",
            name="valid_from",
            field=models.DateTimeField(
                default=django.utils.timezone.now,
                help_text="In force from this moment until the next row's.",
                validators=[core.models.moment_of_any_clock],
                verbose_name="in force from",
            ),
        ),
    ]
