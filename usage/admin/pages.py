"""What the ledger's pages have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from accounts.models import Client
from core import display
from usage.admin.filters import ClientFilter, ClientTypedFilter


class ReadOnlyAdmin(ModelAdmin):
    """For tables that people may read and never write."""

    actions = None
    paginator = InfinitePaginator  # no COUNT(*) over a table that only grows
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        too_many = ClientFilter in self.list_filter and Client.objects.count() > display.MOST_OFFERED
        return [ClientTypedFilter if too_many and each is ClientFilter else each for each in self.list_filter]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
