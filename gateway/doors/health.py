"""The doors that need no key: they say whether this process works, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from django.db import DatabaseError, InterfaceError, connection

from accounts import revision
from gateway.http import Exchange, Receive, Scope, Send

PATHS = frozenset({"/ping", "/livez", "/readyz", "/health", "/v1/health"})
_PATIENCE_S = 2.0
_FRESH_S = 0.5
_GIVEN_UP_S = 10.0
# Of their own: whoever else waits for a thread, we are ready all the same. Two, as one look may hang.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="readiness")


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """`/livez` and `/ping`: the event loop turns. The others: the database answers too."""
    ready = scope["path"] in ("/ping", "/livez") or await is_ready()
    status, word = (200, "ok") if ready else (503, "unavailable")
    await Exchange(scope, receive, send).answer(status, msgspec.json.encode({"status": word}))


async def is_ready() -> bool:
    """Whether the database answers, or did half a second ago."""
    return await _READINESS.found()


class Readiness:
    """One look at a time for all who ask, as anybody may: each takes a thread, and a connection to the database.

    `look` blocks, and says whether all is well.
    """

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._looking: asyncio.Future[bool] | None = None
        self._began = 0.0

    async def found(self) -> bool:
        """False where nothing is found within 2 s; later askers wait for the same look, for as long as 10 s."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await asyncio.shield(self._under_way())
        except TimeoutError:
            return False

    def _under_way(self) -> asyncio.Future[bool]:
        loop = asyncio.get_running_loop()
        known = self._looking
        if known is not None and known.get_loop() is loop:
            age_s = loop.time() - self._began
            if age_s < (_FRESH_S if known.done() else _GIVEN_UP_S):
                return known
        self._began = loop.time()
        self._looking = loop.run_in_executor(_THREADS, self._look)
        return self._looking


def _database_answers() -> bool:
    try:
        revision.current()
    except (DatabaseError, InterfaceError):
        return False
    finally:
        connection.close()
    return True


_READINESS = Readiness(_database_answers)
