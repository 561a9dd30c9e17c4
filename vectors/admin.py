"""The page of collections: read only, because the clients make, fill and delete them by their doors."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display as column

from accounts.admin_read_only import ReadOnlyAdmin
from core import display
from vectors.counting import counts
from vectors.entry import STORE
from vectors.models import VectorCollection
from wire.errors import ApiError

_DISTANCES = {"cosine": "direction (cosine)", "dot": "dot product", "euclid": "distance (Euclidean)"}


@admin.register(VectorCollection)
class VectorCollectionAdmin(ReadOnlyAdmin):
    when_empty = (
        "Clients make collections by their calls, and what they keep in them shows here. The API reference says how."
    )
    list_display = ("name", "client", "points", "size", "compared_by", "texts_by", "since")
    list_filter = (("client", AutocompleteSelectFilter), "model")
    search_fields = ("name", "client__name")
    list_select_related = ("client",)
    fields = ("name", "client", "points", "size", "compared_by", "texts_by", "since")
    readonly_fields = fields

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        rows = list(changes.result_list)
        for row, count in zip(rows, _counts([row.pk for row in rows]), strict=True):
            row.point_count = count
        changes.result_list = rows
        return changes

    @column(description="Points")
    def points(self, row: Any) -> str:
        if not hasattr(row, "point_count"):
            [row.point_count] = _counts([row.pk])
        if row.point_count is None:
            return display.label("not known", "warning", title="The vector store does not answer, or lost it.")
        return display.count(row.point_count)

    @column(description="Compared by", ordering="distance")
    def compared_by(self, row: VectorCollection) -> str:
        return _DISTANCES[row.distance]

    @column(description="Texts embedded by", ordering="model")
    def texts_by(self, row: VectorCollection) -> str:
        return row.model or "no text yet"

    @column(description="Since", ordering="created_at")
    def since(self, row: VectorCollection) -> str:
        return display.day(row.created_at)


def _counts(collections: list[UUID]) -> list[int | None]:
    """How many points each has; None where nobody knows."""
    try:
        return async_to_sync(counts)(STORE, collections)
    except ApiError:
        return [None] * len(collections)
