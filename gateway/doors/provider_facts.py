"""How the providers are doing, in the words of specifications A, B and C."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.catalogue import Caller
from gateway.doors.telling import read, tell
from gateway.http import Exchange
from gateway.status import ProviderStatus, provider_statuses
from providers.models import Health
from providers.routing import some_of
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

_START, _END = "/api/v1/providers/", "/health"


async def list_for_a(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Specification A's `GET /providers`."""
    del door
    await tell(exchange, {"providers": listed(gateway, caller)})


async def list_for_b(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Specification B's `GET /api/v1/providers`."""
    del door
    providers = listed(gateway, caller)
    await tell(exchange, {"providers": providers, "count": len(providers)})


async def list_for_c(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Specification C's `GET /v1/providers/status`."""
    del door, caller
    await tell(exchange, {"providers": provider_statuses(gateway)})


async def health_for_b(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Specification B's `GET /api/v1/providers/{name}/health`, with what the last check found.

    That names models, also such as a key with a list of its own may not know of: to it the words are not told.
    """
    del door
    path = exchange.scope["path"]
    if not path.endswith(_END):
        raise ApiError(Code.NOT_FOUND, f"There is nothing at {exchange.scope['method']} {path}.")
    name = path.removeprefix(_START).removesuffix(_END)
    statuses = provider_statuses(gateway)
    status = next((each for each in statuses if each.name == name), None)
    if status is None:
        known = some_of([each.name for each in statuses])
        raise ApiError(Code.NOT_FOUND, f"No provider '{name}'. There is: {known}.")
    check = await read(_last_check, name)
    if check is not None and caller.allowed:
        check["detail"] = ""
    await tell(exchange, {**_told(status), "last_check": check})


def listed(gateway: Gateway, caller: Caller) -> list[dict[str, Any]]:
    """Each provider with those of its models that the caller may use."""
    models: dict[str, list[str]] = defaultdict(list)
    for deployment in gateway.pipeline.catalogue.current.seen_by(caller).deployments:
        models[deployment.provider.slug].append(deployment.name)
    return [{**_told(status), "models": models[status.name]} for status in provider_statuses(gateway)]


def _told(status: ProviderStatus) -> dict[str, Any]:
    return {**msgspec.to_builtins(status), "status": "healthy" if status.healthy else "unhealthy"}


def _last_check(slug: str) -> dict[str, Any] | None:
    found = Health.objects.filter(provider__slug=slug).first()
    if found is None:
        return None
    return {"status": found.status, "detail": found.detail, "latency_ms": found.latency_ms, "at": found.checked_at}
