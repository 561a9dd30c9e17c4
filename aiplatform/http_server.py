"""Uvicorn's HTTP, and two things more: a whole answer at once, in one system call where ASGI's two messages make two;
and hanging up on a caller who takes nothing.

Named to uvicorn by `--http` (`aiplatform.supervisor`). `gateway.http` knows both as extensions of the ASGI scope.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.http import HANG_UP, WHOLE_ANSWER, Headers


class Protocol(HttpToolsProtocol):
    """One connection."""

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
