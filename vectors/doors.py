"""Specification E's vector operations, under /v1/vector."""

from __future__ import annotations

from gateway.asgi import Door
from vectors.collection_doors import PATH, create_collection, delete_collection, list_collections, show_collection
from vectors.embedding import DIALECT
from vectors.point_doors import delete_points, search, upsert_points

_SURFACE = "spec_e.vector"
ROUTES = {
    ("POST", PATH): Door(_SURFACE, DIALECT, create_collection),
    ("GET", PATH): Door(_SURFACE, DIALECT, list_collections),
    ("POST", "/v1/vector/points"): Door(_SURFACE, DIALECT, upsert_points),
    ("DELETE", "/v1/vector/points"): Door(_SURFACE, DIALECT, delete_points),
    ("POST", "/v1/vector/search"): Door(_SURFACE, DIALECT, search),
}
PREFIXES = {
    ("GET", f"{PATH}/"): Door(_SURFACE, DIALECT, show_collection),
    ("DELETE", f"{PATH}/"): Door(_SURFACE, DIALECT, delete_collection),
}
