"""The admin: its name for each section is the menu's."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.sites import UnfoldAdminSite


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
