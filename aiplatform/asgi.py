"""The front of every web process: data-plane doors first, then static files, then Django."""

# ruff: noqa: E402 - settings come before Django, and Django before what imports models
from __future__ import annotations

import gc
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aiplatform.settings")

import structlog
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # first: what follows imports models

from django.conf import settings
from servestatic import ServeStaticASGI

from gateway.asgi import Door, Gateway
from gateway.authentication import carries_key
from gateway.doors import anthropic, health, nowhere, openai, spec_a, spec_b, spec_c, spec_d, spec_e
from gateway.http import Receive, Scope, Send, with_request_id

log = structlog.get_logger(__name__)

_GC_THRESHOLD = 50_000
_DOORS = (openai, anthropic, spec_a, spec_b, spec_c, spec_d, spec_e)
ROUTES = {route: door for doors in _DOORS for route, door in doors.ROUTES.items()}
# Tried in this order; a prefix without a method is for all of them.
PREFIXES = [
    *openai.PREFIXES.items(),
    *spec_b.PREFIXES.items(),
    *((("", prefix), Door("nowhere", dialect, nowhere.refuse)) for prefix, dialect in nowhere.DIALECTS.items()),
]


class Platform:
    """The ASGI application of `uvicorn aiplatform.asgi:application`."""

    def __init__(self) -> None:
        self.gateway = Gateway(max_body_bytes=settings.MAX_BODY_BYTES, journal_dir=settings.STATE_DIR / "journal")
        self._rest = ServeStaticASGI(django_application, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            door = _door(scope)
            if door is not None:
                await self.gateway.serve(door, scope, receive, send)
            elif scope["path"] in health.PATHS:
                await health.answer(scope, receive, send)
            else:
                await self._rest(*with_request_id(scope, receive, send))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Django answers no lifespan events, so they are ours."""
        await receive()
        try:
            await self.gateway.start()
        except Exception as error:  # whatever it is, the server must hear of it, or it would wait for ever
            log.exception("this process cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.gateway.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _door(scope: Scope) -> Door | None:
    """The data-plane door of a request, by one look-up in most cases."""
    method, path = scope["method"], scope["path"]
    door = ROUTES.get((method, path))
    if door is None and path not in health.PATHS:
        return next((each for (verb, start), each in PREFIXES if verb in (method, "") and path.startswith(start)), None)
    # Browser sessions take the DRF action of the same path, which checks their CSRF token.
    return None if (method, path) in spec_d.PATHS and not carries_key(scope) else door


application = Platform()
