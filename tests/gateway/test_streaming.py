"""Streams of providers, from their first byte to their row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import connection

from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.http import CallerLeftError
from gateway.replies import Reply
from gateway.streaming import LiveStream
from tests.core.hosts import Line, Turn, raw_host, saying
from tests.gateway.dispatches import (
    DONE,
    END,
    STREAM,
    TOKEN_PICO,
    USAGE,
    desk,
    frame,
    hard_window,
    part,
    streamed,
    to_anthropic,
    to_gemini,
    words,
)
from tests.servers import wait_until
from tests.usage.rows import rename
from usage.models import BudgetWindow, Hold, UsageRecord
from wire import sse
from wire.errors import ApiError

pytestmark = pytest.mark.django_db(transaction=True)
START = frame(
    "message_start",
    message={"model": "c", "usage": {"input_tokens": 12, "cache_read_input_tokens": 988, "output_tokens": 1}},
)
HI = frame("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi there, you two"})
OVERLOADED = frame("error", error={"type": "overloaded_error", "message": "Overloaded"})


PICTURE = msgspec.json.encode(
    {
        "candidates": [
            {
                "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * 8 * 1024 * 1024}}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2_000},
    }
)


def _rows() -> list[Any]:
    return list(UsageRecord.objects.order_by("attempt"))


def _until_recorded() -> None:
    """In a thread of its own."""
    try:
        wait_until(_rows)
    finally:
        connection.close()


def test_an_error_instead_of_an_answer_costs_nothing_however_often_it_comes(tmp_path: Path) -> None:
    refusal = part(sse.event(b'{"error": {"message": "overloaded", "type": "server_error"}}'))

    async def story() -> None:
        async with raw_host(saying(STREAM, refusal, END)) as host, desk(tmp_path) as own:
            with pytest.raises(ApiError, match="overloaded"):
                await own.hear(streamed(), host.port, retry_attempts=3)

    asyncio.run(story())

    assert [(row.error_code, row.evidence, row.output_tokens) for row in _rows()] == [("PROVIDER_ERROR", "none", 0)] * 3


@pytest.mark.parametrize(
    ("told", "evidence", "tokens"),
    [
        ([START, OVERLOADED], "estimated", (1_000, 988, 1)),
        ([START, HI, OVERLOADED], "estimated", (1_000, 988, 5)),
        ([START, HI], "estimated", (1_000, 988, 5)),
    ],
    ids=["overloaded at once", "overloaded after a word", "cut"],
)
def test_of_a_stream_that_breaks_the_input_is_what_was_told(
    tmp_path: Path, told: list[bytes], evidence: str, tokens: tuple[int, int, int]
) -> None:
    async def story() -> None:
        async with raw_host(saying(STREAM, part(*told), END)) as host, desk(tmp_path) as own:
            with pytest.raises(ApiError) if OVERLOADED in told else nullcontext():
                await own.hear(to_anthropic(), host.port, kind="anthropic")

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence) == ("error", evidence)
    assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == tokens


def test_at_its_start_it_names_the_model_that_its_row_will_name(tmp_path: Path) -> None:
    """As a whole answer does; a name that no header could hold as far as it can."""
    event = {
        "model": "m-2026\r\nX-Forged: b",
        "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}],
    }
    said = part(sse.event(msgspec.json.encode(event)), DONE)

    async def story() -> str:
        async with raw_host(saying(STREAM, said, END)) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port)
            assert not isinstance(stream, Reply)
            told = stream.outset.model
            _ = [each async for each in stream.frames()]
            return told

    assert asyncio.run(story()) == "m-2026X-Forged: b" == _rows()[0].served_model


def test_so_it_is_of_geminis_which_tell_it_with_every_word(tmp_path: Path) -> None:
    """Thoughts that nobody hears are counted too."""
    used = {"promptTokenCount": 1_000, "cachedContentTokenCount": 988, "thoughtsTokenCount": 70}
    word = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": used}

    async def story() -> None:
        said = part(sse.event(msgspec.json.encode(word)))
        async with raw_host(saying(STREAM, said, END)) as host, desk(tmp_path) as own:
            await own.hear(to_gemini(), host.port, kind="google")

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence) == ("error", "estimated")
    assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (1_000, 988, 70)


@pytest.mark.parametrize(("told", "output_tokens"), [([START], 1), ([START, HI], 5)])
def test_of_a_stream_whose_caller_leaves_the_input_is_what_was_told(
    tmp_path: Path, told: list[bytes], output_tokens: int
) -> None:
    async def story() -> None:
        async with raw_host(saying(STREAM, part(*told))) as host, desk(tmp_path) as own:
            stream = await own.make(to_anthropic(), host.port, kind="anthropic", drains=False)
            assert not isinstance(stream, Reply)
            stream.leave()
            with pytest.raises(CallerLeftError):
                [_ async for _ in stream.frames()]
            await stream.aclose()

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence) == ("cancelled", "estimated")
    assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (1_000, 988, output_tokens)


def test_a_picture_is_one_event_however_large(tmp_path: Path) -> None:
    """Gemini's of 4K have eight megabytes and more."""

    async def story() -> int:
        async with raw_host(saying(STREAM, part(sse.event(PICTURE)), END)) as host, desk(tmp_path) as own:
            return sum(map(len, await own.hear(to_gemini(), host.port, kind="google")))

    assert asyncio.run(story()) > len(PICTURE)

    (row,) = _rows()
    assert (row.status, row.evidence, row.output_tokens) == ("ok", "reported", 2_000)


QUEUED = part(b": keep-alive\n\n")
WHOLE = part(words("Hi", "stop"), USAGE, DONE)


def _queueing(times: int, *, every_s: float) -> Turn:
    """A host that keeps a stream open without a word, as DeepSeek's and OpenRouter do where calls queue."""

    async def turn(line: Line) -> None:
        await line.say(STREAM)
        for _ in range(times):
            await line.say(QUEUED)
            await asyncio.sleep(every_s)
        await line.say(WHOLE, END)

    return turn


@pytest.mark.parametrize("made", [streamed, to_anthropic], ids=["passed through", "translated"])
def test_a_comment_is_no_first_word(tmp_path: Path, made: Callable[[], Call]) -> None:
    """The next provider is asked, where the first has said nothing else in time."""

    async def story() -> bytes:
        slow, quick = _queueing(100, every_s=0.05), saying(STREAM, WHOLE, END)
        async with raw_host(slow) as one, raw_host(quick) as other, desk(tmp_path) as own:
            return b"".join(await own.hear(made(), one.port, other.port, first_token_timeout_s=1.0))

    told = asyncio.run(story())

    assert b"keep-alive" not in told
    assert [(row.provider, row.status, row.error_code) for row in _rows()] == [
        ("own0", "error", "PROVIDER_TIMEOUT"),
        ("own1", "ok", ""),
    ]


def test_the_first_word_is_what_comes_after_comments(tmp_path: Path) -> None:
    async def story() -> bytes:
        async with raw_host(_queueing(4, every_s=0.1)) as host, desk(tmp_path) as own:
            return b"".join(await own.hear(streamed(), host.port))

    assert asyncio.run(story()).startswith(words("Hi", "stop"))

    (row,) = _rows()
    assert row.first_token_ms >= 300


def test_comments_do_not_lengthen_the_silence_between_words(tmp_path: Path) -> None:
    async def turn(line: Line) -> None:
        await line.say(STREAM, part(words("Hi")))
        for _ in range(100):
            await asyncio.sleep(0.05)
            await line.say(QUEUED)

    async def story() -> bytes:
        async with raw_host(turn) as host, desk(tmp_path) as own:
            return b"".join(await own.hear(streamed(), host.port, between_chunks_timeout_s=0.5))

    told = asyncio.run(story())

    assert told.startswith(words("Hi") + b": keep-alive\n\n")  # they go on, all the same
    assert b"own0 fell silent in mid-answer." in told
    (row,) = _rows()
    assert (row.status, row.error_code) == ("error", "PROVIDER_TIMEOUT")


def test_what_a_stream_waits_for_is_not_our_overhead(tmp_path: Path) -> None:
    """For its headers, its words, and a caller who takes its time."""

    async def turn(line: Line) -> None:
        await asyncio.sleep(0.2)
        await line.say(STREAM)
        await asyncio.sleep(0.2)
        await line.say(part(words("Hi")), WHOLE, END)

    async def story() -> None:
        async with raw_host(turn) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port)
            assert not isinstance(stream, Reply)
            async for _ in stream.frames():
                await asyncio.sleep(0.2)

    asyncio.run(story())

    (row,) = _rows()
    assert row.latency_ms - row.overhead_ms >= 600
    assert row.overhead_ms > 0


def test_an_answer_that_is_whole_needs_no_end(tmp_path: Path) -> None:
    """Some hosts send no [DONE], and leave the connection open."""

    async def story() -> bytes:
        async with raw_host(saying(STREAM, part(words("Hi", "stop"), USAGE))) as host, desk(tmp_path) as own:
            return b"".join(await own.hear(streamed(), host.port, between_chunks_timeout_s=2.0))

    assert asyncio.run(story()) == words("Hi", "stop")

    (row,) = _rows()
    assert (row.status, row.evidence, row.output_tokens) == ("ok", "reported", 2)


def test_an_event_that_the_end_of_the_stream_ends_is_heard(tmp_path: Path) -> None:
    """Some hosts leave out the last blank line."""
    told = part(words("Hi", "stop"), USAGE.rstrip())

    async def story() -> bytes:
        async with raw_host(saying(STREAM, told, END)) as host, desk(tmp_path) as own:
            return b"".join(await own.hear(streamed(), host.port))

    assert asyncio.run(story()) == words("Hi", "stop")

    (row,) = _rows()
    assert (row.status, row.evidence, row.output_tokens) == ("ok", "reported", 2)


def test_a_stream_may_last_longer_than_an_answer_may(tmp_path: Path) -> None:
    async def turn(line: Line) -> None:
        await line.say(STREAM)
        for _ in range(6):
            await line.say(part(words("Hi")))
            await asyncio.sleep(0.2)
        await line.say(WHOLE, END)

    async def story() -> None:
        async with raw_host(turn) as host, desk(tmp_path) as own:
            await own.hear(streamed(), host.port, timeout_s=0.8)

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence) == ("ok", "reported")


LONG = "x" * 390  # nearly what a hold of a hundred tokens has room for


def _held() -> tuple[Any, int]:
    try:
        return Hold.objects.values_list("amount_pico", "output_tokens").get()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("tokens", "grown", "ends_with"),
    [(130, 100, "BUDGET_EXCEEDED"), (170, 150, "BUDGET_EXCEEDED"), (1_000, 200, "")],
    ids=["no room at all", "room for half as much", "room"],
)
def test_a_stream_that_outgrows_its_hold_holds_more_as_long_as_there_is_room(
    tmp_path: Path, tokens: int, grown: int, ends_with: str
) -> None:
    window = hard_window(tokens=tokens)
    held = []

    async def turn(line: Line) -> None:
        await line.say(STREAM)
        for text in (LONG, "x" * 100, "x" * 200):
            await line.say(part(words(text)))
            await asyncio.sleep(0.3)  # so that each comes alone
        await line.say(WHOLE, END)

    async def story() -> bytes:
        async with raw_host(turn) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port, windows=[(window,)])
            assert not isinstance(stream, Reply)
            async for each in stream.frames():
                if b"xx" in each:
                    held.append(await asyncio.to_thread(_held))
            return each

    last = asyncio.run(story())

    assert max(held) == (grown * TOKEN_PICO, grown)
    (row,) = _rows()
    assert row.error_code == ends_with
    assert (last == DONE) is not bool(ends_with)
    left = BudgetWindow.objects.get()
    assert (left.held_pico, left.settled_pico) == (0, row.cost_pico)


def test_a_stream_that_outgrows_its_hold_ends_where_its_hard_budget_cannot_be_asked(tmp_path: Path) -> None:
    window, away = hard_window(tokens=1_000), asyncio.Event()

    async def turn(line: Line) -> None:
        await line.say(STREAM, part(words(LONG)))
        await away.wait()
        await line.say(part(words("x" * 100)))

    async def story() -> bytes:
        async with raw_host(turn) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port, windows=[(window,)])
            assert not isinstance(stream, Reply)
            frames = stream.frames()
            told = await anext(frames)
            await asyncio.to_thread(rename, "usage_hold", "usage_hold_away")
            try:
                away.set()
                told += b"".join([each async for each in frames])
            finally:
                await asyncio.to_thread(rename, "usage_hold_away", "usage_hold")
            await asyncio.to_thread(_until_recorded)  # else it is left in the journal, for whoever comes next
            return told

    assert b"The usage ledger cannot be written now" in asyncio.run(story())
    (row,) = _rows()
    assert (row.status, row.error_code) == ("error", "LEDGER_UNAVAILABLE")


class _Waiting:
    """Another caller, who waits for the same answer."""

    is_followed = True

    def __init__(self) -> None:
        self.told: list[Stored | None] = []

    async def land(self, answer: Stored | None) -> None:
        self.told.append(answer)


@pytest.mark.parametrize(("said", "is_whole"), [([WHOLE, END], True), ([part(words("Hi")), END], False)])
def test_only_a_whole_answer_is_for_others(tmp_path: Path, *, said: list[bytes], is_whole: bool) -> None:
    other = _Waiting()

    async def story() -> None:
        async with raw_host(saying(STREAM, *said)) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(is_kept=True), host.port)
            assert isinstance(stream, LiveStream)
            stream.flights.append(other)
            [_ async for _ in stream.frames()]

    asyncio.run(story())

    assert [answer is not None for answer in other.told] == [is_whole]


def test_who_leaves_a_stream_that_is_read_to_its_end_has_left_and_its_usage_is_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with raw_host(saying(STREAM, part(words("Hi")), WHOLE, END)) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port, drains=True)
            assert not isinstance(stream, Reply)
            stream.leave()
            [_ async for _ in stream.frames()]

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence, row.output_tokens) == ("cancelled", "reported", 2)


def test_so_it_is_where_all_has_come_but_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with raw_host(saying(STREAM, part(words("Hi", "stop"), USAGE))) as host, desk(tmp_path) as own:
            stream = await own.make(streamed(), host.port, drains=False)
            assert not isinstance(stream, Reply)
            await stream.aclose()

    asyncio.run(story())

    (row,) = _rows()
    assert (row.status, row.evidence, row.output_tokens) == ("cancelled", "reported", 2)
