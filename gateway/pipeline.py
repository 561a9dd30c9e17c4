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
from gateway.admission import Admission, Admissions
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.cache.responses import ResponseCache
from gateway.calls import Call
from gateway.catalogue import Catalogue
from gateway.idempotency import Idempotency
from gateway.plans import Plan
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

        plans -> kept answers -> limits -> idempotency -> equal calls under way -> attempts (each: slot, circuit and
        key, hold, dispatch) -> settled
        """
        plans = self._plans(call)
        asked = self.cache.asked(call, plans)
        if asked is not None and (kept := await self.cache.kept(call, asked, self._counted, self.books)) is not None:
            return kept
        admission = await self._admitted(call, plans)
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

    def _plans(self, call: Call) -> list[Plan]:
        """The candidates in the order of trying. Raises `ApiError` where there is none."""
        try:
            return gateway_plans.plans(call, self.catalogue.current, self.board, now=call.started_at)
        except ApiError as refusal:
            self.books.detach(self.books.note(settlement.refusal(call, refusal)))
            raise

    async def _counted(self, call: Call) -> None:
        """A call that needs no provider, by its caller's limits. Raises `ApiError` RATE_LIMITED."""
        try:
            await self.admissions.count(call)
        except ApiError as refusal:
            self.books.detach(self.books.note(settlement.refusal(call, refusal)))
            raise

    async def _admitted(self, call: Call, plans: list[Plan]) -> Admission | None:
        """None where nothing limits it. Raises `ApiError` RATE_LIMITED."""
        try:
            return await self.admissions.admit(call, plans, self.catalogue.current.capacity)
        except ApiError as refusal:
            self.books.detach(self.books.note(settlement.refusal(call, refusal)))
            raise

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let `work` finish whatever becomes of the request."""
        return self.books.detach(work)

    async def stop(self) -> None:
        """Wait for what callers have left behind."""
        await self.books.stop()
