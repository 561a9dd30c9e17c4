"""A kept answer told again: in the caller's dialect, with a usage row of its own, and at no cost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast

import msgspec

from gateway import settlement
from gateway.cache import stored
from gateway.cache.flights import Books
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.relays import dated, relay_between
from gateway.replies import Outset, Reply
from usage.rows import RecordRow
from wire.dialect import BadBodyError, CallerDialect, Dialect
from wire.neutral import Settled, Usage


class Replay:
    """A kept stream on its way to a caller (`gateway.replies.Stream`)."""

    drains = False

    def __init__(self, call: Call, answer: Stored, books: Books) -> None:
        self._call = call
        self._answer = answer
        self._books = books
        self._noted = False
        dialect, caller = stored.dialect_of(answer), cast("CallerDialect", call.dialect)
        self._relay = relay_between(
            cast("Dialect", dialect), caller, show_usage=call.envelope.show_usage, made_at=_made_at(call, answer)
        )
        self._frames = self._relay.feed(answer.body)

    @property
    def outset(self) -> Outset:
        kind = cast("CallerDialect", self._call.dialect).stream_type
        return Outset(kind, self._answer.provider, _model(self._answer), attempts=0, cache="hit")

    async def frames(self) -> AsyncIterator[bytes]:
        """The last events follow when the row is durable."""
        if self._frames:
            yield self._frames
        await self._note()
        yield self._relay.close(self._settled())

    def leave(self) -> None:
        """Nobody is waited for here."""

    async def aclose(self) -> None:
        await self._note()

    async def _note(self) -> None:
        if not self._noted:
            self._noted = True
            await self._books.note(settlement.cached(self._call, self._answer))

    def _settled(self) -> Settled:
        answer = self._answer
        latency_ms = (time.perf_counter() - self._call.started) * 1000
        return Settled(
            request_id=self._call.request_id,
            model=_model(answer),
            provider=answer.provider,
            cost_usd="0",
            latency_ms=latency_ms,
            finish=answer.finish_reason,
            usage=self._relay.meter.usage
            or Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
            cached=True,
            overhead_ms=latency_ms,
        )


async def replay(call: Call, answer: Stored, books: Books) -> Reply | Replay | None:
    """The answer, its row durable; or its stream. None where this version cannot read it."""
    try:
        if call.envelope.stream:
            return Replay(call, answer, books)
        dialect = stored.dialect_of(answer)
        response = (
            None if dialect is call.dialect else dated(dialect.decode_response(answer.body), _made_at(call, answer))
        )
    except (KeyError, BadBodyError):
        return None
    record = settlement.cached(call, answer)
    await books.note(record)
    return Reply(
        record=_as_told(record, answer), body=None if response else answer.body, response=response, cache="hit"
    )


def _as_told(record: RecordRow, answer: Stored) -> RecordRow:
    """The books count no tokens of a kept answer; its caller is told those that it once took."""
    return msgspec.structs.replace(
        record,
        input_tokens=answer.input_tokens,
        cached_input_tokens=answer.cached_input_tokens,
        output_tokens=answer.output_tokens,
        reasoning_tokens=answer.reasoning_tokens,
    )


def _made_at(call: Call, answer: Stored) -> datetime:
    return answer.started_at or call.started_at


def _model(answer: Stored) -> str:
    return answer.served_model or answer.deployment
