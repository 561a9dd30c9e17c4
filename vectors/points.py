"""Points as callers give them, and as Qdrant keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from vectors.bodies import NewPoint, check_vector, payload_of, require_one
from vectors.embedding import Embedded
from vectors.filters import PAYLOAD
from vectors.models import VectorCollection
from vectors.store import Hit, Point
from wire.errors import ApiError, Code

_ID = "id"  # where a point keeps the id that its caller gave it


class Draft(msgspec.Struct, frozen=True):
    """A point; `vector` None where its text is yet to be embedded."""

    id: UUID
    kept: dict[str, Any]
    vector: Sequence[float] | None

    def with_vector(self, of_texts: Iterator[Sequence[float]]) -> Point:
        return Point(self.id, next(of_texts) if self.vector is None else self.vector, self.kept)


def texts(given: Sequence[NewPoint]) -> list[str]:
    """Of the points that have one. Raises `ApiError` for a point that has neither text nor vector, or both."""
    for number, point in enumerate(given):
        require_one(point.vector, point.text, field=f"points[{number}].vector", name="vector")
    return [point.text for point in given if point.text is not None]


def text_fields(given: Sequence[NewPoint]) -> list[str]:
    """What those are called in errors."""
    return [f"points[{number}].text" for number, point in enumerate(given) if point.text is not None]


def drafts(row: VectorCollection, given: Sequence[NewPoint]) -> list[Draft]:
    """Raises `ApiError` INVALID_REQUEST, naming the point's field."""
    made: list[Draft] = []
    for number, point in enumerate(given):
        place, given_id = f"points[{number}]", str(point.id)
        if point.vector is not None:
            check_vector(point.vector, size=row.size, distance=row.distance, field=f"{place}.vector")
        kept = {_ID: given_id, PAYLOAD: payload_of(point, place)}
        made.append(Draft(point_id(row.id, given_id), kept, point.vector))
    return made


def checked(row: VectorCollection, embedded: Embedded, fields: Sequence[str]) -> Sequence[Sequence[float]]:
    """The vectors of the texts in `fields`. Raises `ApiError` where they do not fit into the collection."""
    count, model = len(embedded.vectors), embedded.model
    if count != len(fields):
        raise ApiError(Code.PROVIDER_ERROR, f"{model} made {count} vectors of {len(fields)} texts.")
    for vector, field in zip(embedded.vectors, fields, strict=True):
        whence = f" as {model} embeds it"
        check_vector(vector, size=row.size, distance=row.distance, field=field, whence=whence)
    return embedded.vectors


def told(hit: Hit) -> dict[str, Any]:
    return {"id": hit.payload[_ID], "score": hit.score, "payload": hit.payload[PAYLOAD]}


def point_id(collection: UUID, given: str) -> UUID:
    """Qdrant takes UUIDs and whole numbers alone."""
    return uuid5(collection, given)
