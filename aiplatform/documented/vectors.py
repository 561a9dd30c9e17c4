"""Specification E's doors to collections of vectors."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aiplatform.documented.operation import Operation, Parameter, PlainError
from vectors.bodies import Model, Name, NewCollection, PointId, Search, Unwanted
from vectors.bounds import MAX_POINTS

Count = Annotated[int, Meta(ge=0)]


class PointBody(msgspec.Struct, forbid_unknown_fields=True):
    """Either a vector, or a text to be made one. Its payload is kept as it was sent, which msgspec cannot describe."""

    id: PointId
    vector: list[float] | None = None
    text: str | None = None
    payload: dict[str, Any] | None = None


class PointsBody(msgspec.Struct, forbid_unknown_fields=True):
    collection_name: Name
    points: Annotated[list[PointBody], Meta(min_length=1, max_length=MAX_POINTS)]
    model: Model = ""
    user_id: str | None = None


class Collection(msgspec.Struct):
    """`model` is null until texts were embedded; `points_count` where the vectors are gone."""

    collection_name: str
    vector_size: int
    distance: str
    model: str | None
    points_count: Count | None
    created_at: str


class Collections(msgspec.Struct):
    collections: list[Collection]


class DeletedVectors(msgspec.Struct):
    collection_name: str
    deleted: bool


class UpsertedPoints(msgspec.Struct):
    collection_name: str
    upserted: Count


class FoundPoint(msgspec.Struct):
    id: str
    score: float
    payload: dict[str, Any]


class FoundPoints(msgspec.Struct):
    results: list[FoundPoint]


_START = "/v1/vector"
_NAME = Parameter(name="collection_name", place="path", description="One of the client's.", example="songs")


def _operation(
    method: str,
    path: str,
    summary: str,
    answer: Any,
    *,
    body: Any = None,
    example: dict[str, Any] | None = None,
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    return Operation(
        method=method,
        path=_START + path,
        tag="Vectors",
        summary=summary,
        body=body,
        answer=answer,
        error=PlainError,
        parameters=parameters,
        example=example,
    )


OPERATIONS = (
    _operation(
        "POST",
        "/collections",
        "Make a collection",
        Collection,
        body=NewCollection,
        example={"collection_name": "songs", "vector_size": 3, "distance": "cosine"},
    ),
    _operation("GET", "/collections", "List the client's collections", Collections),
    _operation("GET", "/collections/{collection_name}", "Show a collection", Collection, parameters=(_NAME,)),
    _operation(
        "POST",
        "/points",
        "Put points into a collection, by vector or by text",
        UpsertedPoints,
        body=PointsBody,
        example={
            "collection_name": "songs",
            "points": [{"id": "first", "vector": [0.1, 0.2, 0.3], "payload": {"mood": "calm"}}],
        },
    ),
    _operation(
        "POST",
        "/search",
        "Find the points nearest to a vector or a text",
        FoundPoints,
        body=Search,
        example={"collection_name": "songs", "query_vector": [0.1, 0.2, 0.3], "limit": 5},
    ),
    _operation(
        "DELETE",
        "/points",
        "Take points out of a collection",
        DeletedVectors,
        body=Unwanted,
        example={"collection_name": "songs", "ids": ["first"]},
    ),
    _operation(
        "DELETE",
        "/collections/{collection_name}",
        "Delete a collection with all that is in it",
        DeletedVectors,
        parameters=(_NAME,),
    ),
)
