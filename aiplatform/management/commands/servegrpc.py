"""`manage.py servegrpc`: specification C's gRPC door as a process of its own, as production runs it."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from aiplatform.serving import Serving
from aiplatform.supervisor import StartError, check_certificate, check_port


class Command(BaseCommand):
    help = "Serve gRPC on GRPC_PORT until it is told to stop."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.GRPC_PORT:
            raise CommandError("GRPC_PORT is 0: there is nothing to serve.")
        try:
            is_shared = settings.WEB_WORKERS > 1
            check_port(settings.HOST, settings.GRPC_PORT, setting="GRPC_PORT", is_shared=is_shared)
            if settings.GRPC_TLS:
                check_certificate(*settings.GRPC_TLS)
            asyncio.run(_serve())
        except (StartError, RuntimeError, OSError) as error:
            raise CommandError(str(error)) from None
        except Error as error:
            raise CommandError(f"The database does not answer: {str(error).splitlines()[0]}") from None


async def _serve() -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # The web workers of this host know nothing of its counts, nor it of theirs: were it to share their port, Prometheus
    # would be told now the ones and now the others.
    tallies = settings.STATE_DIR / "metrics" / f"grpc-{settings.METRICS_PORT}"
    serving = Serving(tallies_dir=tallies, is_metrics_port_shared=False)
    await serving.start()
    try:
        await serving.start_grpc()
        await stopping.wait()
    finally:
        await serving.stop()
