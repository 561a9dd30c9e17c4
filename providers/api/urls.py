"""`/api/ai-providers/…`, apart from the statistics (`usage.api`) and the calls (`gateway`)."""

from accounts.api.resources import Routes
from providers.api import views

routes = Routes()
routes.register("ai-providers/credentials", views.Credentials)
routes.register("ai-providers/deployments", views.Deployments)
routes.register("ai-providers/prices", views.Prices)
routes.register("ai-providers/exchange-rates", views.ExchangeRates)
routes.register("ai-providers/routes", views.NamedRoutes)
routes.register("ai-providers", views.Providers)
urlpatterns = routes.urls
