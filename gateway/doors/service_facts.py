"""Specification B's `GET /status` and `GET /health`: the service as a whole, for those who bring a key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gateway.catalogue import Caller
from gateway.doors.health import is_ready
from gateway.doors.lately import Lately
from gateway.doors.provider_facts import listed
from gateway.doors.telling import tell
from gateway.doors.usage_facts import metrics
from gateway.http import Exchange

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

_SERVICE = "ai-platform"
_FRESH_S = 5.0  # monitors ask often, and a day of calls is long
_METRICS: Lately[dict[str, Any]] = Lately(fresh_s=_FRESH_S)


async def status(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`{"status", "service", "timestamp", "providers", "metrics"}`; the metrics are up to five seconds old.

    A 503 where the database is away, as for those who bring no key.
    """
    del door
    ready = await is_ready()
    await tell(exchange, await _status(gateway, caller, ready=ready), status=200 if ready else 503)


async def _status(gateway: Gateway, caller: Caller, *, ready: bool) -> dict[str, Any]:
    providers = {each["name"]: each for each in listed(gateway, caller)}
    well = all(each["healthy"] for each in providers.values())
    return {
        "status": ("healthy" if well else "degraded") if ready else "unavailable",
        "service": _SERVICE,
        "timestamp": time.time(),
        "providers": providers,
        "metrics": await _metrics(gateway, caller) if ready else {},
    }


async def _metrics(gateway: Gateway, caller: Caller) -> dict[str, Any]:
    """Those that the caller may see (`metrics`), as they were some seconds ago at most."""
    whose = (caller.scope == "manage", caller.client_id, caller.end_user)
    return await _METRICS.found(whose, lambda: metrics(gateway, caller))
