from django.apps import AppConfig


class PlatformConfig(AppConfig):
    name = "aiplatform"
    verbose_name = "AI Platform"

    def ready(self) -> None:
        from aiplatform import celery  # noqa: F401, PLC0415 - so that pages can send jobs to our broker
