"""Django's pages and its API, loaded when first asked for: most workers of an installation serve calls alone.

Django keeps a thread, and with it a connection to the database, for each request under way: so many at once, no more.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import get_resolver, reverse

from gateway.http import Receive, Scope, Send

AT_ONCE = 64
MOST_WAITING = 1_000
_BUSY = b"The platform is busy. Try again in a moment."


class Pages:
    """The ASGI application in front of Django's. Whoever asks first waits for a thread; calls go on meanwhile."""

    def __init__(self, django: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._django = django
        self._loading = asyncio.Lock()
        self._are_loaded = False
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._are_loaded:
            await self._load()
        if self._waiting >= MOST_WAITING:
            await _refuse(send)
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

    async def _load(self) -> None:
        async with self._loading:
            if not self._are_loaded:
                await asyncio.to_thread(_import_pages)
                gc.freeze()  # all that came stays, and no collection shall look through it
                self._are_loaded = True


async def _refuse(send: Send) -> None:
    length = b"%d" % len(_BUSY)
    headers = [(b"content-type", b"text/plain"), (b"content-length", length), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _BUSY})


def _import_pages() -> None:
    """Else Django would do it on the event loop, with its first request."""
    get_resolver().resolve("/admin/login/")
    reverse("admin:index")
