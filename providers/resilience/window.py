"""How many calls of late, and how many of them failed: counted in a ring of slots, so that it costs a few additions."""

from __future__ import annotations

SLOTS = 12


class Window:
    """The last `span_s` seconds, to the twelfth of it. `span_s` may change between calls: then old counts fade."""

    __slots__ = ("_calls", "_failures", "_numbers")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._numbers = [-1] * SLOTS
        self._calls = [0] * SLOTS
        self._failures = [0] * SLOTS

    def add(self, now: float, span_s: float, *, failed: bool) -> None:
        number = int(now * SLOTS / span_s)
        slot = number % SLOTS
        if self._numbers[slot] != number:
            self._numbers[slot], self._calls[slot], self._failures[slot] = number, 0, 0
        self._calls[slot] += 1
        self._failures[slot] += failed

    def counts(self, now: float, span_s: float) -> tuple[int, int]:
        """Calls, and failures among them."""
        newest = int(now * SLOTS / span_s)
        live = [slot for slot, number in enumerate(self._numbers) if newest - SLOTS < number <= newest]
        return sum(self._calls[slot] for slot in live), sum(self._failures[slot] for slot in live)
