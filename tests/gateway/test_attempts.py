"""A call's dispatches, with the real books."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from core.http import open_session
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.http import CallerLeftError, Exchange
from gateway.plans import Plan
from providers import dispatch
from providers.resilience.board import Board
from providers.resilience.breaker import Policy
from tests.core.hosts import HELLO, Line, framed, raw_host, saying
from tests.gateway.cache_calls import PROVIDER, call, way
from tests.gateway.dispatches import ANSWER, STREAM, desk, hard_window, target
from tests.servers import nobody_accepts
from tests.upstream import Fault, Upstream
from usage.ledger import Extend, Reserve
from usage.models import Hold, UsageRecord
from usage.writer import Writer
from wire import openai_chat
from wire.errors import ApiError, Code

replace = msgspec.structs.replace
pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_sent_for_who_left_while_the_hold_was_written(tmp_path: Path) -> None:
    async def story() -> None:
        exchange = Exchange({"headers": []}, _left, _unheard)
        made = call(watch=exchange.watch)
        chosen = way(provider=replace(PROVIDER, drains=False))
        sendable = dispatch.encode(made.envelope, made.dialect, chosen.deployment, max_output_tokens=None)
        plan = Plan(chosen.deployment, sendable, chosen.output_tokens, None, ())
        writer, session = Writer(tmp_path), open_session()
        await writer.start()
        try:
            books = Bookkeeper(writer, lambda _: None)
            attempts = Attempts(books=books, session=session, board=Board(Random(0)))
            with pytest.raises(CallerLeftError):
                await attempts.make(made, [plan], None)
            await books.stop(within_s=0)
        finally:
            await writer.stop()
            await session.close()

    asyncio.run(story())

    row = UsageRecord.objects.get()
    assert (row.status, row.attempt, row.evidence, row.cost_pico) == ("cancelled", 0, "none", 0)
    assert not Hold.objects.exists()


def test_a_model_that_is_unknown_here_may_be_known_where_nobody_could_be_asked(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Its caller may try again: it is no 404, which a client takes for the last word."""
    board = Board(Random(0))
    board.circuit(target(0, upstream.port).id, 0).breaker.open(600, time.perf_counter())
    upstream.on("gpt-1", Fault(status=404, message="No model gpt-1"))

    async def story() -> ApiError:
        async with desk(tmp_path, board=board) as own:
            with pytest.raises(ApiError) as told:
                await own.make(call(), upstream.port, upstream.port)
            return told.value

    told = asyncio.run(story())

    assert (told.code, told.message) == (
        Code.PROVIDER_UNAVAILABLE,
        "No provider can take this call now: own0/gpt (circuit open).",
    )
    row = UsageRecord.objects.get()
    assert (row.provider, row.error_code, row.is_final) == ("own1", "MODEL_NOT_FOUND", True)
    assert not Hold.objects.exists()


class _SlowBooks(Bookkeeper):
    """As over a database that hangs for a moment."""

    async def reserve(self, entry: Reserve | Extend) -> None:
        await super().reserve(entry)
        await asyncio.sleep(0.3)


def _failed() -> list[tuple[str, str, str]]:
    rows = UsageRecord.objects.order_by("attempt")
    return [(row.status, row.error_code, row.evidence) for row in rows]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_whose_time_ends_without_a_connection_costs_nothing(tmp_path: Path, *, stream: bool) -> None:
    async def story() -> None:
        async with desk(tmp_path) as own:
            with nobody_accepts() as port, pytest.raises(ApiError, match="No connection to own0"):
                await own.make(call(timeout_s=0.5, asked={"stream": stream}), port)

    asyncio.run(story())

    assert _failed() == [("error", "PROVIDER_TIMEOUT", "none")]


def test_nor_does_one_whose_caller_leaves_before_there_is_a_connection(tmp_path: Path) -> None:
    async def story() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.2, gone.set_result, None)
        async with desk(tmp_path) as own:
            with nobody_accepts() as port, pytest.raises(CallerLeftError):
                await own.make(call(watch=lambda: gone), port, drains=False)

    asyncio.run(story())

    assert _failed() == [("cancelled", "", "none")]


def test_what_has_no_answer_may_have_been_billed(tmp_path: Path) -> None:
    """The other side of both: the call has been sent."""

    async def story() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def silence(_: Line) -> None:
            gone.set_result(None)

        async with raw_host(silence) as host, desk(tmp_path) as own:
            with pytest.raises(CallerLeftError):
                await own.make(call(watch=lambda: gone), host.port, drains=False)
        async with raw_host(saying(b"")) as host, desk(tmp_path) as own:
            with pytest.raises(ApiError, match="did not answer"):
                await own.make(call(timeout_s=0.5), host.port)

    asyncio.run(story())

    assert sorted(_failed()) == [("cancelled", "", "upper_bound"), ("error", "PROVIDER_TIMEOUT", "upper_bound")]


@pytest.mark.parametrize(("limit_s", "is_open"), [(0.2, False), (3.0, True)])
@pytest.mark.parametrize(
    ("stream", "host_says"), [(False, b""), (True, b""), (True, STREAM)], ids=["whole", "stream", "stream with a head"]
)
def test_a_provider_whose_own_time_is_short_counts_all_the_same(
    tmp_path: Path, limit_s: float, host_says: bytes, *, stream: bool, is_open: bool
) -> None:
    """Only a caller in a hurry says nothing of it."""
    board = Board(Random(0))

    async def story() -> bool:
        settings: dict[str, Any] = {"timeout_s": 1.0, "circuit": Policy(failures=1)}
        async with raw_host(saying(host_says)) as host, desk(tmp_path, board=board) as own:
            with pytest.raises(ApiError) as told:
                await own.make(call(timeout_s=limit_s, asked={"stream": stream}), host.port, **settings)
            assert told.value.code is Code.PROVIDER_TIMEOUT
            return board.is_open(target(0, host.port, **settings))

    assert asyncio.run(story()) is is_open


def test_nothing_is_sent_for_who_has_no_time_left_when_the_hold_is_written(tmp_path: Path) -> None:
    async def story() -> int:
        async with raw_host(saying(HELLO)) as host, desk(tmp_path, keep=_SlowBooks) as own:
            with pytest.raises(ApiError, match="time was over before a provider could be asked"):
                await own.make(call(timeout_s=0.2), host.port)
            return len(host.requests)

    assert asyncio.run(story()) == 0
    assert _failed() == [("error", "PROVIDER_TIMEOUT", "none")]
    assert not Hold.objects.exists()


class _SlowSecond(Bookkeeper):
    """The second hold takes longer than the call may."""

    _holds = 0

    async def reserve(self, entry: Reserve | Extend) -> None:
        await super().reserve(entry)
        self._holds += 1
        if self._holds == 2:
            await asyncio.sleep(2)


def test_who_has_no_time_left_for_another_is_told_that_there_was_one(tmp_path: Path) -> None:
    async def story() -> None:
        refusal = framed(["Content-Length: 0"], status="503 no")
        async with raw_host(saying(refusal)) as host, desk(tmp_path, keep=_SlowSecond) as own:
            with pytest.raises(ApiError, match="time was over before another provider could be asked"):
                await own.make(call(timeout_s=2), host.port, host.port)

    asyncio.run(story())

    assert _failed() == [("error", "PROVIDER_TIMEOUT", "none"), ("error", "PROVIDER_ERROR", "none")]


def test_a_refusal_whose_words_never_come_is_a_refusal(tmp_path: Path) -> None:
    """Its status has come, and when to come again; the rest does not within the caller's time."""
    refusal = framed(["Content-Length: 50", "Retry-After: 7"], b"{", status="429 no")

    async def story() -> ApiError:
        async with raw_host(saying(refusal)) as host, desk(tmp_path) as own:
            with pytest.raises(ApiError) as caught:
                await own.make(call(timeout_s=1.0), host.port)
            return caught.value

    assert asyncio.run(story()).retry_after_s == 7
    assert _failed() == [("error", "PROVIDER_ERROR", "none")]


_BUSY = framed(["Content-Length: 0"], status="503 no")
_ANSWERED = framed([f"Content-Length: {len(ANSWER)}"], ANSWER)


def test_of_a_calls_rows_only_the_last_is_final(tmp_path: Path) -> None:
    async def story() -> None:
        async with raw_host(saying(_BUSY)) as one, raw_host(saying(_ANSWERED)) as other, desk(tmp_path) as own:
            for ports in ((one.port, other.port), (one.port, one.port)):
                with contextlib.suppress(ApiError):
                    await own.make(call(), *ports)

    asyncio.run(story())

    finals: dict[str, list[bool]] = {}
    for row in UsageRecord.objects.order_by("started_at", "attempt"):
        finals.setdefault(row.request_id, []).append(row.is_final)
    assert list(finals.values()) == [[False, True]] * 2


def test_who_leaves_between_two_attempts_leaves_the_row_of_the_first(tmp_path: Path) -> None:
    async def story() -> int:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def refuse_and_see_it_go(line: Line) -> None:
            gone.set_result(None)
            await line.say(_BUSY)

        async with raw_host(refuse_and_see_it_go) as one, raw_host(saying(HELLO)) as other, desk(tmp_path) as own:
            with pytest.raises(CallerLeftError):
                await own.make(call(watch=lambda: gone), one.port, other.port)
            return len(other.requests)

    assert asyncio.run(story()) == 0
    row = UsageRecord.objects.get()
    assert (row.provider, row.error_code, row.evidence, row.is_final) == ("own0", "PROVIDER_ERROR", "none", True)
    assert not Hold.objects.exists()


def test_a_call_that_nobody_can_take_has_a_row(tmp_path: Path, upstream: Upstream) -> None:
    board = Board(Random(0))
    board.circuit(target(0, upstream.port).id, 0).breaker.open(600, time.perf_counter())

    async def story() -> None:
        async with desk(tmp_path, board=board) as own:
            with pytest.raises(ApiError):
                await own.make(call(), upstream.port)

    asyncio.run(story())

    row = UsageRecord.objects.get()
    assert (row.provider, row.attempt, row.error_code) == ("", 0, "PROVIDER_UNAVAILABLE")


def test_a_fault_of_ours_in_an_answer_has_its_row_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent may have been billed, whoever failed to understand it."""
    monkeypatch.setattr(openai_chat, "read_result", lambda body: 1 // len(body[:0]))

    async def story() -> None:
        async with raw_host(saying(HELLO)) as host, desk(tmp_path) as own:
            with pytest.raises(ZeroDivisionError):
                await own.make(call(), host.port)

    asyncio.run(story())

    assert _failed() == [("error", "INTERNAL", "upper_bound")]
    assert not Hold.objects.exists()


def test_where_one_providers_budget_has_no_room_another_is_asked(tmp_path: Path) -> None:
    full, wide = hard_window(tokens=99), hard_window(tokens=100)

    async def story() -> list[int]:
        async with raw_host(saying(_ANSWERED)) as one, raw_host(saying(_ANSWERED)) as other, desk(tmp_path) as own:
            await own.make(call(), one.port, other.port, windows=[(full,), (wide,)])
            with pytest.raises(ApiError, match="99 tokens"):
                await own.make(call(), one.port, windows=[(full,)])
            return [len(host.requests) for host in (one, other)]

    assert asyncio.run(story()) == [0, 1]
    assert _failed() == [("refused", "BUDGET_EXCEEDED", "none"), ("ok", "", "reported")]


async def _left() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def _unheard(_: object) -> None:
    pass
