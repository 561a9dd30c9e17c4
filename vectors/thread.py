"""A thread with an event loop of its own, for work that would hold up others'."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Started by the first work that comes. It ends with the process, whatever it is doing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._starting = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop()))

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            loop, thread = running
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join)

    def _loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_turn, args=[loop], name=self._name, daemon=True)
                thread.start()
                self._running = (loop, thread)
            return self._running[0]


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
