"""The CPU ladder of a plain call: what each of its steps costs by itself (`.venv/bin/python -m benchmarks.ladder`).

The platform's own functions, with an installation's own configuration, one after the other in a loop: warm caches, and
no other thread. In a server under load each costs up to twice as much. The ledger writes to a real SQLite database,
the client asks a real server, both with their part of the kernel's work.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks import calls
from benchmarks.calls import Wish
from benchmarks.stage import SQLITE, Stage, stage
from tests import servers

_ROUNDS, _TIMES = 7, 1_000
_BATCH = 32
_AT_ONCE = 64
Step = Callable[[], Any]


def main() -> int:
    with stage(with_postgresql=False) as set_up:
        os.environ.update(set_up.installations[SQLITE].env)
        import django

        django.setup()
        import uvloop

        uvloop.run(_climb(set_up))
    return 0


async def _climb(set_up: Stage) -> None:  # noqa: PLR0915 -- a step a line
    """Each step, made out of what the ones before have brought."""
    # ruff: noqa: PLC0415 -- as above
    from datetime import UTC, datetime

    import msgspec

    from core.http import open_session
    from core.ids import uuid7
    from gateway import catalogue, settlement
    from gateway.authentication import authenticate, presented
    from gateway.calls import open_call
    from gateway.doors.chat import answer_headers
    from gateway.http import Exchange
    from gateway.metrics import Tally
    from gateway.plans import plans, ways
    from gateway.replies import Reply
    from gateway.settlement import Outcome
    from gateway.witness import Witness
    from providers import dispatch
    from providers.resilience.board import Board
    from providers.resilience.tour import Go, Tour
    from wire import openai_chat

    head, _, text = calls.request("openai", set_up.installations[SQLITE].who, Wish(model="fast")).partition("\r\n\r\n")
    pairs = [line.split(": ", 1) for line in head.split("\r\n")[1:]]
    scope: dict[str, Any] = {"path": "/v1/chat/completions", "query_string": b"", "extensions": {}}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in pairs]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": text.encode()}

    async def send(message: Any) -> None: ...

    snapshot = await asyncio.to_thread(catalogue.load)
    board, tally, session = Board(), Tally(), open_session()
    exchange = Exchange(scope, receive, send)
    await _say("request id, headers, body", lambda: Exchange(scope, receive, send).body(10_000_000))
    caller = await authenticate(snapshot, presented(exchange))
    await _say("authentication", lambda: authenticate(snapshot, presented(exchange)))
    envelope = openai_chat.open_chat(text.encode())
    _tell("decode", lambda: openai_chat.open_chat(text.encode()))

    def asked() -> Any:
        now = time.perf_counter()
        return open_call(
            exchange, surface="openai.chat", caller=caller, dialect=openai_chat, envelope=envelope, started=now
        )

    call = asked()
    _tell("what headers ask besides", asked)

    def planned() -> Any:
        now = call.started_at
        return plans(call, snapshot, ways(call, snapshot, board, now=now), now=now)

    (plan, *_) = planned()
    _tell("routing, price, budgets", planned)

    def tour() -> Any:
        return Tour(board, [plan.deployment], deadline=call.started + 1e6).next(time.perf_counter())

    step = tour()
    assert isinstance(step, Go)
    _tell("circuit, key, tries", tour)
    lease_id = uuid7()

    def attempted(made: Any = call) -> Any:
        now = datetime.now(UTC)
        return settlement.attempt(made, plan, step.leave.credential, now=now, number=1, lease_id=lease_id)

    def attempted_now() -> Any:
        """With an id of its own time: rows of one moment would lie apart in the database's indexes."""
        return attempted(msgspec.structs.replace(call, started_at=datetime.now(UTC)))

    attempt = attempted()
    _tell("hold: its row, bound and body", attempted)

    async def dispatched() -> bytes:
        key, said = step.leave.credential, plan.sendable
        answer = await dispatch.send(
            session,
            plan.deployment,
            key,
            said,
            attempt.body,
            forwarded={},
            ends_at=math.inf,
            sent=attempt.heard.note_sent,
        )
        return await answer.read()

    content = await dispatched()
    await _say("dispatch: the client and the kernel, 64 at once", lambda: _at_once(dispatched), _AT_ONCE)
    result = openai_chat.read_result(content)
    _tell("the provider's answer: usage, finish, model", lambda: openai_chat.read_result(content))
    outcome = Outcome(status="ok", usage=result.usage, output_bytes=result.output_bytes, served_model=result.model)
    record = settlement.record(attempt, outcome)
    _tell("settle: its record, priced", lambda: settlement.record(attempt, outcome))
    await _limits(call, plan, snapshot.capacity, record)
    reply = Reply(record=record, body=content, response=None)

    def told() -> None:
        tally.add(record)
        Witness(board, step.leave, sent_at=time.perf_counter()).answered()

    _tell("metrics, circuit and figures", told)
    _tell("encode: headers of the answer", lambda: answer_headers(reply))
    await session.close()
    await asyncio.to_thread(_books, attempted_now, plan.windows, outcome)


async def _limits(call: Any, plan: Any, capacity: Any, record: Any) -> None:
    """Of calls and of tokens: counted, told, and corrected by the record."""
    from gateway.admission import Admissions
    from gateway.limits.limiter import Limiter
    from gateway.slots import Slots

    admissions: Admissions

    async def limited() -> None:
        admission = await admissions.admit(call, [plan], capacity)
        assert admission is not None
        seat = await admission.enter(plan, call)
        seat.bind(record.id)
        admissions.settled(record)
        admission.close()

    with servers.redis() as redis:
        for where, url in (("memory", ""), ("Redis", redis.url)):
            limiter = Limiter(redis_url=url, workers=1, process_id=record.id, live=lambda: [record.id])
            admissions = Admissions(limiter, Slots(most_waiting=0, longest_wait_s=0, share=limiter.part_of))
            await limiter.start()
            await _say(f"limits, in {where}, {_AT_ONCE} at once", lambda: _at_once(limited), _AT_ONCE)
            await limiter.stop()


def _books(attempted: Callable[[], Any], windows: Any, outcome: Any) -> None:
    from gateway import settlement
    from usage import ledger
    from usage.ledger import Reserve, Settle

    def batch() -> None:
        made = [attempted() for _ in range(_BATCH)]
        began = time.thread_time()
        ledger.apply([Reserve(each.hold, windows) for each in made])
        ledger.apply([Settle(settlement.record(each, outcome)) for each in made])
        found.append(time.thread_time() - began)

    found: list[float] = []
    for _ in range(100):
        batch()
    _line(f"ledger: hold and settle, in batches of {_BATCH}", sorted(found)[len(found) // 4] / _BATCH)


def _tell(title: str, step: Step) -> None:
    spent = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_TIMES):
            step()
        spent.append((time.process_time() - began) / _TIMES)
    _line(title, min(spent))


async def _say(title: str, step: Callable[[], Awaitable[Any]], steps: int = 1) -> None:
    """The same of what is awaited, and makes so many `steps`."""
    spent = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(_TIMES // steps):
            await step()
        spent.append((time.process_time() - began) / (_TIMES // steps * steps))
    _line(title, min(spent))


async def _at_once(step: Callable[[], Awaitable[Any]]) -> None:
    await asyncio.gather(*(step() for _ in range(_AT_ONCE)))


def _line(title: str, seconds: float) -> None:
    print(f"{title:52}{seconds * 1e6:8.1f} us")


if __name__ == "__main__":
    sys.exit(main())
