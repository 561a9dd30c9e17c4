from django.apps import AppConfig


class VectorsConfig(AppConfig):
    name = "vectors"
    verbose_name = "Where calls go"
    default_auto_field = "django.db.models.BigAutoField"
