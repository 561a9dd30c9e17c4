from typing import Any

from django.apps import AppConfig
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models.signals import m2m_changed, post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Who calls"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import audit_keeping, audit_links  # noqa: PLC0415 - models exist only once the apps are loaded

        connection_created.connect(audit_keeping.guard_connection)
        m2m_changed.connect(audit_links.note)
        post_migrate.connect(_watch, sender=self)


def _watch(**_: Any) -> None:
    from accounts import audit_keeping, models, revision  # noqa: PLC0415 - models exist only once the apps are loaded

    if models.AuditEntry._meta.db_table in connection.introspection.table_names():
        audit_keeping.install()
    revision.watch([models.Client, models.ApiKey, models.Tier, models.EndpointLimit], ignoring=["last_used_at"])
