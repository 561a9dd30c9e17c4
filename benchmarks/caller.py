"""One of the driver's connections: it sends a call, reads its answer to the end, and says how that went."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from benchmarks.driver import Run

_LAST_CHUNK = b"0\r\n\r\n"
_EVENT = b"data: "


class Caller(asyncio.Protocol):
    """Reads answers by Content-Length, or to the last chunk."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._status = b"HTTP/1.1 %d" % run.load.status
        self._pause_s = run.load.pause_s
        self._leaves_after = run.load.leaves_after
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def call(self, due: float) -> None:
        self._due = due
        self._busy = True
        self._run.in_flight += 1
        self._head = b""
        self._in_body = False
        self._tail = b""
        self._events = 0
        self._transport.write(self._run.request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._pause_s:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._pause_s, self._transport.resume_reading)
        if not self._in_body:
            data = self._read_head(data)
            if not self._in_body:
                return
        if self._left is None:
            self._read_events(data)
            return
        self._left -= len(data)
        if self._left <= 0:
            self._end(data)

    def _read_head(self, data: bytes) -> bytes:
        """What `data` holds of the body."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        self._in_body = True
        head, body = self._head[:end].lower(), self._head[end + 4 :]
        at = head.find(b"content-length:")
        self._left: int | None = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        return body

    def _read_events(self, data: bytes) -> None:
        events = data.count(_EVENT)
        self._events += events
        self._run.found.events += events
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
        if self._tail == _LAST_CHUNK:
            self._end(data)
        elif self._leaves_after and self._events >= self._leaves_after:
            self._leave()

    def _end(self, data: bytes) -> None:
        self._busy = False
        self._run.in_flight -= 1
        if not self._head.startswith(self._status):
            self._run.failed(self._head[:40].decode("latin-1") + data[:300].decode("latin-1"))
        else:
            self._run.answered(self, self._due)

    def _leave(self) -> None:
        self._busy = False
        self._run.in_flight -= 1
        self._transport.abort()
        self._run.left()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._busy = False
            self._run.in_flight -= 1
            self._run.failed(f"the connection was lost: {exc}")
