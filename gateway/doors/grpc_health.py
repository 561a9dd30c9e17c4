"""gRPC's standard health service, which needs no key: so of those who watch it there are only so many."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

MOST_WATCHERS = 100  # of a process: load balancers, not callers; each stays for as long as it likes


class Health(HealthServicer):  # type: ignore[misc]  # it publishes no types
    def __init__(self) -> None:
        super().__init__()
        self._watchers = 0

    async def Watch(  # noqa: N802 - the service's own name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        if self._watchers >= MOST_WATCHERS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} watch already. Ask with Check instead."
            )
        self._watchers += 1
        try:
            await super().Watch(request, context)
        finally:
            self._watchers -= 1
