"""The request path's side of the ledger: what is reserved, settled and noted, whatever becomes of the request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from gateway.failures import over_budget
from gateway.metrics import Tally
from usage.budgets import BudgetExceededError
from usage.idempotency import Answer
from usage.ledger import Extend, Note, Reserve, Settle, Void
from usage.rows import RecordRow
from usage.writer import LedgerUnavailableError, Writer
from wire.errors import ApiError, Code

# Before and after what is late is cancelled: a settle that has begun is written whoever cancels it, but it must begin.
_BEGIN_S, _SETTLE_S = 1.0, 2.0

log = structlog.get_logger(__name__)


class Bookkeeper:
    """One per process, on its event loop.

    `ended` hears of each dispatch's end, before it is written; `hearers` of each row, once it is durable.
    """

    def __init__(self, writer: Writer, ended: Callable[[RecordRow], None]) -> None:
        self._writer = writer
        self.tally = Tally()
        self.hearers: list[Callable[[RecordRow], None]] = [self.tally.add]
        self._ended = ended
        self._detached: set[asyncio.Task[Any]] = set()

    @property
    def lease_id(self) -> UUID:
        return self._writer.lease_id

    @property
    def now(self) -> datetime:
        """The database's time."""
        return self._writer.now

    async def reserve(self, entry: Reserve | Extend) -> None:
        """Returns when the hold, or its extension, is durable.

        Raises `ApiError` where a hard budget has no room, or cannot be asked.
        """
        written = self._writer.write(entry)
        try:
            await written
        except asyncio.CancelledError:
            # One that is still under way the writer takes back by itself.
            if isinstance(entry, Reserve) and not written.cancelled() and written.exception() is None:
                self.take_back(entry.hold.id)
            raise
        except BudgetExceededError as error:
            raise over_budget(error) from error
        except LedgerUnavailableError as error:
            raise ApiError(
                Code.LEDGER_UNAVAILABLE, "The usage ledger cannot be written now; nothing was sent.", retry_after_s=1
            ) from error

    def take_back(self, hold_id: UUID) -> None:
        """End a hold whose dispatch never happened."""
        self._writer.write(Void(hold_id))

    async def settle(self, record: RecordRow, answer: Answer | None = None) -> None:
        """Returns when the record is durable. It is written even if nobody waits for that any more."""
        self._ended(record)
        try:
            await self._writer.write(Settle(record, answer=answer))
            self._tell(record)
        except LedgerUnavailableError:
            log.exception(
                "a call could not be settled; its hold will be", request_id=record.request_id, hold=str(record.id)
            )

    def _tell(self, record: RecordRow) -> None:
        for hear in self.hearers:
            hear(record)

    async def note(self, record: RecordRow) -> None:
        """A row of a call that was not sent."""
        try:
            await self._writer.write(Note(record))
            self._tell(record)
        except LedgerUnavailableError:
            log.exception("a call that was not sent could not be recorded", request_id=record.request_id)

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let `work` finish whatever becomes of the request."""
        task = asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        return task

    async def stop(self, *, within_s: float) -> None:
        """Wait for what callers have left behind; what takes longer is cancelled, and settles as it stands."""
        await self._detached_end(max(within_s, _BEGIN_S))
        for task in self._detached:
            task.cancel()
        await self._detached_end(_SETTLE_S)

    async def _detached_end(self, limit_s: float) -> None:
        """Wait for them, and for those that they detach in their turn."""
        until = time.monotonic() + limit_s
        while self._detached and (left_s := until - time.monotonic()) > 0:
            await asyncio.wait(self._detached, timeout=left_s)
