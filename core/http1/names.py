"""Where names lie: each looked up once for all who ask at the same time, and known for a few seconds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from aiohappyeyeballs import AddrInfoType

_KNOWN_FOR_S = 10.0
_MAX_KNOWN = 1_000

Lookup = Callable[[str, int], Awaitable[Sequence[AddrInfoType]]]
_Name = tuple[str, int]


async def system_lookup(host: str, port: int) -> Sequence[AddrInfoType]:
    """As the system does it. Raises OSError, or UnicodeError for what can be no name."""
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Names:
    """Failures are not remembered. One per event loop."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[_Name, tuple[float, Sequence[AddrInfoType]]] = {}
        self._asked: dict[_Name, asyncio.Task[Sequence[AddrInfoType]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[AddrInfoType]:
        """Raises what the look-up raises. Who is cancelled leaves the look-up to the others."""
        name = (host, port)
        known_until, addresses = self._known.get(name, (0.0, ()))
        if asyncio.get_running_loop().time() < known_until:
            return addresses
        return await asyncio.shield(self._asked.get(name) or self._ask(name))

    def _ask(self, name: _Name) -> asyncio.Task[Sequence[AddrInfoType]]:
        task = self._asked[name] = asyncio.ensure_future(self._answer(name))
        task.add_done_callback(lambda task: self._told(name, task))
        return task

    async def _answer(self, name: _Name) -> Sequence[AddrInfoType]:
        return await self._lookup(*name)

    def _told(self, name: _Name, task: asyncio.Task[Sequence[AddrInfoType]]) -> None:
        del self._asked[name]
        self._known.pop(name, None)
        if task.cancelled() or task.exception():
            return
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[name] = (task.get_loop().time() + _KNOWN_FOR_S, task.result())
