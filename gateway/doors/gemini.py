"""Gemini's door: what Google's SDKs call when only their base URL is changed.

`/v1beta/models/{model}:{verb}`, and the same under /v1. The model's name runs to the last colon: it may hold slashes
and colons.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from gateway.asgi import Door
from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, answer_opened, relay
from gateway.doors.embeddings import embedded, encoded
from gateway.doors.models import list_models, show_model
from gateway.http import JSON, Exchange
from gateway.relays import MAX_EVENT_BYTES
from gateway.replies import Outset, Passing, Reply, Stream
from usage import estimates
from wire import gemini, gemini_embeddings
from wire.body import open_body
from wire.dialect import Envelope
from wire.errors import ApiError, Code
from wire.gemini.array import CONTENT_TYPE, ArrayFraming
from wire.gemini.names import camel_keys

if TYPE_CHECKING:
    from gateway.asgi import Gateway

_STARTS = ("/v1beta/models/", "/v1/models/")
_COUNTED = "generateContentRequest"
_NULL = b"null"  # as in all JSON of protocol buffers: the field is not there


async def call_model(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Raises `ApiError` NOT_FOUND for a path that is none of Gemini's."""
    del door
    path = exchange.scope["path"]
    model, _, verb = path.partition("/models/")[2].rpartition(":")
    if not model or "\0" in model or verb not in _VERBS:  # no row of the books could hold a NUL
        raise ApiError(Code.NOT_FOUND, f"There is nothing at {exchange.scope['method']} {path}.")
    await _VERBS[verb](gateway, exchange, caller, model)


async def _generate(gateway: Gateway, exchange: Exchange, caller: Caller, model: str) -> None:
    started = time.perf_counter()
    envelope = gemini.open_chat(await exchange.body(gateway.max_body_bytes))
    named = msgspec.structs.replace(envelope, model=model)
    await answer_opened(gateway, _GENERATE, exchange, caller, named, started=started)


async def _stream(gateway: Gateway, exchange: Exchange, caller: Caller, model: str) -> None:
    """As SSE where that is asked for (`alt=sse`), else as a JSON array."""
    started = time.perf_counter()
    envelope = gemini.open_chat(await exchange.body(gateway.max_body_bytes))
    named = msgspec.structs.replace(envelope, model=model, stream=True)
    if _asks_for_sse(exchange):
        await answer_opened(gateway, _GENERATE, exchange, caller, named, started=started)
        return
    surface = _GENERATE.surface
    call = open_call(exchange, surface=surface, caller=caller, dialect=gemini, envelope=named, started=started)
    reply = await gateway.pipeline.complete(call)
    assert not isinstance(reply, Reply), "a stream was asked for"
    stream = _ArrayStream(reply)
    exchange.ended_by = stream.ended_by
    await relay(gateway, exchange, stream)


async def _count(gateway: Gateway, exchange: Exchange, caller: Caller, model: str) -> None:
    """Our own estimate, by the size of what the model would read: asking a provider would be a call of its own."""
    del caller, model
    body = await exchange.body(gateway.max_body_bytes)
    whole = bytes(camel_keys(open_body(body)).get(_COUNTED, _NULL))
    envelope = gemini.open_chat(body if whole == _NULL else whole)
    answer = {"totalTokens": estimates.likely_tokens(envelope.input_bytes)}
    await exchange.answer(200, msgspec.json.encode(answer), [JSON])


async def _embed_one(gateway: Gateway, exchange: Exchange, caller: Caller, model: str) -> None:
    started = time.perf_counter()
    batch = gemini_embeddings.open_single(await exchange.body(gateway.max_body_bytes))
    reply, body = await _embedded(gateway, exchange, caller, batch, model=model, started=started)
    await exchange.answer(200, gemini_embeddings.single(body), [JSON, *answer_headers(reply)])


async def _embed_batch(gateway: Gateway, exchange: Exchange, caller: Caller, model: str) -> None:
    started = time.perf_counter()
    batch = gemini_embeddings.open_embeddings(await exchange.body(gateway.max_body_bytes))
    reply, body = await _embedded(gateway, exchange, caller, batch, model=model, started=started)
    await exchange.answer(200, body, [JSON, *answer_headers(reply)])


async def _embedded(
    gateway: Gateway, exchange: Exchange, caller: Caller, batch: Envelope, *, model: str, started: float
) -> tuple[Reply, bytes]:
    """The answer, and its body as that of a batch."""
    named = msgspec.structs.replace(batch, model=model)
    reply = await embedded(gateway, _EMBED, exchange, caller, named, started=started)
    return reply, encoded(reply, gemini_embeddings, named)


class _ArrayStream(Passing):
    """A stream whose events go out as the elements of a JSON array."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._framing = ArrayFraming(max_event_bytes=MAX_EVENT_BYTES)

    def ended_by(self, event: bytes) -> bytes:
        return self._framing.feed(event) + self._framing.close()

    @property
    def outset(self) -> Outset:
        return msgspec.structs.replace(self._stream.outset, content_type=CONTENT_TYPE)

    async def frames(self) -> AsyncIterator[bytes]:
        async for frame in self._stream.frames():
            if elements := self._framing.feed(frame):
                yield elements
        yield self._framing.close()


def _asks_for_sse(exchange: Exchange) -> bool:
    query: bytes = exchange.scope["query_string"]
    asked = parse_qs(query.decode("latin-1"))
    return ["sse"] in (asked.get("alt"), asked.get("$alt"))


_GENERATE = Door("gemini.generate", gemini, call_model)
_EMBED = Door("gemini.embeddings", gemini_embeddings, call_model)
_VERBS = {
    "generateContent": _generate,
    "streamGenerateContent": _stream,
    "countTokens": _count,
    "embedContent": _embed_one,
    "batchEmbedContents": _embed_batch,
}
ROUTES = {("GET", "/v1beta/models"): Door("gemini.models", gemini, list_models)}
PREFIXES = {
    **{("POST", start): _GENERATE for start in _STARTS},
    ("GET", "/v1beta/models/"): Door("gemini.models", gemini, show_model),
}
