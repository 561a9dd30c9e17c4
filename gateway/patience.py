"""A bound for each of many waits, at the cost of one timer for all that an event loop waits for.

`asyncio.timeout` makes and cancels a timer for every wait: for every call, and for every chunk of a stream. Here waits
come and go in a set, and the one timer, which rings at the earliest deadline that it knew of, is set again where it
finds that one gone.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable
from types import TracebackType
from typing import Any


def patience() -> Patience:
    """The running loop's. To be asked once for many waits: finding the loop costs as much as a wait."""
    loop = asyncio.get_running_loop()
    found: Patience | None = getattr(_here, "patience", None)
    if found is None or found.loop is not loop:
        found = _here.patience = Patience(loop)
    return found


async def in_halves(work: Awaitable[None], *, limit_s: float) -> None:
    """Raises `TimeoutError` after `limit_s`. In two halves: a loop that was busy itself must not blame whom it asks."""
    loop, half_s = asyncio.get_running_loop(), limit_s / 2
    async with asyncio.timeout(None) as limit:
        half = loop.call_later(half_s, lambda: limit.reschedule(loop.time() + half_s))
        try:
            await work
        finally:
            half.cancel()


class Patience:
    """Of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waits: set[Wait] = set()
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def within(self, limit_s: float) -> Wait:
        """`with patience.within(5): await …` raises `TimeoutError` after 5 s."""
        return Wait(self, self.loop.time() + limit_s)

    def add(self, wait: Wait) -> None:
        self.waits.add(wait)
        if wait.deadline < self._rings_at:
            self._set(wait.deadline)

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = self.loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._rings_at, self._timer = math.inf, None
        now = self.loop.time()
        for wait in [wait for wait in self.waits if wait.deadline <= now]:
            self.waits.discard(wait)
            wait.ring()
        if self.waits:
            self._set(min(wait.deadline for wait in self.waits))


class Wait:
    """Of one task, until `deadline` by its loop's clock."""

    __slots__ = ("_cancelling", "_patience", "_rang", "_task", "deadline")

    def __init__(self, patience: Patience, deadline: float) -> None:
        self._patience = patience
        self.deadline = deadline
        self._rang = False

    def __enter__(self) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task(self._patience.loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._patience.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.waits.discard(self)
        if self._rang and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def ring(self) -> None:
        self._rang = True
        self._task.cancel()


_here = threading.local()
