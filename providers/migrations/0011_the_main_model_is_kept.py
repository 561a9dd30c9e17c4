from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0010_what_is_there_once_says_so_plainly"),
    ]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="is_main",
            field=models.BooleanField(db_default=False, default=False, editable=False, verbose_name="main model"),
        ),
    ]
