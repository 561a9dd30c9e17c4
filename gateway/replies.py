"""What a call comes to, as doors see it: an answer, or a stream that has begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from gateway.cache.stored import Stored
from gateway.http import CallerLeftError
from usage.rows import RecordRow
from wire.errors import ApiError
from wire.neutral import ChatResponse, EmbeddingResponse

CacheWord = Literal["hit", "miss", "off"]


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body` is in the caller's own dialect where the provider speaks it; else there is `response`.

    `stored` is the answer as it may be told again, of calls that asked for that.
    """

    record: RecordRow
    body: bytes | None
    response: ChatResponse | EmbeddingResponse | None
    stored: Stored | None = None
    cache: CacheWord = "off"


class Outset(msgspec.Struct, frozen=True):
    """What a stream can say of itself at its start."""

    content_type: bytes
    provider: str
    model: str
    attempts: int
    cache: CacheWord


class Stream(Protocol):
    """Iterate `frames()` to its end, or `aclose()`; either way its books are settled.

    Where the caller has left, the door tells it so with `leave`, and `drains` then says whether the rest is to be read
    all the same. If not, `frames` raises `CallerLeftError`, however long the provider is silent.
    """

    @property
    def outset(self) -> Outset: ...

    @property
    def drains(self) -> bool: ...

    def leave(self) -> None: ...

    def frames(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Passing:
    """Another's stream, for doors that change what goes out of it: they say in `frames` how."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def outset(self) -> Outset:
        return self._stream.outset

    @property
    def drains(self) -> bool:
        return self._stream.drains

    def leave(self) -> None:
        self._stream.leave()

    def frames(self) -> AsyncIterator[bytes]:
        return self._stream.frames()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def left_behind(task: asyncio.Task[Reply | Stream]) -> None:
    """What becomes of a call whose door was cancelled: it goes on as far as it must, and its refusal is nobody's."""
    with contextlib.suppress(ApiError, CallerLeftError):
        reply = await task
        if not isinstance(reply, Reply):
            await abandoned(reply, reply.frames())


async def abandoned(stream: Stream, frames: AsyncIterator[bytes]) -> None:
    """What becomes of a stream whose caller has left: drained, for its true usage, or closed, as its provider is set.

    Where this is stopped meanwhile, what is known is settled.
    """
    stream.leave()
    try:
        if stream.drains:
            with contextlib.suppress(CallerLeftError):  # nobody else waits for it any more
                async for _ in frames:
                    pass
    finally:
        await stream.aclose()
