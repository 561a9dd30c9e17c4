from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Who must know"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_make_default_rules, sender=self)


def _make_default_rules(**_: Any) -> None:
    from alerts import defaults  # noqa: PLC0415 - models exist only once the apps are loaded

    defaults.make_rules()
