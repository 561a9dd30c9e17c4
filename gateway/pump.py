"""A stream's frames for doors whose generator may end at any moment, or be left hanging without a word.

Django tells a streaming view neither of a caller who leaves nor of a shutdown, and gRPC cancels one that is waiting for
its next frame: in neither may anything be settled. So a task of our own reads the stream, and the door reads from that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import structlog

from gateway.http import STALLED_S, CallerLeftError
from gateway.replies import Stream

log = structlog.get_logger(__name__)

_QUEUED_FRAMES = 1_000

Queue = asyncio.Queue[bytes | Exception | None]  # None: the stream has come to its end


def pumped(
    stream: Stream, *, detach: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
) -> AsyncIterator[bytes]:
    """The frames of `stream`. `detach` runs the reading task, whatever becomes of the request.

    It reads from now on: the stream comes to its end also where nobody ever asks for a frame. Whatever breaks there is
    raised here, so that no caller takes what was cut for the whole; who takes nothing for a minute and comes back gets
    `CallerLeftError`.
    """
    queue: Queue = asyncio.Queue(_QUEUED_FRAMES)
    left = asyncio.Event()
    detach(_pump(stream, queue, left))
    return _taken(stream, queue, left)


async def _taken(stream: Stream, queue: Queue, left: asyncio.Event) -> AsyncIterator[bytes]:
    try:
        while (frame := await queue.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame
    finally:
        left.set()
        stream.leave()
        while not queue.empty():  # the task may be waiting for room
            queue.get_nowait()


async def _pump(stream: Stream, queue: Queue, left: asyncio.Event) -> None:
    """Reads on where the caller has left and the stream drains. Who takes no frame for `STALLED_S` counts as gone."""
    end: Exception | None = None
    try:
        async for frame in stream.frames():
            if not left.is_set() and not await _has_room(queue, frame):
                left.set()
                stream.leave()
                end = CallerLeftError()
            if left.is_set() and not stream.drains:
                break
    except CallerLeftError as error:
        end = error
    except Exception as error:  # whatever it is, the reader raises it; where there is none any more, the log has it
        end = error
        if left.is_set():
            log.exception("a stream broke for a reason of ours after its caller had left")
    finally:
        await stream.aclose()
        if left.is_set() or not await _has_room(queue, end):
            while not queue.empty():  # what nobody took: whoever comes back is told that it is over
                queue.get_nowait()
            queue.put_nowait(end or CallerLeftError())


async def _has_room(queue: Queue, item: bytes | Exception | None) -> bool:
    try:
        async with asyncio.timeout(STALLED_S):
            await queue.put(item)
    except TimeoutError:
        return False
    return True
