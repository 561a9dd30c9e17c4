"""Work that ends when its caller leaves, and is done by the task that waits for it.

In a task of its own it could come to its end in the very moment in which whoever waits for it is cancelled: then nobody
would have what it has opened, and nobody would close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

from gateway.http import CallerLeftError


class UntilLeft:
    """`with UntilLeft(gone): await …` cancels what is awaited once `gone` is done, and raises `CallerLeftError`.

    `unless` is asked in that moment, once: where it says so, the work goes on.
    """

    __slots__ = ("_cancelling", "_gone", "_has_left", "_is_over", "_task", "_unless")

    def __init__(self, gone: asyncio.Future[Any], *, unless: Callable[[], bool] = lambda: False) -> None:
        self._gone = gone
        self._unless = unless
        self._has_left = self._is_over = False

    def __enter__(self) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._gone.add_done_callback(self._leave)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._gone.remove_done_callback(self._leave)
        if self._has_left and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise CallerLeftError from error

    def _leave(self, _: asyncio.Future[Any]) -> None:
        if not (self._is_over or self._unless()):  # it may be under way already when it is removed
            self._has_left = True
            self._task.cancel()
