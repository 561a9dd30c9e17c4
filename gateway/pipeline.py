"""The story of one call, from its candidates to its answer.

Every door enters here: REST, the DRF actions, gRPC, WebSocket. Nothing is sent to a provider before its hold is
durable, and no plain answer leaves before its record is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

import aiohttp
import msgspec
import structlog

from gateway import plans as gateway_plans
from gateway import settlement
from gateway.calls import Call
from gateway.catalogue import Catalogue
from gateway.failures import api_error, over_budget
from gateway.http import CallerLeftError
from gateway.plans import Plan
from gateway.settlement import Attempt, Outcome
from gateway.streaming import LiveStream
from providers import dispatch
from providers.adapters import Answer
from providers.errors import BadAnswerError, ProviderFailureError, TimedOutError
from providers.specs import CredentialSpec, ProviderSpec
from usage.budgets import BudgetExceededError
from usage.ledger import Extend, Note, Reserve, Settle, Void
from usage.rows import RecordRow
from usage.writer import LedgerUnavailableError, Writer
from wire.dialect import BadBodyError, Result
from wire.errors import ApiError, Code
from wire.neutral import ChatResponse, EmbeddingResponse

_STOP_S = 20.0
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Reply(msgspec.Struct, frozen=True):
    """An answer. `body` is in the caller's own dialect where the provider speaks it; else there is `response`."""

    record: RecordRow
    body: bytes | None
    response: ChatResponse | EmbeddingResponse | None


class _NextError(Exception):
    """This deployment did not answer, and another one may."""


class Pipeline:
    """One per process, on its event loop."""

    def __init__(self, *, catalogue: Catalogue, writer: Writer, session: aiohttp.ClientSession) -> None:
        self.catalogue = catalogue
        self._writer = writer
        self._session = session
        self._rng = Random()  # noqa: S311 - it spreads load, it keeps no secret
        self._turns: dict[Any, int] = {}
        self._detached: set[asyncio.Task[Any]] = set()

    async def complete(self, call: Call) -> Reply | LiveStream:
        """The answer to `call`, settled; or, for a stream, its beginning. Raises `ApiError`."""
        now = datetime.now(UTC)
        try:
            plans = gateway_plans.plans(call, self.catalogue.current, now=now, rng=self._rng)
        except ApiError as refusal:
            self.detach(self._note(settlement.refusal(call, refusal)))
            raise
        for number, plan in enumerate(plans, 1):
            with contextlib.suppress(_NextError):
                return await self._try(call, plan, number, is_last=number == len(plans))
        raise AssertionError("unreachable: the last plan's failure is raised")

    async def stop(self) -> None:
        """Wait for what callers have left behind; what takes too long is settled as it stands."""
        if self._detached:
            _, late = await asyncio.wait(self._detached, timeout=_STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let `work` finish whatever becomes of the request."""
        task = asyncio.create_task(work)
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        return task

    async def _try(self, call: Call, plan: Plan, number: int, *, is_last: bool) -> Reply | LiveStream:
        """One dispatch: hold, send, read, settle.

        What went wrong has its row when it is raised: as `_NextError` where another deployment may do better, else as
        the caller's `ApiError`.
        """
        credential = self._credential(plan.deployment.provider)
        attempt = settlement.attempt(
            call,
            plan,
            credential,
            now=datetime.now(UTC),
            ahead=self._writer.ahead,
            number=number,
            lease_id=self._writer.lease_id,
        )
        try:
            await self._reserve(Reserve(attempt.hold, plan.windows))
        except ApiError as refusal:
            if refusal.code is Code.BUDGET_EXCEEDED and not is_last:  # the next provider's budget may have room
                raise _NextError from refusal
            self.detach(self._note(settlement.refusal(call, refusal)))
            raise
        sent_at = time.perf_counter()
        try:
            return await self._unless_left(attempt, self._dispatch(attempt, sent_at))
        except ProviderFailureError as failure:
            is_final = is_last or not failure.retryable or call.is_out_of_time
            spent_s = time.perf_counter() - sent_at
            outcome = Outcome(status="error", usage=None, failure=failure, is_final=is_final, provider_s=spent_s)
            await self.settle(settlement.record(attempt, outcome))
            raise api_error(failure, plan.deployment.provider.slug) if is_final else _NextError from failure
        except (CallerLeftError, asyncio.CancelledError):  # nobody waits any more, but the call may have been billed
            outcome = Outcome(status="cancelled", usage=None, provider_s=time.perf_counter() - sent_at)
            self.detach(self.settle(settlement.record(attempt, outcome)))
            raise
        except Exception:  # a fault of ours: the dispatch has its row all the same, and the door its last resort
            fault = ApiError(Code.INTERNAL, "Something went wrong on our side.")
            outcome = Outcome(status="error", usage=None, refusal=fault, provider_s=time.perf_counter() - sent_at)
            await self.settle(settlement.record(attempt, outcome))
            raise

    async def _dispatch(self, attempt: Attempt, sent_at: float) -> Reply | LiveStream:
        deployment, is_stream = attempt.deployment, attempt.call.envelope.stream
        limit_s = min(attempt.timeout_s, deployment.provider.first_token_timeout_s) if is_stream else attempt.timeout_s
        answer: Answer | None = None
        try:
            async with asyncio.timeout(limit_s):
                answer = await dispatch.send(
                    self._session, deployment, attempt.credential, attempt.sendable, forwarded=attempt.call.forwarded
                )
                content = b"" if is_stream else await answer.read()
        except TimeoutError as error:
            if answer is not None:
                answer.close()
            raise TimedOutError(f"{deployment.provider.slug} did not answer within {limit_s:g} s.") from error
        if not is_stream:
            return await self._reply(attempt, content, sent_at)
        stream = LiveStream(attempt, answer, self, sent_at=sent_at)
        await stream.open()
        return stream

    async def _unless_left(self, attempt: Attempt, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work`; for a provider whose calls are aborted when the caller leaves, unless that is first.

        Raises `CallerLeftError`.
        """
        if attempt.deployment.provider.drains or attempt.call.watch is None:
            return await work
        task, gone = asyncio.ensure_future(work), attempt.call.watch()
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        if task.cancelling():
            raise CallerLeftError
        return await task

    async def _reply(self, attempt: Attempt, body: bytes, sent_at: float) -> Reply:
        """Understand the whole answer, settle it, and only then hand it on."""
        provider_s = time.perf_counter() - sent_at
        dialect = attempt.sendable.dialect
        try:
            result = dialect.read_result(body)
            response = None if dialect is attempt.call.dialect else dialect.decode_response(body)
        except BadBodyError as error:
            raise BadAnswerError(
                f"{attempt.deployment.provider.slug} sent an answer that its API does not have."
            ) from error
        record = settlement.record(attempt, _outcome(result, provider_s))
        await self.settle(record)
        return Reply(record=record, body=body if response is None else None, response=response)

    def _credential(self, provider: ProviderSpec) -> CredentialSpec | None:
        """The provider's keys take turns."""
        keys = provider.credentials
        if len(keys) <= 1:
            return keys[0] if keys else None
        turn = self._turns.get(provider.id, 0)
        self._turns[provider.id] = turn + 1
        return keys[turn % len(keys)]

    async def extend(self, extend: Extend) -> None:
        """Raises `ApiError` where a hard budget has no room, or cannot be asked."""
        await self._reserve(extend)

    async def _reserve(self, entry: Reserve | Extend) -> None:
        written = self._writer.write(entry)
        try:
            await written
        except asyncio.CancelledError:
            # One that is still under way the writer takes back by itself.
            if isinstance(entry, Reserve) and not written.cancelled() and written.exception() is None:
                self._writer.write(Void(entry.hold.id))
            raise
        except BudgetExceededError as error:
            raise over_budget(error) from error
        except LedgerUnavailableError as error:
            raise ApiError(
                Code.LEDGER_UNAVAILABLE, "The usage ledger cannot be written now; nothing was sent.", retry_after_s=1
            ) from error

    async def settle(self, record: RecordRow) -> None:
        """Returns when the record is durable. It is written even if nobody waits for that any more."""
        try:
            await self._writer.write(Settle(record))
        except LedgerUnavailableError:
            log.exception(
                "a call could not be settled; its hold will be", request_id=record.request_id, hold=str(record.id)
            )

    async def _note(self, record: RecordRow) -> None:
        try:
            await self._writer.write(Note(record))
        except LedgerUnavailableError:
            log.exception("a refusal could not be recorded", request_id=record.request_id)


def _outcome(result: Result, provider_s: float) -> Outcome:
    return Outcome(
        status="ok",
        usage=result.usage,
        output_bytes=result.output_bytes,
        served_model=result.model,
        finish=result.finish or "",
        provider_s=provider_s,
    )
