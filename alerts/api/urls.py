"""`/api/alerts/…`, and what specification D keeps under `/api/ai-providers`."""

from django.urls import re_path

from accounts.api.resources import Routes
from alerts.api import views

routes = Routes()
routes.register("alerts/rules", views.Rules)
routes.register("alerts/incidents", views.Incidents)
routes.register("alerts/channels", views.Channels)
routes.register("alerts/schedules", views.Schedules)
routes.register("alerts/deliveries", views.Deliveries)
urlpatterns = [re_path("^ai-providers/alerts/?$", views.Alerts.as_view(), name="alerts"), *routes.urls]
