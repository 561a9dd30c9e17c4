"""An event loop whose shared threads are all taken, by whatever else may wait in them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from tests.servers import PATIENCE_S


@asynccontextmanager
async def all_taken() -> AsyncIterator[None]:
    """Within it, nothing that is given to the loop's default executor comes to its turn."""
    loop, go = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    taken = loop.run_in_executor(None, go.wait, PATIENCE_S)
    try:
        yield
    finally:
        go.set()
        await taken
