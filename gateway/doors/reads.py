"""What doors read of the database, off the event loop, in threads of their own.

A report may take the database long. The loop's own threads look up hosts, and do what calls wait for: nothing that
anybody may ask for, as often as he likes, must take those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from wire.errors import ApiError, Code

AT_ONCE = 4
LONGEST_S = 30.0  # of one statement, where the database is PostgreSQL; SQLite knows no such bound

P = ParamSpec("P")
T = TypeVar("T")


class Reads:
    """Of one kind, which wait for each other alone: AT_ONCE in the database, and `most_waiting` with those."""

    def __init__(self, name: str, *, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=name)
        self._most_waiting = most_waiting
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns. Raises `ApiError`: LEDGER_UNAVAILABLE where the database is away, and QUEUE_FULL."""

        def in_thread() -> T:
            try:
                _bound()
                return function(*args, **kwargs)
            finally:
                connection.close()

        if self._waiting >= self._most_waiting:
            raise ApiError(Code.QUEUE_FULL, "Too many wait for the database. Try again in a moment.", retry_after_s=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, in_thread)
        except (DatabaseError, InterfaceError) as error:
            message = f"The database cannot be read now, or takes longer than {LONGEST_S:.0f} s for this."
            raise ApiError(Code.LEDGER_UNAVAILABLE, message, retry_after_s=5) from error
        finally:
            self._waiting -= 1


def _bound() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {LONGEST_S * 1000:.0f}")
