from django.apps import AppConfig


class PlatformConfig(AppConfig):
    name = "aiplatform"
    verbose_name = "AI Platform"
