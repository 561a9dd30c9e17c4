"""What takes the database a while to find, and may be some seconds old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """One look at a time for each asker (`key`), whose finding is told for `fresh_s` from its beginning."""

    def __init__(self, *, fresh_s: float) -> None:
        self._fresh_s = fresh_s
        self._looks: dict[Hashable, tuple[float, asyncio.Future[T]]] = {}

    async def found(self, key: Hashable, look: Callable[[], Awaitable[T]]) -> T:
        """Raises what `look` raises, and then looks again for the next who asks."""
        loop = asyncio.get_running_loop()
        self._looks = {each: known for each, known in self._looks.items() if self._holds(*known, loop)}
        if key not in self._looks:
            self._looks[key] = (loop.time(), asyncio.ensure_future(look()))
        return await asyncio.shield(self._looks[key][1])

    def _holds(self, began: float, look: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> bool:
        if look.get_loop() is not loop:
            return False
        if not look.done():
            return True
        return loop.time() - began < self._fresh_s and not look.cancelled() and look.exception() is None
