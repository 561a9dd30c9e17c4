from django.db import migrations, models

from usage.indexes import AddPartitionedIndex


class Migration(migrations.Migration):
    atomic = False  # its index is made beside running writers

    dependencies = [
        ("usage", "0005_why_this_provider"),
    ]

    operations = [
        AddPartitionedIndex(
            model_name="usagerecord",
            index=models.Index(
                condition=models.Q(("is_final", False), ("kind", "call")), fields=["id"], name="record_unfinished"
            ),
        ),
    ]
