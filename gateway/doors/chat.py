"""What the chat doors of all dialects share: read the call, let the pipeline answer it, write the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from core.money import usd_text
from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.http import JSON, CallerLeftError, Exchange, Headers
from gateway.replies import Reply, Stream, abandoned
from wire.dialect import Dialect, Envelope
from wire.neutral import ChatResponse

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def answer_chat(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """A chat call in `door`'s own dialect."""
    started = time.perf_counter()
    dialect = cast("Dialect", door.dialect)
    envelope = dialect.open_chat(await exchange.body(gateway.max_body_bytes))
    await answer_opened(gateway, door, exchange, caller, envelope, started=started)


async def answer_opened(
    gateway: Gateway, door: Door, exchange: Exchange, caller: Caller, envelope: Envelope, *, started: float
) -> None:
    """The same for a door that opens its body by itself."""
    dialect = cast("Dialect", door.dialect)
    call = open_call(exchange, surface=door.surface, caller=caller, dialect=dialect, envelope=envelope, started=started)
    reply = await gateway.pipeline.complete(call)
    if not isinstance(reply, Reply):
        await relay(gateway, exchange, reply)
        return
    encoded = reply.body
    if isinstance(reply.response, ChatResponse):
        encoded = dialect.encode_response(reply.response)
    assert encoded is not None
    await exchange.answer(200, encoded, [JSON, *answer_headers(reply)])


async def relay(gateway: Gateway, exchange: Exchange, stream: Stream) -> None:
    """Send the stream as it comes. Where the caller leaves, it is drained or closed, as its provider is set."""
    gone = exchange.watch()
    gone.add_done_callback(lambda _: stream.leave())
    frames = stream.frames()
    try:
        await exchange.start_stream(stream_headers(stream))
        async for frame in frames:
            if gone.done():
                break
            await exchange.send(frame)
        else:
            await exchange.end_stream()
            return
        gateway.pipeline.detach(abandoned(stream, frames))
    except CallerLeftError:
        gateway.pipeline.detach(abandoned(stream, frames))
        raise
    except BaseException:  # cancelled too: whatever ends it, its dispatch is settled
        gateway.pipeline.detach(stream.aclose())
        raise
    finally:
        exchange.unwatch()


def answer_headers(reply: Reply) -> Headers:
    """What every answer says of itself (API.md, section 1). The cost is left out where it is unknown."""
    record = reply.record
    headers = [
        (b"x-provider", record.provider.encode()),
        (b"x-model", (record.served_model or record.deployment).encode()),
        (b"x-attempts", b"%d" % record.attempt),
        (b"x-cache", reply.cache.encode()),
    ]
    if record.cost_pico is not None:
        headers.append((b"x-cost-usd", usd_text(record.cost_pico).encode()))
    if record.overhead_ms is not None:
        headers.append((b"x-overhead-ms", b"%.2f" % record.overhead_ms))
    return headers


def stream_headers(stream: Stream) -> Headers:
    return [(b"content-type", stream.outset.content_type), *stream_facts(stream)]


def stream_facts(stream: Stream) -> Headers:
    """What a stream can say of itself at its start."""
    outset = stream.outset
    headers = [
        (b"x-provider", outset.provider.encode()),
        (b"x-model", outset.model.encode()),
        (b"x-attempts", b"%d" % outset.attempts),
        (b"x-cache", outset.cache.encode()),
    ]
    if outset.cache == "hit":
        headers.append((b"x-cost-usd", b"0"))
    return headers
