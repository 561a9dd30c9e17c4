"""Calls, answers and the pipeline's side of the ledger, for tests of the cache and of idempotency keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from core.ids import uuid7
from gateway import settlement
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.plans import Way
from gateway.replies import Reply
from providers.specs import DeploymentSpec, ProviderSpec
from usage.rows import RecordRow
from wire import openai_chat

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROVIDER = ProviderSpec(
    id=UUID(int=1),
    slug="own",
    kind="custom",
    address="http://127.0.0.1",
    organization="",
    priority=0,
    weight=1,
    connect_timeout_s=60,
    first_token_timeout_s=60,
    between_chunks_timeout_s=60,
    timeout_s=60,
    drains=True,
    credentials=(),
)
ALICE = Caller(UUID(int=10), "alice", None, "", "call", None)
BOB = Caller(UUID(int=11), "bob", None, "", "call", None)


def call(
    text: str = "Hello", *, caller: Caller = ALICE, key: str = "", asked: dict[str, Any] | None = None, **facts: Any
) -> Call:
    """A call for `gpt` at temperature 0; `asked` are further fields of its body, `facts` of the call."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": text}], "temperature": 0} | (asked or {})
    made = Call(
        request_id=f"req_{uuid7().hex}",
        surface="openai.chat",
        caller=caller,
        dialect=openai_chat,
        envelope=openai_chat.open_chat(msgspec.json.encode(body)),
        provider=None,
        end_user="",
        tags="{}",
        timeout_s=None,
        started=time.perf_counter(),
        started_at=datetime.now(UTC),
        idempotency_key=key,
    )
    return msgspec.structs.replace(made, **facts)


def way(number: int = 1, **facts: Any) -> Way:
    """To a deployment of its own; `facts` are the deployment's."""
    deployment = DeploymentSpec(
        id=UUID(int=100 + number),
        name="gpt",
        model="gpt-1",
        type="chat",
        provider=PROVIDER,
        max_output_tokens=None,
        defaults={},
        prices=(),
    )
    deployment = msgspec.structs.replace(deployment, **facts)
    return Way(deployment, 100, None, ())


def answer(text: str = "Hi", *, cost_pico: int | None = 7) -> Stored:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Stored(
        dialect="openai_chat",
        body=msgspec.json.encode({"id": "1", "object": "chat.completion", "model": "gpt", "choices": [choice]}),
        provider_id=PROVIDER.id,
        provider="own",
        deployment_id=UUID(int=101),
        deployment="gpt",
        served_model="gpt-1-2026",
        finish_reason="stop",
        input_tokens=3,
        cached_input_tokens=0,
        output_tokens=4,
        reasoning_tokens=0,
        cost_pico=cost_pico,
    )


def reply(to: Call, content: Stored) -> Reply:
    """What the pipeline makes of a provider's answer."""
    record = msgspec.structs.replace(settlement.cached(to, content), status="ok", attempt=1, saved_pico=None)
    return Reply(record=record, body=content.body, response=None, stored=content if to.is_kept else None)


class Books:
    """Keeps the rows in a list."""

    def __init__(self) -> None:
        self.rows: list[RecordRow] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def note(self, record: RecordRow) -> None:
        self.rows.append(record)

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """What goes on for callers is cut off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


class Provider:
    """Counts the calls that reach it and answers them when `go` is set, with what `outcomes` say, else an answer."""

    def __init__(self, *outcomes: Exception | Stored) -> None:
        self.calls: list[Call] = []
        self.go = asyncio.Event()
        self._outcomes = list(outcomes)

    async def __call__(self, made: Call) -> Reply:
        self.calls.append(made)
        outcome = self._outcomes.pop(0) if self._outcomes else answer()
        await self.go.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return reply(made, outcome)
