"""Writes the rows of collections."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from accounts.models import Client
from vectors.bounds import MAX_COLLECTIONS
from vectors.models import VectorCollection
from wire.errors import ApiError, Code, invalid


def add(*, client_id: UUID, name: str, size: int, distance: str, model: str) -> tuple[VectorCollection, bool]:
    """The collection, and whether it is new: the same one may be asked for again.

    Raises `ApiError` INVALID_REQUEST where the name is taken by a different one, or the client has too many.
    """
    with transaction.atomic():
        Client.objects.select_for_update(no_key=True).get(id=client_id)  # one at a time for each client
        own = VectorCollection.objects.filter(client_id=client_id)
        known = own.filter(name=name).first()
        if known is not None:
            _require_same(known, size=size, distance=distance, model=model)
            return known, False
        if own.count() >= MAX_COLLECTIONS:
            raise invalid(f"A client has at most {MAX_COLLECTIONS} collections.", param="collection_name")
        made = VectorCollection.objects.create(
            client_id=client_id, name=name, size=size, distance=distance, model=model
        )
        return made, True


def _require_same(known: VectorCollection, *, size: int, distance: str, model: str) -> None:
    if (known.size, known.distance) != (size, distance) or model not in ("", known.model):
        raise invalid(
            f"There is a collection '{known.name}' already: {known.size} numbers, {known.distance}"
            f"{f', texts by {known.model}' if known.model else ''}. Delete it first, or choose another name.",
            param="collection_name",
        )


def claim_model(collection_id: UUID, model: str) -> None:
    """From now on `model` embeds its texts. Raises `ApiError`: INVALID_REQUEST where another does, NOT_FOUND."""
    if VectorCollection.objects.filter(id=collection_id, model__in=("", model)).update(model=model):
        return
    known = VectorCollection.objects.filter(id=collection_id).first()
    if known is None:
        raise ApiError(Code.NOT_FOUND, "This collection was deleted just now.", param="collection_name")
    raise other_model(known.model)


def other_model(model: str) -> ApiError:
    return invalid(
        f"This collection's texts are embedded with {model}: vectors of different models cannot be compared.",
        param="model",
    )


def remove(collection_id: UUID) -> None:
    VectorCollection.objects.filter(id=collection_id).delete()
