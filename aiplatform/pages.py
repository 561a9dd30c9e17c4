"""Django's pages and its API, loaded when first asked for: most workers of an installation serve calls alone.

Django keeps a thread, and with it a connection to the database, for each request under way: so many at once, no more.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.urls import get_resolver, reverse

from gateway.doors import plain_errors
from gateway.failures import BUSY, error_headers
from gateway.http import JSON, Exchange, Receive, Scope, Send
from wire.errors import ApiError, Code

AT_ONCE = 64
MOST_WAITING = 1_000
BODY_S = 60.0  # within which a body must have come: who asks has a place meanwhile, and need not have signed in


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
            await _refuse(BUSY, Exchange(scope, receive, send).request_id, send)
            return
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        body = _Body(receive)
        try:
            await self._django(scope, body.receive, send)
        finally:
            self._room.release()
        if body.refusal is not None:
            await _refuse(body.refusal, Exchange(scope, receive, send).request_id, send)

    async def load(self) -> None:
        """Once."""
        if self._are_loaded:
            return
        async with self._loading:
            if not self._are_loaded:
                await asyncio.to_thread(_import_pages)
                gc.freeze()  # all that came stays, and no collection shall look through it
                self._are_loaded = True


class _Body:
    """A request's body, which Django would read to its end, however long that is and takes. It is told that its caller
    has left where that is too much; then `refusal` says why, and nothing has been answered.
    """

    def __init__(self, receive: Receive) -> None:
        self.refusal: ApiError | None = None
        self._receive = receive
        self._until = asyncio.get_running_loop().time() + BODY_S
        self._left_bytes: int = settings.MAX_BODY_BYTES
        self._is_whole = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            self.refusal = ApiError(Code.INVALID_REQUEST, f"The body has not come within {BODY_S:g} s.", status=408)
            return {"type": "http.disconnect"}
        self._left_bytes -= len(message.get("body", b""))
        if self._left_bytes < 0:
            self.refusal = ApiError(
                Code.PAYLOAD_TOO_LARGE, f"The body is larger than {settings.MAX_BODY_BYTES:,} bytes."
            )
            return {"type": "http.disconnect"}
        self._is_whole = not message.get("more_body", False)
        return message


async def _refuse(error: ApiError, request_id: str, send: Send) -> None:
    body = plain_errors.encode_error(error, request_id=request_id, operation="page")
    headers = [JSON, (b"content-length", b"%d" % len(body)), *error_headers(error)]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _import_pages() -> None:
    """Else Django would do it on the event loop, with its first request."""
    get_resolver().resolve("/admin/login/")
    reverse("admin:index")
