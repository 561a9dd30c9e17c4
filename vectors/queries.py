"""Reads collections. Whoever asks names its client: no name is looked up beyond it."""

from __future__ import annotations

from uuid import UUID

from vectors.models import VectorCollection
from wire.errors import ApiError, Code

_NAMES_SHOWN = 20


def of_client(client_id: UUID) -> list[VectorCollection]:
    return list(VectorCollection.objects.filter(client_id=client_id).order_by("name"))


def exists(collection_id: UUID) -> bool:
    return VectorCollection.objects.filter(id=collection_id).exists()


def named(client_id: UUID, name: str) -> VectorCollection:
    """Raises `ApiError` NOT_FOUND, with the names that there are."""
    found = VectorCollection.objects.filter(client_id=client_id, name=name).first()
    if found is None:
        known = [row.name for row in of_client(client_id)]
        shown = ", ".join(known[:_NAMES_SHOWN]) + (" …" if len(known) > _NAMES_SHOWN else "")
        there_is = f"There is: {shown}." if known else "There is none yet: POST /v1/vector/collections makes one."
        raise ApiError(Code.NOT_FOUND, f"No collection '{name}'. {there_is}", param="collection_name")
    return found
