"""Django's pages and its API, loaded when first asked for: most workers of an installation serve calls alone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import get_resolver, reverse

from gateway.http import Receive, Scope, Send


class Pages:
    """The ASGI application in front of Django's. Whoever asks first waits for a thread; calls go on meanwhile."""

    def __init__(self, django: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._django = django
        self._loading = asyncio.Lock()
        self._are_loaded = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._are_loaded:
            await self._load()
        await self._django(scope, receive, send)

    async def _load(self) -> None:
        async with self._loading:
            if not self._are_loaded:
                await asyncio.to_thread(_import_pages)
                gc.freeze()  # all that came stays, and no collection shall look through it
                self._are_loaded = True


def _import_pages() -> None:
    """Else Django would do it on the event loop, with its first request."""
    get_resolver().resolve("/admin/login/")
    reverse("admin:index")
