"""Texts become vectors through the gateway's pipeline: limits, budgets and usage rows as for any embedding."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors import plain_errors
from gateway.doors.chat import answer_headers
from gateway.http import Exchange, Headers
from gateway.replies import Reply
from vectors.models import VectorCollection
from vectors.operations import other_model
from wire.dialect import Envelope
from wire.errors import ApiError
from wire.neutral import EmbeddingRequest, EmbeddingResponse

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

_TEXTS = "texts"
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class Texts:
    """The caller's half of an embedding dialect: the doors have read the body already."""

    name = "vector_texts"

    def open_embeddings(self, body: bytes) -> Envelope:
        """`body` is a list of texts."""
        return self.envelope(body, model="", end_user=None)

    def envelope(self, texts: bytes, *, model: str, end_user: str | None) -> Envelope:
        return Envelope(
            fields={_TEXTS: msgspec.Raw(texts)},
            model=model,
            stream=False,
            max_output_tokens=0,
            choices=1,
            input_bytes=len(texts),
            end_user=end_user,
            show_usage=True,
            kind="embedding",
        )

    def decode_embeddings(self, envelope: Envelope) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=envelope.model, texts=_decode_texts(envelope.fields[_TEXTS]), end_user=envelope.end_user
        )

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        return plain_errors.encode_error(error, request_id=request_id, operation="vector", stream=stream)


DIALECT = Texts()


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
    call = open_call(
        exchange, surface=door.surface, caller=caller, dialect=DIALECT, envelope=envelope, started=time.perf_counter()
    )
    reply = await gateway.pipeline.complete(call)
    assert isinstance(reply, Reply), "embeddings do not stream"
    assert isinstance(reply.response, EmbeddingResponse), "no provider speaks this dialect"
    return Embedded(reply.response.vectors, model or reply.record.deployment, answer_headers(reply))
