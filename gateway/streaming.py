"""A provider's stream on its way to the caller.

Events are passed on as they come; the one that ends the stream is held back until the books are settled. A stream
that breaks ends in the dialect's error event, and without its end.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Protocol, cast

from core.money import usd_text
from gateway import settlement
from gateway.bookkeeping import Bookkeeper
from gateway.cache import remembered
from gateway.cache.stored import Stored, Tape, stored
from gateway.failures import api_error
from gateway.leaving import UntilLeft
from gateway.patience import patience
from gateway.relays import relay_between
from gateway.replies import CacheWord, Outset
from gateway.settlement import Attempt, Outcome
from gateway.witness import Witness
from providers.adapters import Answer
from providers.dispatch import quotable
from providers.errors import BadAnswerError, ErrorEventError, ProviderFailureError, TimedOutError
from usage import estimates
from usage.ledger import Extend
from usage.pricing import more_output_bound_pico
from usage.rows import RecordRow
from wire.dialect import BadBodyError, CallerDialect, Dialect, StreamFailedError
from wire.errors import ApiError
from wire.neutral import Settled, Usage

_TAIL_S = 1.0  # for the end of the body, behind the event that ends the stream
_CLOSING_S = 5.0  # for that event, where nothing else is to come


class Flight(Protocol):
    """Others who wait for the stream's answer, whole."""

    @property
    def is_followed(self) -> bool: ...

    async def land(self, answer: Stored | None) -> None: ...


class LiveStream:
    """Iterate `frames()` once `open` has returned. `aclose` in any state settles what is not settled yet."""

    def __init__(
        self, attempt: Attempt, answer: Answer, books: Bookkeeper, witness: Witness, *, sent_at: float
    ) -> None:
        self.attempt = attempt
        self.cache: CacheWord = "off"
        self.flights: list[Flight] = []  # of others, who wait for the same answer
        self._answer = answer
        self._books = books
        self._witness = witness
        self._patience = patience()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends_at = attempt.ends_at
        windows = attempt.hold.windows != "[]"
        self._room_bytes = estimates.likely_bytes(attempt.hold.output_tokens) if windows else math.inf
        self._settled = False
        self._whole = False
        self._tape = Tape() if attempt.call.is_kept else None
        self._sent_at = sent_at
        self._asked_at = sent_at  # for the next chunk
        self._silent_s = 0.0  # in which nothing but comments came, since the last words
        self._ours_s = sent_at - attempt.call.started  # before it was sent, and since then of work on its events
        self._first = b""
        self._first_at: float | None = None
        # Embeddings do not stream.
        provider, caller = cast("Dialect", attempt.sendable.dialect), cast("CallerDialect", attempt.call.dialect)
        call = attempt.call
        self._relay = relay_between(provider, caller, show_usage=call.envelope.show_usage, made_at=call.started_at)

    @property
    def outset(self) -> Outset:
        """The model as its record will have it, where the first event has said which it is."""
        hold, caller = self.attempt.hold, cast("CallerDialect", self.attempt.call.dialect)
        model = settlement.word(self._relay.meter.model) or hold.deployment
        return Outset(caller.stream_type, hold.provider, model, hold.attempt, self.cache)

    @property
    def drains(self) -> bool:
        """Whether it is read to its end when its caller has left."""
        return self.attempt.deployment.provider.drains or self._is_wanted()

    def _is_wanted(self) -> bool:
        """Whoever has left: others wait for it, or the answer is whole, and only its usage and its end are to come."""
        meter = self._relay.meter
        return meter.finished or bool(meter.closing) or any(flight.is_followed for flight in self.flights)

    def leave(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def open(self) -> None:
        """Wait for the first bytes for the caller: until then another provider can still take over.

        Raises `ProviderFailureError`; the attempt is then the caller's of this method to settle.
        """
        limit_s = self.attempt.deployment.provider.first_token_timeout_s
        try:
            while not self._first and not self._relay.meter.closing:
                waited_s = time.perf_counter() - self._sent_at
                chunk = await self._next(limit_s - waited_s, "began no answer in time")
                out = self._feed(self._require_chunk(chunk))
                if not self._relay.is_silent:
                    self._first = out
        except BaseException:  # cancelled too: who settles must know what was heard, and the connection is closed
            self._note_what_was_heard()
            self._answer.close()
            raise
        self._first_at = time.perf_counter()
        self._ends_at = self.attempt.stream_ends_at
        self._witness.began()

    async def frames(self) -> AsyncIterator[bytes]:
        """What goes to the caller, to the last event. Raises `CallerLeftError`."""
        try:
            if self._first:
                yield self._first
            while (chunk := await self._next_or_end()) is not None:
                out = self._feed(chunk)
                if self._relay.meter.output_bytes > self._room_bytes:
                    await self._make_room()
                if out:
                    yield out
            if (ending := self._relay.unended()) and (out := self._feed(ending)):
                yield out
            self._require_finish()
            yield await self._end()
        except ProviderFailureError as failure:
            self._witness.broke(failure)
            await self._finish("error", failure)
            error = api_error(failure, self.attempt.deployment.provider.slug)
            yield self._error_event(error)
        except ApiError as refusal:
            self._witness.left()
            await self._finish("error", None, refusal)
            yield self._error_event(refusal)

    def _require_chunk(self, chunk: bytes | None) -> bytes:
        if chunk is None:
            raise BadAnswerError(f"{self.attempt.deployment.provider.slug} ended its stream before it began.")
        return chunk

    def _require_finish(self) -> None:
        if not self._relay.meter.finished:
            raise BadAnswerError(f"{self.attempt.deployment.provider.slug} cut its answer short.")

    async def _make_room(self) -> None:
        """The answer outgrows its hold: hold half as much again. Raises `ApiError` where a budget has no room."""
        hold, rates = self.attempt.hold, self.attempt.rates
        more_tokens = max(hold.output_tokens // 2, 1)
        self._room_bytes += estimates.likely_bytes(more_tokens)
        if rates:
            amount_pico = more_output_bound_pico(rates, input_tokens=hold.input_tokens, output_tokens=more_tokens)
            await self._books.reserve(
                Extend(hold.id, amount_pico, hard=self.attempt.is_limited, output_tokens=more_tokens)
            )

    def _error_event(self, error: ApiError) -> bytes:
        return self.attempt.call.dialect.encode_error(error, request_id=self.attempt.call.request_id, stream=True)

    async def aclose(self) -> None:
        """The caller left, or we stop: settle with what is known so far, unless that is done."""
        if self._settled:
            return
        self._answer.close()
        self._witness.left()
        await self._finish("cancelled", None)

    async def _end(self) -> bytes:
        self._whole = True
        self._witness.answered()
        record = await self._finish("cancelled" if self._gone.done() else "ok", None)
        meter = self._relay.meter
        return self._relay.close(
            Settled(
                request_id=record.request_id,
                model=meter.model,
                provider=record.provider,
                cost_usd=None if record.cost_pico is None else usd_text(record.cost_pico),
                latency_ms=record.latency_ms or 0.0,
                finish=record.finish_reason,
                usage=meter.usage or Usage(input_tokens=record.input_tokens, output_tokens=record.output_tokens),
                overhead_ms=record.overhead_ms,
            )
        )

    async def _finish(
        self, status: str, failure: ProviderFailureError | None, refusal: ApiError | None = None
    ) -> RecordRow:
        record = self._record(status, failure, refusal)
        if not self._settled:
            self._settled = True
            self._answer.close()
            answer = self._stored(record)
            try:
                await self._books.settle(record, remembered.sealed(self.attempt.call.claim, answer))
            finally:
                for flight in self.flights:
                    await flight.land(answer)
        return record

    def _stored(self, record: RecordRow) -> Stored | None:
        content = self._tape.content if self._tape and self._whole else None
        return None if content is None else stored(record, dialect=self.attempt.sendable.dialect.name, body=content)

    def _record(self, status: str, failure: ProviderFailureError | None, refusal: ApiError | None) -> RecordRow:
        meter = self._relay.meter
        call_started, now = self.attempt.call.started, time.perf_counter()
        whole = meter.finished or (failure is None and status == "ok")
        if not whole:
            self._note_what_was_heard()
        return settlement.record(
            self.attempt,
            Outcome(
                status=status,
                usage=meter.usage if whole else None,
                output_bytes=meter.output_bytes,
                served_model=meter.model,
                finish=meter.finish or "",
                failure=failure,
                refusal=refusal,
                provider_s=now - call_started - self._ours_s,
                first_token_s=None if self._first_at is None else self._first_at - call_started,
            ),
        )

    def _note_what_was_heard(self) -> None:
        """A stream that was cut has reported a part of its usage: Anthropic and Google tell the input at once."""
        heard, meter = self.attempt.heard, self._relay.meter
        heard.output_bytes, heard.usage = meter.output_bytes, meter.usage

    def _feed(self, chunk: bytes) -> bytes:
        began = time.perf_counter()
        if self._tape is not None:
            self._tape.add(chunk)
        try:
            return self._relay.feed(chunk)
        except StreamFailedError as error:
            detail = quotable(error.message, self.attempt.deployment.provider, self.attempt.credential)
            raise ErrorEventError(detail or "The provider ended its stream with an error.") from error
        except BadBodyError as error:
            raise BadAnswerError("The provider sent an event that its API does not have.") from error
        finally:
            self._silent_s = self._silent_s + began - self._asked_at if self._relay.is_silent else 0.0
            self._ours_s += time.perf_counter() - began

    async def _next_or_end(self) -> bytes | None:
        """When all has come that matters only the end is awaited, and not for long: it frees the connection."""
        meter = self._relay.meter
        limit_s = self.attempt.deployment.provider.between_chunks_timeout_s - self._silent_s
        if not meter.closing and not (meter.finished and meter.usage is not None):
            return await self._next(limit_s, "fell silent in mid-answer")
        try:
            return await self._next(_TAIL_S if meter.closing else min(limit_s, _CLOSING_S), "did not end its answer")
        except ProviderFailureError:
            return None

    async def _next(self, limit_s: float, complaint: str) -> bytes | None:
        """The next bytes, None at the end.

        Raises `TimedOutError` after `limit_s` or past the call's own deadline, and `CallerLeftError`.
        """
        self._asked_at = began = time.perf_counter()
        left_s = self._ends_at - began
        try:
            with self._patience.within(min(limit_s, left_s)):
                if self.attempt.deployment.provider.drains:
                    return await self._answer.next_chunk()
                with UntilLeft(self._gone, unless=self._is_wanted):
                    return await self._answer.next_chunk()
        except TimeoutError as error:
            self._answer.close()
            provider = self.attempt.deployment.provider
            had_s = self._ends_at - self._sent_at if left_s < limit_s else math.inf
            raise TimedOutError(f"{provider.slug} {complaint}.", had_s=had_s, usual_s=provider.timeout_s) from error
