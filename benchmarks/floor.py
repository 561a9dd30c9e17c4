"""The floor: the least that a gateway on our stack can do. It passes a body on over a pooled session, and back.

`UPSTREAM=http://127.0.0.1:9000 uvicorn benchmarks.floor:application`. No keys, no routes, no books. The garbage
collector is set as the product sets it, so that the ratio shows the product's own work.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ADDRESS = os.environ["UPSTREAM"]
_GC_THRESHOLD = 50_000
_MAX_CONNECTIONS = 2_000


class Floor:
    session: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._pass_on(_ADDRESS + scope["path"], await _body(receive), send)

    async def _pass_on(self, url: str, body: bytes, send: Send) -> None:
        async with self.session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            kind = answer.headers["Content-Type"].encode()
            if kind == b"text/event-stream":
                await send(
                    {"type": "http.response.start", "status": answer.status, "headers": [(b"content-type", kind)]}
                )
                async for chunk in answer.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return
            whole = await answer.read()
            headers = [(b"content-type", kind), (b"content-length", b"%d" % len(whole))]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": whole})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=_MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
        )
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.session.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


application = Floor()
