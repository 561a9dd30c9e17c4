import gc

from django.apps import AppConfig, apps
from django.contrib import admin


class PlatformConfig(AppConfig):
    name = "aiplatform"
    verbose_name = "AI Platform"

    def ready(self) -> None:
        from aiplatform.admin_site import PlatformAdminSite  # noqa: PLC0415 - its forms' models exist only from now on

        apps.get_app_config("auth").verbose_name = "Administrators"  # as the menu calls users and groups
        admin.site = admin.sites.site = PlatformAdminSite()
        gc.freeze()  # no collection shall look through what was imported by now: it stays
        gc.set_threshold(50_000)  # instead of 700
