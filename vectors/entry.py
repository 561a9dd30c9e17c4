"""What every vector door begins with: the body, the caller's limits, the caller's own collection; and the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from gateway.catalogue import Caller
from gateway.doors.reads import Reads
from gateway.http import Exchange
from gateway.limits.definitions import NO_LIMITS
from vectors import bodies, queries
from vectors.models import VectorCollection
from vectors.store import VectorStore
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

STORE = VectorStore(
    url=settings.QDRANT_URL,
    api_key=settings.QDRANT_API_KEY,
    folder=settings.STATE_DIR / "vectors",
    one_process=settings.WEB_WORKERS == 1 and not settings.PRODUCTION,
)

# The rows of collections. Who asks for a report holds up no search.
read = Reads("collections", most_waiting=1_000).run


async def read_body(gateway: Gateway, exchange: Exchange, kind: type[bodies.B]) -> bodies.B:
    """In a thread: many large vectors take their time."""
    return await asyncio.to_thread(bodies.read, await exchange.body(gateway.max_body_bytes), kind)


async def admit(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Count what does not pass the pipeline against the caller's limits. Raises `ApiError` RATE_LIMITED."""
    limits = caller.limits.at(exchange.path, door.surface)
    await gateway.pipeline.admissions.take(limits, (NO_LIMITS,), 0, exchange.told)


async def named(caller: Caller, name: str) -> VectorCollection:
    """The caller's own collection of that name. Raises `ApiError` NOT_FOUND."""
    return await read(queries.named, client_of(caller), name)


def client_of(caller: Caller) -> UUID:
    if caller.client_id is None:
        raise ApiError(Code.FORBIDDEN, "Collections belong to clients: this needs a client's key.")
    return caller.client_id
