"""The front of every web process: data-plane doors first, then static files, then Django."""

# ruff: noqa: E402 - settings come before Django, and Django before what imports models
from __future__ import annotations

import asyncio
import gc
import os
import signal
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aiplatform.settings")

import structlog
from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # first: what follows imports models

from django.conf import settings
from django.db import InterfaceError, OperationalError
from servestatic import ServeStaticASGI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from aiplatform.doors import door_of, is_for_sessions
from aiplatform.pages import Pages
from aiplatform.serving import Serving
from gateway.doors import health, websocket
from gateway.http import Receive, Scope, Send, with_request_id

if TYPE_CHECKING:
    from gateway.session_door import SessionDoor

log = structlog.get_logger(__name__)

_ASK_AGAIN_S = 2.0


class Platform:
    """The ASGI application of `uvicorn aiplatform.asgi:application`."""

    def __init__(self) -> None:
        self._serving = Serving(
            tallies_dir=settings.STATE_DIR / "metrics", is_metrics_port_shared=settings.WEB_WORKERS > 1
        )
        self.gateway = self._serving.gateway
        self._session_door: SessionDoor | None = None
        self._pages = Pages(django_application)
        static = ServeStaticASGI(self._pages, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL)
        trusted = settings.FORWARDED_ALLOW_IPS
        self._rest: Any = ProxyHeadersMiddleware(static, trusted_hosts=trusted)
        self._in_session: Any = ProxyHeadersMiddleware(self._complete_in_session, trusted_hosts=trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            door = door_of(scope)
            if door is not None:
                await self.gateway.serve(door, scope, receive, send)
            elif scope["path"] in health.PATHS:
                await health.answer(scope, receive, send)
            elif is_for_sessions(scope):
                await self._in_session(scope, receive, send)
            else:
                await self._rest(*with_request_id(scope, receive, send))
        elif scope["type"] == "websocket":
            await websocket.serve(self.gateway, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _complete_in_session(self, scope: Any, receive: Any, send: Any) -> None:
        if self._session_door is None:
            await self._pages.load()
            from gateway.session_door import SessionDoor  # noqa: PLC0415 - with the pages, not before

            self._session_door = self._session_door or SessionDoor()
        await self._session_door(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Django answers no lifespan events, so they are ours."""
        await receive()
        try:
            await self._start()
        except Exception as error:  # whatever it is, the server must hear of it, or it would wait for ever
            log.exception("this process cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self._hear_signals()
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _hear_signals(self) -> None:
        """The server tells of its end only when nobody is connected any more, or its grace is over."""
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            signal.signal(number, partial(self._told_to_stop, before=before))

    def _told_to_stop(self, number: int, frame: FrameType | None, *, before: Any) -> None:
        self._serving.told_to_stop()
        before(number, frame)

    async def _start(self) -> None:
        """In production gRPC is a process of its own (`manage.py servegrpc`)."""
        await self._start_with_the_database()
        if settings.GRPC_PORT and not settings.PRODUCTION:
            try:
                await self._serving.start_grpc()
            except RuntimeError as error:  # the port is taken; HTTP is served all the same
                log.warning("gRPC is not served: choose another GRPC_PORT", port=settings.GRPC_PORT, error=str(error))

    async def _start_with_the_database(self) -> None:
        """Wait for it as long as it takes: uvicorn ends all workers where one that takes a dead one's place fails.

        Nobody is answered meanwhile, by this worker.
        """
        while True:
            try:
                await self._serving.start()
            except (OperationalError, InterfaceError) as error:
                why = str(error).partition("\n")[0]
                log.warning("the database does not answer: this process waits for it", error=why)
            else:
                return
            await asyncio.sleep(_ASK_AGAIN_S)
            _end_if_told_to()

    async def _stop(self) -> None:
        await self._serving.stop()
        if self._session_door is not None:
            await self._session_door.stop()


def _end_if_told_to() -> None:
    """Uvicorn notes the signals that come while a process starts, and heeds them once it has started."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if getattr(server, "should_exit", False):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


application = Platform()
