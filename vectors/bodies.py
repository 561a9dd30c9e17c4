"""What callers send, read and checked. Everything here raises `ApiError` INVALID_REQUEST, naming the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from vectors.bounds import (
    MAX_COMPONENT,
    MAX_ID_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_POINTS,
    MAX_RESULTS,
    MAX_VECTOR_SIZE,
)
from wire.body import MALFORMED, open_body
from wire.errors import invalid
from wire.refusals import refusal

# `$` alone would let a line feed through.
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$(?!\n)",
        description="1 to 128 letters, digits, dots, dashes and underscores, a letter or digit first",
    ),
]
PointId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)] | int
Model = Annotated[str, msgspec.Meta(max_length=255)]
DISTANCES = ("cosine", "dot", "euclid")
_EMPTY = msgspec.Raw(b"{}")
B = TypeVar("B")


class NewCollection(msgspec.Struct, forbid_unknown_fields=True):
    """`model` embeds the collection's texts; "": the first that is used."""

    collection_name: Name
    vector_size: Annotated[int, msgspec.Meta(ge=1, le=MAX_VECTOR_SIZE)]
    distance: str = "cosine"
    model: Model = ""


class NewPoint(msgspec.Struct, forbid_unknown_fields=True):
    """Either a vector, or a text to be made one."""

    id: PointId
    vector: list[float] | None = None
    text: str | None = None
    payload: msgspec.Raw = _EMPTY


class NewPoints(msgspec.Struct, forbid_unknown_fields=True):
    collection_name: Name
    points: Annotated[list[NewPoint], msgspec.Meta(min_length=1, max_length=MAX_POINTS)]
    model: Model = ""
    user_id: str | None = None


class Unwanted(msgspec.Struct, forbid_unknown_fields=True):
    collection_name: Name
    ids: Annotated[list[PointId], msgspec.Meta(min_length=1, max_length=MAX_POINTS)]


class Search(msgspec.Struct, forbid_unknown_fields=True):
    collection_name: Name
    query_vector: list[float] | None = None
    text: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_RESULTS)] = 10
    score_threshold: float | None = None
    filter: dict[str, Any] | None = None
    model: Model = ""
    user_id: str | None = None


def read(body: bytes, kind: type[B]) -> B:
    open_body(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise refusal(error, kind) from None


def is_name(text: str) -> bool:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return True


def distance_of(word: str) -> str:
    """In any spelling of capitals: Qdrant's own clients write `Cosine` and `COSINE`."""
    if word.lower() not in DISTANCES:
        raise invalid(f"'distance' must be one of {', '.join(DISTANCES)}.", param="distance")
    return word.lower()


def require_one(vector: object, text: str | None, *, field: str, name: str) -> None:
    if (vector is None) == (text is None):
        raise invalid(f"Give either '{name}' or 'text', and not both.", param=field)


def payload_of(point: NewPoint, place: str) -> dict[str, Any]:
    field = f"{place}.payload"
    if len(point.payload) > MAX_PAYLOAD_BYTES:
        raise invalid(f"A payload has at most {MAX_PAYLOAD_BYTES:,} bytes.", param=field)
    try:
        return msgspec.json.decode(point.payload, type=dict[str, Any] | None) or {}
    except MALFORMED:
        raise invalid("A payload is a JSON object.", param=field) from None


def check_vector(vector: Sequence[float], *, size: int, distance: str, field: str, whence: str = "") -> None:
    """`whence` says where a vector comes from that the caller did not send."""
    if len(vector) != size:
        raise invalid(
            f"'{field}' has {len(vector)} numbers{whence}; this collection's vectors have {size}.", param=field
        )
    largest = max(map(abs, vector))
    if not largest <= MAX_COMPONENT:
        raise invalid(f"'{field}' holds a number beyond {MAX_COMPONENT:g}.", param=field)
    if distance == "cosine" and largest == 0:
        raise invalid(f"'{field}' is all zeros{whence}, which has no direction to compare by cosine.", param=field)
