"""OpenAI's Responses: a chat door that keeps the items of its answers, for clients who name them in their next turn."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from gateway.cache.items import Items
from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, relay
from gateway.http import JSON, Exchange
from gateway.replies import Passing, Reply, Stream
from wire import openai_responses
from wire.dialect import Envelope
from wire.neutral import ChatResponse

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def answer_responses(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """What is named is put in before anybody sees the call; what is answered is kept before it is told whole."""
    started = time.perf_counter()
    envelope = openai_responses.open_chat(await exchange.body(gateway.max_body_bytes))
    envelope = await _resolved(gateway, caller, envelope)
    is_kept = openai_responses.wants_storing(envelope)
    call = open_call(
        exchange,
        surface=door.surface,
        caller=caller,
        dialect=openai_responses,
        envelope=envelope,
        started=started,
    )
    reply = await gateway.pipeline.complete(call)
    if not isinstance(reply, Reply):
        await relay(gateway, exchange, KeptStream(reply, gateway.items, caller) if is_kept else reply)
        return
    body = reply.body or openai_responses.encode_response(cast("ChatResponse", reply.response))
    if is_kept:
        await gateway.items.keep(caller, openai_responses.items_of(body))
    await exchange.answer(200, body, [JSON, *answer_headers(reply)])


async def _resolved(gateway: Gateway, caller: Caller, envelope: Envelope) -> Envelope:
    """Raises `ApiError` naming an item that is not kept."""
    named = openai_responses.references(envelope)
    if not named:
        return envelope
    found = await gateway.items.find(caller, named.values(), limit_bytes=gateway.max_body_bytes)
    return openai_responses.resolved(envelope, named, found)


class KeptStream(Passing):
    """A stream whose items are kept when it ends."""

    def __init__(self, stream: Stream, items: Items, caller: Caller) -> None:
        super().__init__(stream)
        self._items = items
        self._caller = caller

    async def frames(self) -> AsyncIterator[bytes]:
        """The last frame follows when its items are kept: its caller may name them at once."""
        async for frame in self._stream.frames():
            items = openai_responses.items_of_end(frame)
            if items:
                await self._items.keep(self._caller, items)
            yield frame
