"""A thread that reads the database for the event loop, over a connection that it keeps while there is work.

It does all that waits, and then tells the loop of it at once: where many ask, handing each its own costs more than
finding it. More threads would only take turns at the interpreter.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from django.db import InterfaceError, OperationalError, connection

from gateway.patience import patience

MOST_WAITING = 1_000
MOST_AT_ONCE = 32
PATIENCE_S = 10.0
_IDLE_S = 10.0  # then the connection is given back

T = TypeVar("T")


class _Job(msgspec.Struct, eq=False):
    """`error` or, where that is None, `found` is what it came to."""

    work: Callable[..., Any]
    args: tuple[Any, ...]
    done: asyncio.Future[Any]
    found: Any = None
    error: Exception | None = None


class DatabaseThread:
    """Of one event loop. Started by the first work that comes; ends with `stop`, or with the process.

    `before` is called in it ahead of each lot of work, all of which was waiting by then.
    """

    def __init__(self, name: str, *, before: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._before = before
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_full(self) -> bool:
        """Whether nobody more should be let in to wait."""
        return self._jobs.qsize() >= MOST_WAITING

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """What `work` returns or raises. Where the kept connection turns out broken, it is begun anew.

        Raises OperationalError where it takes longer than PATIENCE_S.
        """
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, args=[loop], name=self._name, daemon=True)
            self._thread.start()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, args, done))
        try:
            with patience().within(PATIENCE_S):
                return await done
        except TimeoutError as error:
            raise OperationalError("The database takes too long to answer.") from error

    async def stop(self) -> None:
        """Once nobody waits any more."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(thread.join, PATIENCE_S)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        goes_on = True
        while goes_on:
            taken = self._taken()
            jobs = [job for job in taken if job is not None]
            self._before()
            for job in jobs:
                _do(job)
            if jobs:
                loop.call_soon_threadsafe(_tell, jobs)
            goes_on = len(jobs) == len(taken)
            del taken, jobs  # else they would stay, with their requests, until the next come
        connection.close()

    def _taken(self) -> list[_Job | None]:
        """What waits, once there is something. None is the end of it."""
        try:
            first = self._jobs.get(timeout=_IDLE_S)
        except queue.Empty:
            connection.close()
            first = self._jobs.get()
        return [first, *(self._jobs.get() for _ in range(min(self._jobs.qsize(), MOST_AT_ONCE - 1)))]


def _do(job: _Job) -> None:
    if job.done.cancelled():
        return
    try:
        job.found = _over_a_connection(job)
    except Exception as error:  # noqa: BLE001 - whatever it is, who waits must hear of it
        job.error = error


def _over_a_connection(job: _Job) -> Any:
    """Raises what its work raises. No connection that has failed is kept.

    One that was kept may have been broken for long: only then is the work done anew. SQLite's do not break: there the
    others would wait another time for whoever has it locked.
    """
    may_be_broken = connection.connection is not None and connection.vendor != "sqlite"
    try:
        return job.work(*job.args)
    except (OperationalError, InterfaceError):
        connection.close()
        if not may_be_broken:
            raise
    try:
        return job.work(*job.args)
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def _tell(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.done.done():  # who waited has gone
            continue
        if job.error is not None:
            job.done.set_exception(job.error)
        else:
            job.done.set_result(job.found)
