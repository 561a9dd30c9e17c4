"""`manage.py servegrpc`: specification C's gRPC door as a process of its own, as production runs it."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from aiplatform.serving import new_gateway, start_grpc

_GRACE_S = 20.0


class Command(BaseCommand):
    help = "Serve gRPC on GRPC_PORT until it is told to stop."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.GRPC_PORT:
            raise CommandError("GRPC_PORT is 0: there is nothing to serve.")
        try:
            asyncio.run(_serve())
        except (RuntimeError, OSError) as error:
            raise CommandError(str(error)) from None


async def _serve() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gateway = new_gateway()
    await gateway.start()
    try:
        server = await start_grpc(gateway)
        await stopping.wait()
        await server.stop(_GRACE_S)
    finally:
        await gateway.stop()
