"""The gateway and its gRPC door, as the settings ask for them: for the web processes, and for `servegrpc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from gateway.asgi import Gateway

if TYPE_CHECKING:
    import grpc

    from gateway.metrics_server import MetricsServer


def new_gateway() -> Gateway:
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


def new_metrics(gateway: Gateway) -> MetricsServer:
    """Of a gateway that has started."""
    from gateway.metrics_server import MetricsServer  # noqa: PLC0415  # as below

    return MetricsServer(
        gateway,
        settings.STATE_DIR / "metrics",
        host=settings.HOST,
        port=settings.METRICS_PORT,
        is_shared=settings.WEB_WORKERS > 1,
    )


async def start_grpc(gateway: Gateway) -> grpc.aio.Server:
    """Raises RuntimeError where the port is taken, OSError where the certificate cannot be read."""
    from gateway import grpc_server  # noqa: PLC0415  # its import takes a tenth of a second, and not all serve it

    return await grpc_server.start(
        gateway,
        host=settings.HOST,
        port=settings.GRPC_PORT,
        certificate=settings.GRPC_TLS_CERTIFICATE,
        key=settings.GRPC_TLS_KEY,
        is_shared=settings.WEB_WORKERS > 1,
    )
