"""Streams of providers, from their first byte to their row."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.http import CallerLeftError
from gateway.replies import Reply
from tests.core.hosts import raw_host, saying
from tests.gateway.dispatches import (
    END,
    STREAM,
    desk,
    frame,
    part,
    streamed,
    to_anthropic,
    to_gemini,
)
from usage.models import UsageRecord
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
