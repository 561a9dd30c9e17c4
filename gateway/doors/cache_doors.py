"""Specification A's doors to the response cache. Each client has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.catalogue import Caller
from gateway.doors.telling import require_manage, tell
from gateway.http import Exchange

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def clear(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /cache/clear`: forgets the answers kept for the key's client."""
    del door
    require_manage(caller)
    await tell(exchange, {"cleared": await gateway.pipeline.cache.clear(caller)})


async def health(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /cache/health`."""
    del door
    found = await gateway.pipeline.cache.health(caller)
    await tell(
        exchange,
        {
            "status": "ok" if found.reachable else "unavailable",
            "store": found.store,
            "entries": found.entries,
            "hits": found.hits,
            "misses": found.misses,
        },
    )
