from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_migrate
from django.utils import timezone


class UsageConfig(AppConfig):
    name = "usage"
    verbose_name = "What was used"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from usage import immutability, sql, transactions  # noqa: PLC0415 - models exist only once the apps are loaded

        connection_created.connect(immutability.guard_connection)
        connection_created.connect(sql.commit_durably)
        connection_created.connect(transactions.note_file)
        pre_migrate.connect(_make_way, sender=self)
        post_migrate.connect(_install, sender=self)


def _make_way(*, plan: Any = (), **_: Any) -> None:
    """A table that a view reads cannot be changed: the views go before migrations run, and come back after."""
    from usage import reporting  # noqa: PLC0415 - models exist only once the apps are loaded

    if plan:
        reporting.drop_views()


def _install(**_: Any) -> None:
    """All that migrations cannot carry: triggers, months and views, each only where it is missing."""
    from accounts import revision  # noqa: PLC0415 - models exist only once the apps are loaded
    from usage import immutability, models, partitions, reporting  # noqa: PLC0415 - as above

    if models.UsageRecord._meta.db_table not in connection.introspection.table_names():
        return  # only some apps were migrated
    revision.watch([models.Budget])
    partitions.install()
    partitions.make_months(now=timezone.now())
    immutability.install()  # after the months: they are guarded too
    reporting.install_views()
