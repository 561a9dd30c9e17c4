"""The doors that need no key: they say whether this process works, and nothing else."""

from __future__ import annotations

import asyncio

import msgspec
from django.db import DatabaseError, InterfaceError, connection

from accounts import revision
from gateway.http import Exchange, Receive, Scope, Send

PATHS = frozenset({"/ping", "/livez", "/readyz", "/health", "/v1/health"})
_DATABASE_TIMEOUT_S = 2.0


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """`/livez` and `/ping`: the event loop turns. The others: the database answers too."""
    ready = scope["path"] in ("/ping", "/livez") or await is_ready()
    status, word = (200, "ok") if ready else (503, "unavailable")
    await Exchange(scope, receive, send).answer(status, msgspec.json.encode({"status": word}))


async def is_ready() -> bool:
    """Whether the database answers."""
    try:
        async with asyncio.timeout(_DATABASE_TIMEOUT_S):
            await asyncio.to_thread(_read)
    except (DatabaseError, InterfaceError, TimeoutError):
        return False
    return True


def _read() -> None:
    try:
        revision.current()
    finally:
        connection.close()
