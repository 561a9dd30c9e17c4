"""What the embedding doors of all dialects share: read the call, let the pipeline answer it, write the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers
from gateway.http import JSON, Exchange
from gateway.replies import Reply
from wire.dialect import EmbeddingCaller, EmbeddingDialect, Envelope
from wire.neutral import EmbeddingResponse

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def answer_embeddings(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """A call for embeddings in `door`'s own dialect."""
    started = time.perf_counter()
    dialect = cast("EmbeddingDialect", door.dialect)
    envelope = dialect.open_embeddings(await exchange.body(gateway.max_body_bytes))
    reply = await embedded(gateway, door, exchange, caller, envelope, started=started)
    await exchange.answer(200, encoded(reply, dialect, envelope), [JSON, *answer_headers(reply)])


async def embedded(
    gateway: Gateway, door: Door, exchange: Exchange, caller: Caller, envelope: Envelope, *, started: float
) -> Reply:
    """The answer, for a door that opens its body by itself. Raises `ApiError`."""
    dialect = cast("EmbeddingCaller", door.dialect)
    call = open_call(exchange, surface=door.surface, caller=caller, dialect=dialect, envelope=envelope, started=started)
    reply = await gateway.pipeline.complete(call)
    assert isinstance(reply, Reply), "embeddings do not stream"
    return reply


def encoded(reply: Reply, dialect: EmbeddingDialect, envelope: Envelope) -> bytes:
    """The answer's body."""
    body = reply.body
    if isinstance(reply.response, EmbeddingResponse):
        body = dialect.encode_response(reply.response, envelope.fields)
    assert body is not None
    return body
