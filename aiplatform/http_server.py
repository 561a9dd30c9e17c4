"""Uvicorn's HTTP, and five things more: a whole answer at once, in one system call where ASGI's two messages make two;
hanging up on a caller who takes nothing, which uvicorn would wait for as long as the caller likes; bounds for what a
caller may send as headers, and for how long a request may take to come; and the body of a request that offers another
protocol, as those of Java's own client offer HTTP/2: uvicorn would lose it, and take it for the next request.

Named to uvicorn by `--http` (`aiplatform.supervisor`). `gateway.http` knows the first two as extensions of the ASGI
scope.
"""

from __future__ import annotations

import asyncio
import functools
import math
import weakref
from typing import Any

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway import http
from gateway.http import HANG_UP, WHOLE_ANSWER, Headers

MOST_HEADER_BYTES = 64 * 1024  # and what comes in one piece with them
ARRIVAL_S = 120.0  # a request, with its body, may take as long to come; not twice as long


class Protocol(HttpToolsProtocol):
    """One connection."""

    _untold_bytes = 0  # that came since the parser last told of the end of headers, or of a part of a body
    _begun = 0  # requests whose headers have come
    _has_offered = False  # the request that is read another protocol, and not a WebSocket
    _coming_before: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._look_at_arrival_later()

    def data_received(self, data: bytes) -> None:
        self._untold_bytes += len(data)
        while data:
            try:
                super().data_received(data)
                break
            except HttpParserUpgrade as offer:
                if not self._has_offered:  # a tunnel (CONNECT), which the application has been asked for, and refuses
                    break
                data = self._without_offer() + data[offer.args[0] :]
        if self._untold_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The headers are larger than {MOST_HEADER_BYTES:,} bytes.")

    def on_headers_complete(self) -> None:
        is_offer = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self._has_offered = is_offer and not self._should_upgrade()
        if self._has_offered:
            return
        super().on_headers_complete()
        self._untold_bytes = 0
        self._begun += 1
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self.headers = []  # what comes as a header after the body is none: no proxy has looked at it

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._untold_bytes = 0

    def on_message_complete(self) -> None:
        if not self._has_offered:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        raise  # noqa: PLE0704 - what uvicorn has just caught: `data_received` makes more of it than a warning

    def _without_offer(self) -> bytes:
        """The head of the request that has offered another protocol, which nobody need take (RFC 9110, section 7.8), as
        if it had not. A new parser is to read it: the one that has seen the offer reads no body.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return b"\r\n".join((*lines, b"", b""))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["method"] == "POST":
            # No reference to the cycle, which has the scope: else each call would wait for the garbage collector.
            asked = weakref.ref(cycle)
            extensions: dict[str, Any] = {
                WHOLE_ANSWER: functools.partial(_answer, asked),
                HANG_UP: functools.partial(_hang_up, asked),
            }
            cycle.scope["extensions"] = extensions
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_again_after(math.inf)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._waiting.cancel()

    def handle_websocket_upgrade(self) -> None:
        self._arriving.cancel()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arriving.cancel()
        if self.flow.write_paused:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _look_at_arrival_later(self) -> None:
        self._arriving = self.loop.call_later(ARRIVAL_S, self._look_at_arrival)

    def _look_at_arrival(self) -> None:
        """Hang up where the request that was coming at the last look is coming still: nobody else would end that."""
        coming = self._coming()
        if coming is not None and coming == self._coming_before:
            self.transport.abort()
        else:
            self._coming_before = coming
            self._look_at_arrival_later()

    def _coming(self) -> int | None:
        """The number of the request that has not come whole, or not at all on a new connection; None: all have."""
        cycle = self.cycle
        if cycle is None or cycle.more_body:
            return self._begun
        return self._begun if cycle.response_complete and self._untold_bytes else None

    def _look_again_after(self, left_bytes: float) -> None:
        self._waiting = self.loop.call_later(http.STALLED_S, self._look, left_bytes)

    def _look(self, before_bytes: float) -> None:
        """Hang up on a caller who has taken nothing since. Streams have a bound of their own, which comes first."""
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes < before_bytes:
            self._look_again_after(left_bytes)
        else:
            self.transport.abort()


async def _answer(asked: weakref.ref[RequestResponseCycle], status: int, headers: Headers, body: bytes) -> None:
    """What `RequestResponseCycle.send` does with an answer's start and its only body; `headers` tell its length.

    It waits while the caller does not take the answers before this one. Raises `ValueError` for a header that would
    begin another.
    """
    cycle = asked()
    if cycle is None:  # its task, which has it, has ended
        return
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    lines = [*map(b": ".join, cycle.default_headers), *map(b": ".join, headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close")
    head = STATUS_LINE[status] + b"\r\n".join(lines) + b"\r\n\r\n"
    if not head.count(b"\n") == head.count(b"\r") == len(lines) + 2:
        raise ValueError("A header holds a line break.")
    cycle.response_started = cycle.response_complete = True
    cycle.transport.writelines((head, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _hang_up(asked: weakref.ref[RequestResponseCycle]) -> None:
    """Close the connection without waiting for the caller to take what was sent."""
    cycle = asked()
    if cycle is not None:
        cycle.disconnected = True  # else uvicorn would complain of the answer that is not whole
        cycle.transport.abort()
