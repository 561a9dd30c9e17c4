"""One connection: a request is written, its answer read as it comes, then the next may follow."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from core.http1.answer import Answer
from core.http1.errors import BrokenAnswerError, HttpError, MalformedAnswerError
from core.http1.reading import Reader

_COPIED_BODY_BYTES = 64 * 1024


class Home(Protocol):
    """Where a connection rests between two calls."""

    def rest(self, connection: Connection) -> None:
        """Its answer has come whole: it may be asked again."""

    def freed(self, connection: Connection) -> None:
        """It carries no more calls; told once."""

    def lost(self, connection: Connection) -> None:
        """Its socket is closed; told once, after `freed`."""


class Connection(asyncio.Protocol):
    """Whatever goes wrong with it, and whatever comes unasked, closes it: then it is never asked again.

    `lost` is done when its socket is closed.
    """

    __slots__ = ("_answer", "_loop", "_reader", "_transport", "_waiter", "home", "is_open", "lost", "rests_since")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.home: Home | None = None
        self.is_open = False
        self.lost: asyncio.Future[None] = loop.create_future()
        self.rests_since = 0.0
        self._loop = loop
        self._reader = Reader(self._begin)
        self._waiter: asyncio.Future[Answer] | None = None  # until its answer is whole
        self._answer: Answer | None = None

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """The answer, once its headers have come. Raises `HttpError`; cancelled, it closes the connection."""
        self._reader.expect()
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        if len(body) <= _COPIED_BODY_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                if self._waiter is waiter:  # else the answer has come whole since: the connection may be another's now
                    self.abort()
            elif not waiter.exception():
                waiter.result().close()  # it came in the same moment, and whole: the connection may be another's now
            raise

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_open:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close it at once, unsent bytes and all."""
        self._transport.abort()
        self._leave()

    def fail(self, error: HttpError) -> None:
        """Close it, and tell whoever waits for its answer, or reads it."""
        waiter, answer = self._waiter, self._answer
        self._waiter = self._answer = None
        self.abort()
        if answer is not None:
            answer.end(error)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # --- what the reader tells ----------------------------------------------------------------------------------------

    def _begin(self, status: int, headers: dict[str, str]) -> Answer:
        waiter = self._waiter
        self._answer = answer = Answer(self._loop, self, status, headers)
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)
        return answer

    # --- what the transport tells -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader.is_whole or not self.is_open:  # nothing was asked, or nobody hears
            self.abort()
            return
        try:
            is_whole = reader.feed(data)
        except MalformedAnswerError as error:
            self.fail(error)
            return
        if is_whole:
            self._finish(may_rest=reader.keeps_alive)

    def eof_received(self) -> None:
        self._end_of_data(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end_of_data(error)
        self._reader.close()
        self.lost.set_result(None)
        if self.home is not None:
            self.home.lost(self)

    def _end_of_data(self, error: Exception | None) -> None:
        if self._answer is not None and self._reader.until_eof and error is None:
            self._finish(may_rest=False)
            return
        broken = BrokenAnswerError("The connection ended before the answer did.")
        broken.__cause__ = error
        self.fail(broken)

    def _finish(self, *, may_rest: bool) -> None:
        answer, self._answer, self._waiter = self._answer, None, None
        if answer is not None:
            answer.end()
        if may_rest and self.home is not None and not self._transport.get_write_buffer_size():
            self.home.rest(self)
        else:
            self.abort()

    def _leave(self) -> None:
        if self.is_open:
            self.is_open = False
            if self.home is not None:
                self.home.freed(self)
