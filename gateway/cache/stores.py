"""Where answers lie. A store never fails: what it cannot find or keep is a miss."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from gateway.cache.keys import Key

MAX_ENTRIES = 10_000
MAX_BYTES = 32 * 1024 * 1024
_ENTRY_BYTES = 600  # what an entry takes beside its content


class Store(Protocol):
    """Answers by key, each for a time."""

    name: str

    @property
    def is_reachable(self) -> bool: ...

    async def get(self, key: Key) -> bytes | None: ...

    async def put(self, key: Key, content: bytes, *, ttl_s: int) -> None: ...

    async def clear(self, scope: str) -> int | None:
        """Forget a client's answers; how many there were. None where they, or some of them, may still be there."""

    async def size(self, scope: str) -> int:
        """How many answers of a client are kept."""

    async def close(self) -> None: ...


class MemoryStore:
    """In this process. Bounded: the answers that were not asked for the longest make room."""

    name = "memory"
    is_reachable = True

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    async def get(self, key: Key) -> bytes | None:
        found = self._kept.get(key)
        if found is None:
            return None
        content, ends_at = found
        if ends_at <= self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return content

    async def put(self, key: Key, content: bytes, *, ttl_s: int) -> None:
        self._drop(key)
        self._kept[key] = content, self._clock() + ttl_s
        self._bytes += len(content) + _ENTRY_BYTES
        while self._bytes > self._max_bytes or len(self._kept) > self._max_entries:
            self._drop(next(iter(self._kept)))

    async def clear(self, scope: str) -> int:
        found = self._of(scope)
        for key in found:
            self._drop(key)
        return len(found)

    async def size(self, scope: str) -> int:
        return len(self._of(scope))

    async def close(self) -> None:
        self._kept.clear()

    def _of(self, scope: str) -> list[Key]:
        """Those that are still good."""
        now = self._clock()
        return [key for key, (_, ends_at) in self._kept.items() if key.scope == scope and ends_at > now]

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0]) + _ENTRY_BYTES
