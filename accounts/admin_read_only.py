"""What admin pages of rows have in common that the platform writes and people only read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class ReadOnlyAdmin(ModelAdmin):
    """Rows that the platform writes and people read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without a button for the history of what nobody can change."""
        page: HttpResponse = super().changeform_view(
            request, object_id, form_url, {"show_history": False, **(extra_context or {})}
        )
        return page


class GrowingTableAdmin(ReadOnlyAdmin):
    """For tables that only grow: nothing on their pages counts all rows."""

    actions = None
    paginator = InfinitePaginator  # no COUNT(*)
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True
