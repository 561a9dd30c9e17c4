"""The addresses under `/api/accounts`."""

from accounts.api import views
from accounts.api.resources import Routes

routes = Routes()
routes.register("accounts/clients", views.Clients)
routes.register("accounts/keys", views.Keys)
routes.register("accounts/tiers", views.Tiers)
urlpatterns = routes.urls
