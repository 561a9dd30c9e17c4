from datetime import UTC, datetime
from typing import Any

from django.db import migrations, models

import core.models

_FIRST = datetime(1971, 1, 1, tzinfo=UTC)
_LAST = datetime(9989, 12, 31, 23, 59, 59, tzinfo=UTC)


def bring_within_bounds(apps: Any, _schema_editor: Any) -> None:
    """The page of a key whose time some clock cannot tell could not be shown. It expires as it did: long ago, or never."""
    keys = apps.get_model("accounts", "ApiKey").objects
    keys.filter(expires_at__lt=_FIRST).update(expires_at=_FIRST)
    keys.filter(expires_at__gt=_LAST).update(expires_at=_LAST)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_guesses_of_passwords"),
    ]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="expires_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Refused from this time on. Empty: never expires.",
                null=True,
                validators=[core.models.moment_of_any_clock],
            ),
        ),
        migrations.RunPython(bring_within_bounds, migrations.RunPython.noop),
    ]
