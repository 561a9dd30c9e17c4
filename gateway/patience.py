"""A bound for each of a stream's many waits, at the cost of one timer for all of them.

`asyncio.timeout` makes and cancels a timer for every wait, which for a stream means for every chunk. Here the timer
stays where it is while waits come and go; when it rings too early it is set again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self


class Patience:
    """`with patience.within(5): await …` raises `TimeoutError` after 5 s. Waits follow each other, in any tasks."""

    __slots__ = ("_cancelling", "_deadline", "_limit_s", "_loop", "_rang", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._limit_s = 0.0
        self._rang = False

    def within(self, limit_s: float) -> Self:
        self._limit_s = limit_s
        return self

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        self._deadline = deadline = self._loop.time() + self._limit_s
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._ring)
        elif self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline = None
        if not self._rang:
            return
        self._rang = False
        assert self._task is not None
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """No more waits: let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
            return
        self._rang = True
        assert self._task is not None
        self._task.cancel()
