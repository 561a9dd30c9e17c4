"""How a thread that has much to do leaves the event loop its turns: the interpreter runs one of them at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_WORK_S = 0.002
_REST_S = 0.001
_LOOK_EVERY = 16  # items: the clock costs more than most of them

Item = TypeVar("Item")


class Pace:
    """Naps after every two milliseconds of work. `is_hurried`: it does not, as nobody is kept waiting yet."""

    def __init__(self, *, is_hurried: bool = False) -> None:
        self._is_hurried = is_hurried
        self._rested_at = time.perf_counter()

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """`items`, as they come, with naps in between."""
        for number, item in enumerate(items):
            yield item
            if number % _LOOK_EVERY == 0 and not self._is_hurried:
                self.rest()

    def rest(self) -> None:
        """Nap, if it is time to."""
        if not self._is_hurried and time.perf_counter() - self._rested_at > _WORK_S:
            time.sleep(_REST_S)
            self._rested_at = time.perf_counter()
