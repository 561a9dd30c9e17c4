from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Who calls"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self)


def _watch(**_: Any) -> None:
    from accounts import audit, models, revision  # noqa: PLC0415 - models exist only once the apps are loaded

    if models.AuditEntry._meta.db_table in connection.introspection.table_names():
        audit.install()
    revision.watch([models.Client, models.ApiKey, models.Tier, models.EndpointLimit], ignoring=["last_used_at"])
