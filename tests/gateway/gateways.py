"""Gateways in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from django.db import connection

from gateway.asgi import Gateway


def unstarted(folder: Path) -> Gateway:
    """For callers who come no further than the door."""
    return Gateway(
        max_body_bytes=1_000,
        journal_dir=folder,
        redis_url="",
        cache_ttl_s=60,
        workers=1,
        most_waiting=1,
        longest_wait_s=1,
    )


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Gateway]:
    """On the test's database, whose rows must be committed."""
    gateway = unstarted(folder)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop(within_s=0)
        await let_go(gateway)


async def let_go(gateway: Gateway) -> None:
    """Of the connection that the product leaves to the end of its process."""
    reader = gateway.pipeline.catalogue._reader
    await asyncio.get_running_loop().run_in_executor(reader, _close_connection)


def _close_connection() -> None:
    """Of the thread that runs this."""
    connection.close()
