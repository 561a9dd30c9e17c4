"""`/api/usage/…`, and the statistics that specification D keeps under `/api/ai-providers`."""

from django.urls import re_path

from accounts.api.resources import Routes
from usage.api.budgets import BudgetsView
from usage.api.exports import Exports
from usage.api.records import Records
from usage.api.rollups import Rollups
from usage.api.statistics import Statistics

routes = Routes()
routes.register("usage/records", Records)
routes.register("usage/budgets", BudgetsView)
routes.register("usage/rollups", Rollups, basename="rollups")
urlpatterns = [
    re_path(rf"^ai-providers/statistics/{topic}/?$", Statistics.as_view(), name=f"statistics-{topic}")
    for topic in ("usage", "cost", "performance", "requests")
] + [re_path("^usage/exports/?$", Exports.as_view(), name="exports"), *routes.urls]
