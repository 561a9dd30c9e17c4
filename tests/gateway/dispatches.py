"""Calls that go to hosts in the test's own process, with the real books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from core.http import open_session
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.calls import Call
from gateway.plans import Plan
from gateway.replies import Reply, Stream
from providers import dispatch
from providers.resilience.board import Board
from providers.specs import DeploymentSpec
from tests.core.hosts import framed
from tests.gateway.cache_calls import PROVIDER, call, way
from usage.budgets import Window, window_of
from usage.models import Budget
from usage.pricing import ListPrice, rates
from usage.spending import spec_of
from usage.writer import Writer
from wire import anthropic_messages, gemini, sse

replace = msgspec.structs.replace
STREAM = framed(["Content-Type: text/event-stream", "Transfer-Encoding: chunked"])
END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
USAGE = sse.event(b'{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}')
ANSWER = msgspec.json.encode(
    {
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }
)


def part(*events: bytes) -> bytes:
    """One chunk of a body, as HTTP frames it."""
    content = b"".join(events)
    return b"%x\r\n%b\r\n" % (len(content), content)


def words(text: str, finish: str | None = None) -> bytes:
    """An event of OpenAI's."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return sse.event(msgspec.json.encode({"model": "m", "choices": [choice]}))


def frame(kind: str, **fields: Any) -> bytes:
    """An event of Anthropic's."""
    return sse.event(msgspec.json.encode({"type": kind, **fields}), name=kind)


def streamed(**facts: Any) -> Call:
    return call(asked={"stream": True}, **facts)


def to_anthropic(**facts: Any) -> Call:
    """A stream for a caller who speaks what its provider, of that kind, speaks."""
    body = {"model": "gpt", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "x" * 4000}]}
    envelope = anthropic_messages.open_chat(msgspec.json.encode(body))
    return replace(call(**facts), dialect=anthropic_messages, envelope=envelope)


def to_gemini() -> Call:
    """The same for Google's."""
    envelope = gemini.open_chat(b'{"contents": [{"parts": [{"text": "Draw."}]}]}')
    return replace(call(), dialect=gemini, envelope=replace(envelope, model="gpt", stream=True))


RATES = rates(
    ListPrice(
        price_id=UUID(int=5),
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        input_per_million=Decimal(0),
        output_per_million=Decimal(1),
    )
)
TOKEN_PICO = 10**6  # of an answer, at these; a hold is for a hundred


def hard_window(*, tokens: int) -> Window:
    """Of a budget for everything that has room for so many."""
    cap_pico = tokens * TOKEN_PICO
    row = Budget.objects.create(name=f"{tokens} tokens", scope="all", cap_pico=cap_pico, period="total")
    return window_of(spec_of(row), datetime.now(UTC))


class Desk:
    """Makes calls. Each of `ports` is a provider of its own, asked in that order; `settings` are those of all."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    async def make(
        self, made: Call, *ports: int, windows: Sequence[tuple[Window, ...]] = (), **settings: Any
    ) -> Reply | Stream:
        """`windows`: those in which it counts at each of `ports`, where it then has a price (`RATES`)."""
        plans = [_plan(made, target(number, port, **settings)) for number, port in enumerate(ports)]
        if windows:
            plans = [replace(plan, windows=each, rates=RATES) for plan, each in zip(plans, windows, strict=True)]
        return await self._attempts.make(made, plans, None)

    async def hear(self, made: Call, *ports: int, **settings: Any) -> Sequence[bytes]:
        """The frames of a stream, to its end."""
        stream = await self.make(made, *ports, **settings)
        assert not isinstance(stream, Reply)
        return [each async for each in stream.frames()]


def target(number: int, port: int, *, kind: str = "custom", **settings: Any) -> DeploymentSpec:
    """The model of the provider `own0`, or `own1` and so on."""
    address = f"http://127.0.0.1:{port}" + ("/v1" if kind == "custom" else "")
    facts = {"retry_attempts": 1, "retry_delay_s": 0.0, "kind": kind, "address": address} | settings
    return way(number + 1, provider=replace(PROVIDER, id=UUID(int=number + 1), slug=f"own{number}", **facts)).deployment


def _plan(made: Call, deployment: DeploymentSpec) -> Plan:
    sendable = dispatch.encode(made.envelope, made.dialect, deployment, max_output_tokens=None)
    return Plan(deployment, sendable, 100, None, ())


@asynccontextmanager
async def desk(folder: Path, *, board: Board | None = None, keep: type[Bookkeeper] = Bookkeeper) -> AsyncIterator[Desk]:
    """On the test's database, whose rows must be committed."""
    writer, session = Writer(folder), open_session()
    await writer.start()
    books = keep(writer, lambda _: None)
    try:
        yield Desk(Attempts(books=books, session=session, board=board or Board(Random(0))))
        await books.stop(within_s=0)
    finally:
        await writer.stop()
        await session.close()
