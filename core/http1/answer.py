"""An answer whose headers have come, and its body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from core.http1.errors import BrokenAnswerError, HttpError, TooLargeError

HIGH_WATER_BYTES = 64 * 1024


class Source(Protocol):
    """The connection that an answer comes from."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class Chunks(Protocol):
    async def chunk(self) -> bytes | None: ...

    def close(self) -> None: ...


class Answer:
    """Read by one task. `headers` have lower-case names. To be closed, unless it is read to its end.

    Of what nobody has read yet no more than HIGH_WATER_BYTES and one read of the socket are kept: then the provider
    waits.
    """

    __slots__ = (
        *("_connection", "_ended", "_error", "_is_paused", "_loop", "_parts", "_size", "_waiter"),
        *("headers", "status"),
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: Source, status: int, headers: Mapping[str, str]
    ) -> None:
        self.status = status
        self.headers = headers
        self._loop = loop
        self._connection: Source | None = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False
        self._ended = False
        self._error: HttpError | None = None

    async def read(self, most_bytes: int) -> bytes:
        """The whole body. Raises `TooLargeError` past `most_bytes`, and what `chunk` raises."""
        return await read_whole(self, most_bytes)

    async def chunk(self) -> bytes | None:
        """All that has come since the last chunk, at least a byte; None at the end.

        Raises `BrokenAnswerError` or `MalformedAnswerError`, after all that came before. Cancelled, it closes the
        answer.
        """
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            await self._more()
        return self._take()

    def close(self) -> None:
        """Of an answer that has not ended, this closes the connection. What is unread is lost: reading on raises."""
        if self._connection is not None or self._parts:
            self._error = BrokenAnswerError("The answer was closed before it was read.")
        self._ended = True
        self._parts.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._wake()

    async def _more(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiter = None

    def _take(self) -> bytes:
        parts = self._parts
        taken = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._size = 0
        if self._is_paused:
            self._resume()
        return taken

    def _resume(self) -> None:
        self._is_paused = False
        if self._connection is not None:
            self._connection.resume()

    # --- what the connection tells ------------------------------------------------------------------------------------

    def add(self, data: bytes) -> None:
        if self._connection is None:  # closed, while the rest of what was read is parsed
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER_BYTES and not self._is_paused:
            self._is_paused = True
            self._connection.pause()
        self._wake()

    def end(self, error: HttpError | None = None) -> None:
        """Nothing more comes: the connection is another's now, or gone."""
        if self._is_paused:
            self._resume()
        self._connection = None
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def read_whole(answer: Chunks, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while (part := await answer.chunk()) is not None:
        parts.append(part)
        if (size := size + len(part)) > most_bytes:
            answer.close()
            raise TooLargeError(f"The answer is larger than {most_bytes:,} bytes.")
    return b"".join(parts)
