"""The gRPC server: specification C's service, health and reflection behind one guard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.doors.grpc import SERVICE, AIProxy, Guard
from gateway.doors.grpc_health import Health

if TYPE_CHECKING:
    from gateway.asgi import Gateway

MOST_AT_ONCE = 2_000  # calls of a process; beyond it they are refused with RESOURCE_EXHAUSTED
# Then its client connects anew, and hears of pods that have come since. Calls under way stay where they are, however
# long they last: the grace (grpc.max_connection_age_grace_ms) has no end unless it is given one.
CONNECTION_AGE_S = 300
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

log = structlog.get_logger(__name__)


async def start(
    gateway: Gateway, *, host: str, port: int, tls: tuple[Path, Path] | None, is_shared: bool
) -> grpc.aio.Server:
    """`tls`: files of a certificate (a chain, PEM) and its key. `is_shared`: several processes have this port.

    Raises RuntimeError where the port is taken, OSError where the certificate cannot be read.
    """
    service = AIProxy(gateway)
    server = grpc.aio.server(
        interceptors=[Guard(service)],
        maximum_concurrent_rpcs=MOST_AT_ONCE,
        options=[
            ("grpc.max_receive_message_length", gateway.max_body_bytes),
            ("grpc.so_reuseport", int(is_shared)),
            ("grpc.max_connection_age_ms", CONNECTION_AGE_S * 1000),
        ],
    )
    server.add_generic_rpc_handlers((service.handlers(),))
    health = Health()
    for name in ("", SERVICE):
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((SERVICE, _HEALTH, reflection.SERVICE_NAME), server)
    address = f"{host}:{port}"
    if tls:
        server.add_secure_port(address, _credentials(*tls))
    else:
        server.add_insecure_port(address)
    await server.start()
    log.info("gRPC is served", address=address, tls=tls is not None)
    return server


def _credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
