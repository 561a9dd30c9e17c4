"""The story of one call: who may answer it, and its way to the answer.

Every door enters here: REST, the DRF actions, gRPC, WebSocket. What goes to a provider, and how the call survives its
providers, is told in `attempts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import msgspec

from core.http1 import Session
from gateway import plans as gateway_plans
from gateway import settlement
from gateway.admission import Admissions
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.cache.responses import ResponseCache
from gateway.calls import Call
from gateway.catalogue import Catalogue
from gateway.idempotency import Idempotency
from gateway.replies import Reply, Stream, left_behind
from providers.resilience.board import Board
from usage.writer import Writer
from wire.errors import ApiError


class Pipeline:
    """One per process, on its event loop."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        writer: Writer,
        session: Session,
        cache: ResponseCache,
        admissions: Admissions,
    ) -> None:
        self.catalogue = catalogue
        self.cache = cache
        self.board = Board()
        self.admissions = admissions
        self.books = Bookkeeper(writer, admissions.settled)
        self._idempotency = Idempotency()
        self._attempts = Attempts(books=self.books, session=session, board=self.board)

    async def complete(self, call: Call) -> Reply | Stream:
        """The answer to `call`, settled; or, for a stream, its beginning. Raises `ApiError`, which has its row.

        ways -> kept answers -> plans -> limits -> idempotency -> equal calls under way -> attempts (each: slot, circuit
        and key, hold, dispatch) -> settled
        """
        snapshot, now = self.catalogue.current, call.started_at
        try:
            ways = gateway_plans.ways(call, snapshot, self.board, now=now)
            asked = self.cache.asked(call, ways)
            kept = await self.cache.kept(call, asked, self.admissions.count, self.books) if asked else None
            if kept is not None:
                return kept
            plans = gateway_plans.plans(call, snapshot, ways, now=now)
            admission = await self.admissions.admit(call, plans, snapshot.capacity)
        except ApiError as refusal:
            self.books.detach(self.books.note(settlement.refusal(call, refusal)))
            raise
        if admission is not None:
            plans = admission.plans

        dispatched = partial(self._attempts.make, plans=plans, admission=admission)
        shared = partial(self.cache.answer, asked=asked, dispatch=dispatched, books=self.books)
        try:
            return await self._idempotency.answer(call, shared, self.books)
        finally:
            if admission is not None:
                admission.close()

    async def complete_apart(self, call: Call) -> Reply | Stream:
        """The same, for doors that are cancelled when their caller leaves: the call itself is not, it hears of it."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = self.detach(self.complete(msgspec.structs.replace(call, watch=lambda: gone)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            gone.set_result(None)
            self.detach(left_behind(task))
            raise

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let `work` finish whatever becomes of the request."""
        return self.books.detach(work)

    async def stop(self, *, within_s: float) -> None:
        """Wait for what callers have left behind."""
        await self.books.stop(within_s=within_s)
