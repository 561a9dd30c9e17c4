from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = "Where calls go"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_watch, sender=self)


def _watch(**_: Any) -> None:
    from accounts import revision  # noqa: PLC0415 - models exist only once the apps are loaded
    from providers import models  # noqa: PLC0415 - as above

    configuration = [
        models.Provider,
        models.Credential,
        models.Deployment,
        models.Price,
        models.PriceTier,
        models.ExchangeRate,
        models.Route,
        models.RouteTarget,
    ]
    revision.watch(configuration)
