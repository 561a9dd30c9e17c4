"""A process's client for calls: POST over HTTP/1.1, on connections that are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from core.egress import Policy
from core.http1.answer import Answer
from core.http1.dialing import Dialer
from core.http1.errors import ConnectError
from core.http1.names import Lookup
from core.http1.pool import Pool
from core.http1.target import Origin, target_of
from core.http1.unpacking import UnpackedAnswer, unpacked

_MAX_POOLS = 1_000


class Session:
    """One per event loop, which must be running. Nothing is sent twice, and no redirect, cookie or proxy is known."""

    def __init__(self, policy: Policy, lookup: Lookup) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(policy, lookup)
        self._pools: dict[Origin, Pool] = {}
        self._is_closed = False

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect_timeout_s: float,
        sent: Callable[[], None] | None = None,
    ) -> Answer | UnpackedAnswer:
        """Returns when the answer's headers have come. Raises `HttpError`. How long that may take is the caller's
        to say: cancelled, it closes what it has opened. `sent` is called just before the first byte goes out.
        """
        target = target_of(url)
        head = target.head(headers, len(body))
        pool = self._pools.get(target.origin) or self._open(target.origin)
        connection = pool.rested() or await pool.connection(connect_timeout_s=connect_timeout_s)
        if sent is not None:
            sent()
        answer = await connection.ask(head, body)
        return unpacked(answer) if "content-encoding" in answer.headers else answer

    async def close(self) -> None:
        """End what is under way. Returns when every socket is closed."""
        self._is_closed = True
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self, origin: Origin) -> Pool:
        if self._is_closed:
            raise ConnectError("The session is closed.")
        if len(self._pools) >= _MAX_POOLS:
            self._pools = {known: pool for known, pool in self._pools.items() if not pool.is_idle}
        pool = self._pools[origin] = Pool(origin, self._dialer, self._loop)
        return pool
