"""A call's dispatches, one after the other, until one has brought an answer or nothing more can be tried.

Each is a hold before it is sent and a record after it has ended. Nothing is sent to a provider before its hold is
durable, no plain answer leaves before its record is, and exactly one row of a call is its final one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from core.http1 import Session
from gateway import settlement
from gateway.admission import Admission, Seat
from gateway.bookkeeping import Bookkeeper
from gateway.cache import remembered
from gateway.cache.stored import stored
from gateway.calls import Call
from gateway.failures import OUR_FAULT, api_error, nobody_left
from gateway.http import CallerLeftError
from gateway.leaving import UntilLeft
from gateway.patience import patience
from gateway.plans import Plan
from gateway.relays import dated
from gateway.replies import Reply
from gateway.settlement import Attempt, Outcome
from gateway.streaming import LiveStream
from gateway.trace import trace
from gateway.witness import Witness
from providers import dispatch
from providers.adapters import Answer
from providers.errors import BadAnswerError, ProviderFailureError, TimedOutError, UnknownModelError
from providers.resilience.board import Board
from providers.resilience.tour import Go, Stop, Tour, Wait
from usage.ledger import Reserve
from wire.dialect import BadBodyError, Result
from wire.errors import ApiError, Code

_ELSEWHERE = {Code.BUDGET_EXCEEDED, Code.RATE_LIMITED, Code.QUEUE_FULL}  # what another deployment may not say
_TICK_S = 0.001  # of uvloop's timers
T = TypeVar("T")


class Attempts:
    """One per process, on its event loop."""

    def __init__(self, *, books: Bookkeeper, session: Session, board: Board) -> None:
        self._books = books
        self._session = session
        self._board = board
        self._patience = patience()

    async def make(self, call: Call, plans: list[Plan], admission: Admission | None) -> Reply | LiveStream:
        """The first answer, settled; or, for a stream, its beginning. Raises `ApiError`, which has its row."""
        tour = Tour(self._board, [plan.deployment for plan in plans], deadline=_deadline(call, plans))
        error: ApiError | None = None
        step = tour.next(time.perf_counter())
        if isinstance(step, Wait):
            step = await self._begin(call, tour, step)
        while isinstance(step, Go):
            plan = plans[step.place]
            try:
                attempt = await self._hold(call, plan, step, tour, admission, routing=trace(plans, tour, step))
            except ApiError as refusal:
                step, error = await self._refused(call, tour, step, refusal), refusal
                continue
            sent_at = time.perf_counter()
            try:
                return await self._dispatched(attempt, step, sent_at)
            except ProviderFailureError as failure:
                failure.__traceback__ = None  # it has the frames that have it: all would wait for the garbage collector
                tour.failed(step, failure, time.perf_counter())
                if admission is not None:
                    admission.leave(attempt.hold.id)
                step = await self._after(call, tour, attempt, failure, sent_at)
                again_s = step.retry_after_s if isinstance(step, Stop) else None
                if not isinstance(failure, UnknownModelError):
                    slug, number = plan.deployment.provider.slug, attempt.hold.attempt
                    error = api_error(failure, slug, attempts=number, again_s=again_s)
        if error is None:
            error = self._unanswered(plans, tour, step)
            if not tour.failures:
                self._books.detach(self._books.note(settlement.refusal(call, error)))
        try:
            raise error
        finally:
            del error  # as above

    async def _begin(self, call: Call, tour: Tour, wait: Wait) -> Go | Stop:
        """Where to go first, which takes a `wait`. Raises `CallerLeftError`."""
        try:
            return await self._after_waits(call, tour, wait)
        except (CallerLeftError, asyncio.CancelledError):
            self._left(call)
            raise

    async def _next(self, call: Call, tour: Tour) -> Go | Stop:
        """What the tour says, after the waits that it asks for. Raises `CallerLeftError`."""
        return await self._after_waits(call, tour, tour.next(time.perf_counter()))

    async def _after_waits(self, call: Call, tour: Tour, step: Go | Wait | Stop) -> Go | Stop:
        while isinstance(step, Wait):
            await pause(call, step.seconds)
            step = tour.next(time.perf_counter())
        return step

    async def _hold(
        self, call: Call, plan: Plan, step: Go, tour: Tour, admission: Admission | None, *, routing: str
    ) -> Attempt:
        """The dispatch, with a seat where those are counted, and held durably.

        Raises `ApiError` where a limit, a budget or the ledger refuses.
        """
        seat: Seat | None = None
        try:
            if admission is not None:
                seat = await admission.enter(plan, call)
            attempt = self._attempt(call, plan, step, tour, routing=routing)
            gone = None if plan.deployment.provider.drains or call.watch is None else call.watch()
            await self._books.reserve(Reserve(attempt.hold, plan.windows, call.claim))
            self._require_sense(attempt, tour, gone)
        except BaseException as error:  # a caller who leaves too: what was taken for the dispatch is given back
            if seat is not None:
                seat.abandon()
            if not isinstance(error, ApiError):
                self._board.dropped(step.leave)
            if isinstance(error, CallerLeftError | asyncio.CancelledError):
                self._left(call)
            raise
        if seat is not None:
            seat.bind(attempt.hold.id)
        return attempt

    def _require_sense(self, attempt: Attempt, tour: Tour, gone: asyncio.Future[Any] | None) -> None:
        """Nothing is sent that would be aborted at once: for a caller who has left while the hold was written, or
        whose time was over by then. The hold is taken back.

        Raises `CallerLeftError` or `ApiError`.
        """
        has_left = gone is not None and gone.done()
        if has_left or attempt.ends_at <= time.perf_counter():
            self._books.take_back(attempt.hold.id)
            raise CallerLeftError if has_left else _too_late(tour)

    def _attempt(self, call: Call, plan: Plan, step: Go, tour: Tour, *, routing: str) -> Attempt:
        return settlement.attempt(
            call,
            plan,
            step.leave.credential,
            now=self._books.now,
            number=step.number,
            lease_id=self._books.lease_id,
            left_s=tour.left_s(time.perf_counter()),
            routing=routing,
        )

    async def _refused(self, call: Call, tour: Tour, step: Go, refusal: ApiError) -> Go | Stop:
        """What comes after a refused hold: another provider may have room. Otherwise the call ends with it."""
        tour.passed_by(step, refusal.code.name)
        following: Go | Stop = Stop(None)
        try:
            if refusal.code in _ELSEWHERE:
                following = await self._next(call, tour)
        finally:
            if isinstance(following, Stop):
                self._books.detach(self._books.note(settlement.refusal(call, refusal)))
        return following

    async def _after(
        self, call: Call, tour: Tour, attempt: Attempt, failure: ProviderFailureError, sent_at: float
    ) -> Go | Stop:
        """What comes after a failure, whose row is durable on return, and final where nothing comes."""
        spent_s = time.perf_counter() - sent_at
        record = settlement.record(attempt, Outcome(status="error", usage=None, failure=failure, provider_s=spent_s))
        try:
            await pause(call, 0)  # nothing more is sent for a caller who has left meanwhile
            following = await self._next(call, tour)
        except BaseException:  # a caller who leaves too: the dispatch that failed has its row all the same
            self._books.detach(self._books.settle(record))
            raise
        try:
            await self._books.settle(msgspec.structs.replace(record, is_final=isinstance(following, Stop)))
        except asyncio.CancelledError:
            if isinstance(following, Go):
                self._board.dropped(following.leave)
                self._left(call)
            raise
        return following

    def _left(self, call: Call) -> None:
        """Its caller has left between two dispatches, or before the first: that is its final row."""
        self._books.detach(self._books.note(settlement.left(call)))

    @staticmethod
    def _unanswered(plans: list[Plan], tour: Tour, step: Stop) -> ApiError:
        """Nothing was sent, or only to those who do not know the model: that is told where nobody else is left."""
        if tour.failures and not tour.unasked:
            place, failure = tour.failures[-1]
            return api_error(failure, plans[place].deployment.provider.slug, attempts=len(tour.failures))
        if tour.left_s(time.perf_counter()) <= 0:
            return _too_late(tour)
        skipped = {plans[place].deployment.full_name: why for place, why in tour.unasked.items()}
        return nobody_left(skipped, step.retry_after_s)

    async def _dispatched(self, attempt: Attempt, step: Go, sent_at: float) -> Reply | LiveStream:
        """Send, read, settle. Of what goes wrong, a `ProviderFailureError` alone has no row yet when it is raised."""
        witness = Witness(self._board, step.leave, sent_at=sent_at)
        try:
            reply = await self._unless_left(attempt, self._answer(attempt, witness, sent_at))
        except ProviderFailureError:
            raise
        except (CallerLeftError, asyncio.CancelledError):  # nobody waits any more, but the call may have been billed
            witness.left()
            spent_s, is_sent = time.perf_counter() - sent_at, attempt.heard.is_sent
            outcome = Outcome(status="cancelled", usage=None, is_sent=is_sent, provider_s=spent_s)
            self._books.detach(self._books.settle(settlement.record(attempt, outcome)))
            raise
        except Exception:  # a fault of ours: the dispatch has its row all the same, and the door its last resort
            witness.left()
            spent_s, is_sent = time.perf_counter() - sent_at, attempt.heard.is_sent
            outcome = Outcome(status="error", usage=None, refusal=OUR_FAULT, is_sent=is_sent, provider_s=spent_s)
            await self._books.settle(settlement.record(attempt, outcome))
            raise
        if isinstance(reply, Reply):
            await self._books.settle(reply.record, remembered.sealed(attempt.call.claim, reply.stored))
        return reply

    async def _answer(self, attempt: Attempt, witness: Witness, sent_at: float) -> Reply | LiveStream:
        is_stream, provider = attempt.call.envelope.stream, attempt.deployment.provider
        usual_s = min(provider.first_token_timeout_s, provider.timeout_s) if is_stream else provider.timeout_s
        limit_s = min(attempt.ends_at - sent_at, usual_s)
        answer: Answer | None = None
        try:
            with self._patience.within(limit_s):
                answer = await dispatch.send(
                    self._session,
                    attempt.deployment,
                    attempt.credential,
                    attempt.sendable,
                    attempt.body,
                    forwarded=attempt.call.forwarded,
                    ends_at=sent_at + limit_s,
                    sent=attempt.heard.note_sent,
                )
                content = b"" if is_stream else await answer.read()
        except TimeoutError as error:
            if answer is not None:
                answer.close()
            is_sent = attempt.heard.is_sent
            raise TimedOutError(
                f"{provider.slug} did not answer within {limit_s:.3g} s."
                if is_sent
                else f"No connection to {provider.slug} within {limit_s:.3g} s.",
                had_s=limit_s,
                usual_s=usual_s,
                sent=is_sent,
            ) from error
        if not is_stream:
            return self._reply(attempt, witness, content, sent_at)
        stream = LiveStream(attempt, answer, self._books, witness, sent_at=sent_at)
        await stream.open()
        return stream

    def _reply(self, attempt: Attempt, witness: Witness, body: bytes, sent_at: float) -> Reply:
        """Understand the whole answer, which is yet to be settled."""
        provider_s = time.perf_counter() - sent_at
        dialect = attempt.sendable.dialect
        try:
            result = dialect.read_result(body)
            call = attempt.call
            response = None if dialect is call.dialect else dated(dialect.decode_response(body), call.started_at)
        except BadBodyError as error:
            raise BadAnswerError(
                f"{attempt.deployment.provider.slug} sent an answer that its API does not have."
            ) from error
        witness.answered()
        record = settlement.record(attempt, _outcome(result, provider_s))
        answer = stored(record, dialect=dialect.name, body=body) if attempt.call.is_kept else None
        return Reply(record=record, body=body if response is None else None, response=response, stored=answer)

    async def _unless_left(self, attempt: Attempt, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of `work`; for a provider whose calls are aborted when the caller leaves, unless that is first.

        Raises `CallerLeftError`.
        """
        if attempt.deployment.provider.drains or attempt.call.watch is None:
            return await work
        with UntilLeft(attempt.call.watch()):
            return await work


async def pause(call: Call, seconds: float) -> None:
    """No less than that. Raises `CallerLeftError` where nobody waits with us.

    uvloop counts in whole milliseconds from the beginning of the loop's turn, and rounds: its timers ring early too.
    Who came back then would look again, and again, until a call's rounds were used up within a millisecond.
    """
    until = time.perf_counter() + seconds
    while True:
        if call.watch is None:
            await asyncio.sleep(seconds)
        elif (await asyncio.wait({call.watch()}, timeout=seconds))[0]:
            raise CallerLeftError
        if (seconds := until - time.perf_counter()) <= 0:
            return
        seconds = max(seconds, _TICK_S)


def _too_late(tour: Tour) -> ApiError:
    whom = "another provider" if tour.failures else "a provider"
    return ApiError(Code.PROVIDER_TIMEOUT, f"The call's time was over before {whom} could be asked.")


def _deadline(call: Call, plans: list[Plan]) -> float:
    """Of the whole call, by `time.perf_counter`: the caller's own, or as long as its first candidate may take."""
    limit_s = plans[0].deployment.provider.timeout_s if call.timeout_s is None else call.timeout_s
    return call.started + limit_s


def _outcome(result: Result, provider_s: float) -> Outcome:
    return Outcome(
        status="ok",
        usage=result.usage,
        output_bytes=result.output_bytes,
        served_model=result.model,
        finish=result.finish or "",
        provider_s=provider_s,
    )
