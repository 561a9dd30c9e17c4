"""`/metrics` on a port of its own, open without a key (API.md, section 1)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from gateway.metrics import Tallies, exposition
from gateway.status import provider_statuses

if TYPE_CHECKING:
    from gateway.asgi import Gateway

_WRITE_EVERY_S = 1.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = structlog.get_logger(__name__)


class MetricsServer:
    """One per process. With `is_shared` all processes of a server listen at the same port, and any may answer."""

    def __init__(self, gateway: Gateway, folder: Path, *, host: str, port: int, is_shared: bool) -> None:
        self._gateway = gateway
        pipeline = gateway.pipeline
        self._tallies = Tallies(folder, pipeline.books.tally, misses=lambda: pipeline.cache.misses)
        self._host = host
        self._port = port
        self._is_shared = is_shared
        self._is_failing = False

    async def start(self) -> None:
        """A port that is taken is said in the log, and keeps nobody from calling."""
        self._tallies.open()
        self._writing = asyncio.create_task(self._write())
        application = web.Application()
        application.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, reuse_port=self._is_shared or None)
        try:
            await site.start()
        except OSError as error:
            log.warning("metrics are not served: choose another METRICS_PORT", port=self._port, error=str(error))

    async def stop(self) -> None:
        self._writing.cancel()
        await self._runner.cleanup()
        self._leave_counts()

    async def _answer(self, request: web.Request) -> web.Response:
        del request
        self._leave_counts()
        statuses = provider_statuses(self._gateway)
        # In a thread: with thousands of models it takes a quarter of a second, and calls must go on meanwhile.
        body = await asyncio.to_thread(lambda: exposition(self._tallies.all(), statuses))
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            self._leave_counts()

    def _leave_counts(self) -> None:
        """Where the disk is full, what was written last is told until it has room again."""
        try:
            self._tallies.write()
        except OSError as error:
            if not self._is_failing:
                log.warning("metrics are not up to date: they cannot be written", error=str(error))
            self._is_failing = True
        else:
            self._is_failing = False
