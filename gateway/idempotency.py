"""`Idempotency-Key`: the same client, key and body get the same answer, from one call to a provider.

The ledger decides, in the transaction of the call's first hold (`usage.idempotency`). In this process later calls wait
for the first one's answer; where that runs elsewhere, or was cut off, they are told so, and by which usage row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError

from core.ids import uuid7
from gateway import settlement
from gateway.cache import keys, remembered
from gateway.cache.flights import MOST_FOLLOWED, Books, Dispatch, Flights
from gateway.cache.replay import replay
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.database_thread import DatabaseThread
from gateway.http import CallerLeftError
from gateway.replies import Reply, Stream
from usage import idempotency as kept_keys
from usage.idempotency import Claim, Kept, KeyInUseError
from usage.models import UsageRecord
from wire.errors import ApiError, Code

_FREE_S = 1.0

log = structlog.get_logger(__name__)


class Idempotency:
    """One per process, on its event loop."""

    def __init__(self, free: Callable[[UUID], None] = kept_keys.free) -> None:
        self._flights: Flights[tuple[str, str, str]] = Flights()
        self._free = free
        self._thread = DatabaseThread("idempotency")  # ends with the process

    def answer(self, call: Call, dispatch: Dispatch, books: Books) -> Awaitable[Reply | Stream]:
        """The one answer under the call's key, or what `dispatch` makes of it.

        Raises as `dispatch`, and `ApiError` IDEMPOTENCY_CONFLICT.
        """
        return self._once(call, dispatch, books) if call.idempotency_key else dispatch(call)

    async def _once(self, call: Call, dispatch: Dispatch, books: Books) -> Reply | Stream:
        claim = _claim(call)
        same = (claim.client, claim.key, claim.fingerprint)
        for _ in range(MOST_FOLLOWED):
            flight = self._flights.find(same)
            answer = await flight.follow(call, books) if flight else None
            if answer is not None and (told := await replay(call, answer, books)):
                return told

        async def make(call: Call) -> Reply | Stream:
            try:
                return await dispatch(call)
            except (ApiError, CallerLeftError):
                await self._give_back(claim)
                raise

        try:
            claiming = msgspec.structs.replace(call, claim=claim)
            return await self._flights.lead(same, claiming, make, keep=_keep_nothing, books=books)
        except KeyInUseError as error:
            answer = _answer(claim, error.kept)
            if answer is not None and (told := await replay(call, answer, books)):
                return told
            conflict = _conflict(claim, error.kept)
            books.detach(books.note(settlement.refusal(call, conflict)))
            raise conflict from error

    async def _give_back(self, claim: Claim) -> None:
        """The call has failed, or was left between two attempts: its caller may try again."""
        if self._thread.is_full:
            log.warning("an idempotency key could not be freed: the database hangs", request_id=claim.request_id)
            return
        try:
            async with asyncio.timeout(_FREE_S):
                await self._thread.run(self._free, claim.id)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            log.warning("an idempotency key could not be freed", request_id=claim.request_id, error=str(error))


def _claim(call: Call) -> Claim:
    return Claim(
        id=uuid7(),
        client=call.caller.client,
        key=call.idempotency_key,
        fingerprint=keys.fingerprint(call),
        request_id=call.request_id,
        created_at=call.started_at,
    )


def _answer(claim: Claim, kept: Kept) -> Stored | None:
    same = kept.answer is not None and kept.fingerprint == claim.fingerprint
    return remembered.opened(kept.answer) if same and kept.answer else None


def _conflict(claim: Claim, kept: Kept) -> ApiError:
    """Why there is no answer, and where the books say what became of the call."""
    row = f"its usage row is {kept.hold_id}, of request {kept.request_id}"
    if kept.fingerprint != claim.fingerprint:
        message = f"This Idempotency-Key was used for another body ({row}). A new call needs a new key."
    elif not kept.status:
        message = f"The call with this Idempotency-Key is still running, or was cut off: {row}."
    elif kept.status == UsageRecord.Status.INTERRUPTED:
        message = (
            f"The call with this Idempotency-Key was cut off, and may have been answered and billed: {row}. "
            "To make it again, send a new key."
        )
    else:
        message = f"The call with this Idempotency-Key has been made, and its answer is not kept: {row}."
    return ApiError(Code.IDEMPOTENCY_CONFLICT, message, param="Idempotency-Key")


async def _keep_nothing(answer: Stored) -> None:
    """The ledger has it, with the call's record."""
