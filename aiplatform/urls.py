"""Django's own URLs. The data-plane doors are composed in `aiplatform.asgi`."""

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from accounts.rest import CanEnter
from gateway import dry_run_view, playground_view
from gateway.completion_view import CompletionViewSet

admin.autodiscover()


def docs(request: HttpRequest) -> HttpResponseBase:
    """For people: who comes with a browser and has not signed in is asked to."""
    is_browser = "text/html" in request.headers.get("Accept", "")
    if is_browser and not request.user.is_authenticated and "Authorization" not in request.headers:
        return redirect_to_login(request.get_full_path())
    shown: HttpResponseBase = SpectacularSwaggerView.as_view(permission_classes=[CanEnter])(request)
    return shown


management = [
    re_path("^ai-providers/complete/?$", CompletionViewSet.as_view({"post": "create"}), name="complete"),
    path("", include("accounts.api.urls")),
    path("", include("usage.api.urls")),
    path("", include("alerts.api.urls")),
    path("", include("providers.api.urls")),
    re_path("^schema/?$", SpectacularAPIView.as_view(permission_classes=[CanEnter]), name="schema"),
    re_path("^docs/?$", docs, name="docs"),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/where-would-a-call-go/", admin.site.admin_view(dry_run_view.view), name="dry_run"),
    path("admin/try-a-model/", admin.site.admin_view(playground_view.view), name="playground"),
    path("admin/", admin.site.urls),
    path("api/", include(management)),
]
handler404 = "accounts.rest.not_found"
handler500 = "accounts.rest.server_error"
