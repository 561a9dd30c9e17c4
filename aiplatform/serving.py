"""The gateway, its metrics and its gRPC door, as the settings ask for them: for web processes, and for `servegrpc`."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from aiplatform.stopping import GRACE_S
from gateway.asgi import Gateway

if TYPE_CHECKING:
    import grpc

    from gateway.metrics_server import MetricsServer

_MOST_FILES = 65_536  # more than 30,000 calls under way in one process


class Serving:
    """The gateway of a process, with `/metrics` beside it, and gRPC where it is asked for.

    `tallies_dir`: where the processes leave their counts whose metrics are told together; `is_metrics_port_shared`:
    each of them listens at METRICS_PORT.
    """

    def __init__(self, *, tallies_dir: Path, is_metrics_port_shared: bool) -> None:
        self.gateway = _new_gateway()
        self._tallies_dir = tallies_dir
        self._is_metrics_port_shared = is_metrics_port_shared
        self._metrics: MetricsServer | None = None
        self._grpc: grpc.aio.Server | None = None
        self._cut_at: float | None = None

    async def start(self) -> None:
        """Raises django.db.Error where the database is away."""
        _open_as_many_files_as_may_be()
        await self.gateway.start()
        if settings.METRICS_PORT:
            self._metrics = _new_metrics(
                self.gateway, tallies_dir=self._tallies_dir, is_shared=self._is_metrics_port_shared
            )
            await self._metrics.start()

    async def start_grpc(self) -> None:
        """Once the rest has started.

        Raises RuntimeError where the port is taken, OSError where the certificate cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        self._grpc = await _start_grpc(self.gateway)

    def told_to_stop(self) -> None:
        """The grace begins, unless it has: may be called in the handler of a signal.

        gRPC takes no new calls from then on; whoever serves HTTP sees to that itself.
        """
        if self._cut_at is None:
            self._cut_at = time.monotonic() + GRACE_S
            if self._grpc is not None:
                asyncio.run_coroutine_threadsafe(self._grpc.stop(GRACE_S), self._loop)

    async def stop(self) -> None:
        """Calls under way may go on until the grace is over; what is left then is cut off, and settled as it stands."""
        self.told_to_stop()
        if self._grpc is not None:
            await self._grpc.stop(self._left_s())
        await self.gateway.stop(within_s=self._left_s())
        if self._metrics is not None:  # last, so that the last calls are in it
            await self._metrics.stop()

    def _left_s(self) -> float:
        return 0.0 if self._cut_at is None else max(self._cut_at - time.monotonic(), 0.0)


def _open_as_many_files_as_may_be() -> None:
    """A call under way has two sockets, and many systems allow 1,024 files until they are asked for more."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(_MOST_FILES, most)
    while few < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        except (ValueError, OSError):  # the kernel's own bound may lie below the hard limit, as it does on macOS
            wanted //= 2
        else:
            return


def _new_gateway() -> Gateway:
    return Gateway(
        max_body_bytes=settings.MAX_BODY_BYTES,
        journal_dir=settings.STATE_DIR / "journal",
        redis_url=settings.REDIS_URL,
        cache_ttl_s=settings.CACHE_TTL_S,
        workers=settings.WEB_WORKERS,
        most_waiting=settings.QUEUE_LENGTH,
        longest_wait_s=settings.QUEUE_TIMEOUT_S,
        tracing=settings.TRACING,
    )


def _new_metrics(gateway: Gateway, *, tallies_dir: Path, is_shared: bool) -> MetricsServer:
    """Of a gateway that has started."""
    from gateway.metrics_server import MetricsServer  # noqa: PLC0415  # as below

    return MetricsServer(gateway, tallies_dir, host=settings.HOST, port=settings.METRICS_PORT, is_shared=is_shared)


async def _start_grpc(gateway: Gateway) -> grpc.aio.Server:
    from gateway import grpc_server  # noqa: PLC0415  # its import takes a tenth of a second, and not all serve it

    return await grpc_server.start(
        gateway,
        host=settings.HOST,
        port=settings.GRPC_PORT,
        tls=settings.GRPC_TLS,
        is_shared=settings.WEB_WORKERS > 1,
    )
