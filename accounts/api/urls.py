"""The addresses under `/api/accounts`, and that of the audit trail."""

from accounts.api import views
from accounts.api.resources import Routes

routes = Routes()
routes.register("accounts/clients", views.Clients)
routes.register("accounts/keys", views.Keys)
routes.register("accounts/tiers", views.Tiers)
routes.register("audit", views.Audit)
urlpatterns = routes.urls
