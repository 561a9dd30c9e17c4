"""Texts become vectors through the gateway's pipeline: limits, budgets and usage rows as for any embedding."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers
from gateway.doors.embeddings import embedded
from gateway.doors.texts import Texts
from gateway.http import Exchange, Headers
from vectors.models import VectorCollection
from vectors.operations import other_model
from wire.neutral import EmbeddingResponse

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

DIALECT = Texts("vector")


class Embedded(msgspec.Struct, frozen=True):
    """`model` is the name by which the same can be asked for again; `headers` are for the answer."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    headers: Headers


def model_for(collection: VectorCollection, asked: str) -> str:
    """Raises `ApiError` INVALID_REQUEST where the collection's texts are another model's."""
    if asked and collection.model and asked != collection.model:
        raise other_model(collection.model)
    return asked or collection.model


async def embed(
    gateway: Gateway,
    door: Door,
    exchange: Exchange,
    caller: Caller,
    *,
    texts: list[str],
    model: str,
    end_user: str | None,
) -> Embedded:
    """Raises `ApiError`, as any call does."""
    envelope = DIALECT.envelope(msgspec.json.encode(texts), model=model, end_user=end_user)
    reply = await embedded(gateway, door, exchange, caller, envelope, started=time.perf_counter())
    assert isinstance(reply.response, EmbeddingResponse), "no provider speaks this dialect"
    return Embedded(reply.response.vectors, model or reply.record.deployment, answer_headers(reply))
