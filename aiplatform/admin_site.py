"""The admin: its name for each section is the menu's, and its form for one's own password ours."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from accounts.sign_in import OwnPasswordForm, address_of


class PlatformAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold publishes no types
    index_title = "Home"
    empty_value_display = "–"

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Django would call it "… administration"."""
        title = apps.get_app_config(app_label).verbose_name
        page: TemplateResponse = super().app_index(request, app_label, {"title": title, **(extra_context or {})})
        return page

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        form = partial(OwnPasswordForm, address=address_of(request))
        context = {**self.each_context(request), **(extra_context or {})}
        done = reverse("admin:password_change_done")
        return PasswordChangeView.as_view(form_class=form, success_url=done, extra_context=context)(request)
