"""Django's pages and its API, loaded when first asked for: most workers of an installation serve calls alone.

Django keeps a thread, and with it a connection to the database, for each request under way: so many at once, no more.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import get_resolver, reverse

from gateway.doors import plain_errors
from gateway.failures import error_headers
from gateway.http import JSON, Exchange, Receive, Scope, Send
from wire.errors import ApiError, Code

AT_ONCE = 64
MOST_WAITING = 1_000
_BUSY = ApiError(Code.QUEUE_FULL, "The platform is busy. Try again in a moment.", retry_after_s=5)


class Pages:
    """The ASGI application in front of Django's. Whoever asks first waits for a thread; calls go on meanwhile."""

    def __init__(self, django: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._django = django
        self._loading = asyncio.Lock()
        self._are_loaded = False
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.load()
        if self._waiting >= MOST_WAITING:
            await _refuse(Exchange(scope, receive, send).request_id, send)
            return
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            await self._django(scope, receive, send)
        finally:
            self._room.release()

    async def load(self) -> None:
        """Once."""
        if self._are_loaded:
            return
        async with self._loading:
            if not self._are_loaded:
                await asyncio.to_thread(_import_pages)
                gc.freeze()  # all that came stays, and no collection shall look through it
                self._are_loaded = True


async def _refuse(request_id: str, send: Send) -> None:
    body = plain_errors.encode_error(_BUSY, request_id=request_id, operation="page")
    headers = [JSON, (b"content-length", b"%d" % len(body)), *error_headers(_BUSY)]
    await send({"type": "http.response.start", "status": _BUSY.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _import_pages() -> None:
    """Else Django would do it on the event loop, with its first request."""
    get_resolver().resolve("/admin/login/")
    reverse("admin:index")
