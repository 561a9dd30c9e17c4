"""A call's dispatches, with the real books."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random
from uuid import UUID

import msgspec
import pytest

from core.http import open_session
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.calls import Call
from gateway.http import CallerLeftError, Exchange
from gateway.plans import Plan, Way
from providers import dispatch
from providers.resilience.board import Board
from tests.gateway.cache_calls import PROVIDER, call, way
from tests.upstream import Fault, Upstream
from usage.models import Hold, UsageRecord
from usage.writer import Writer
from wire.errors import ApiError, Code

replace = msgspec.structs.replace
pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_sent_for_who_left_while_the_hold_was_written(tmp_path: Path) -> None:
    async def story() -> None:
        exchange = Exchange({"headers": []}, _left, _unheard)
        with pytest.raises(CallerLeftError):
            await _made(tmp_path, call(watch=exchange.watch), way(provider=replace(PROVIDER, drains=False)))

    asyncio.run(story())

    row = UsageRecord.objects.get()
    assert (row.status, row.attempt, row.evidence, row.cost_pico) == ("cancelled", 0, "none", 0)
    assert not Hold.objects.exists()


def test_a_model_that_is_unknown_here_may_be_known_where_nobody_could_be_asked(
    tmp_path: Path, upstream: Upstream
) -> None:
    """Its caller may try again: it is no 404, which a client takes for the last word."""
    broken = way(1, provider=replace(PROVIDER, slug="broken"))
    board = Board(Random(0))
    board.circuit(broken.deployment.id, 0).breaker.open(600, time.perf_counter())
    upstream.on("gpt-1", Fault(status=404, message="No model gpt-1"))
    other = way(2, provider=replace(PROVIDER, id=UUID(int=2), slug="other", address=upstream.openai_url))

    with pytest.raises(ApiError) as told:
        asyncio.run(_made(tmp_path, call(), broken, other, board=board))

    assert (told.value.code, told.value.message) == (
        Code.PROVIDER_UNAVAILABLE,
        "No provider can take this call now: broken/gpt (circuit open).",
    )
    row = UsageRecord.objects.get()
    assert (row.provider, row.error_code, row.is_final) == ("other", "PROVIDER_REJECTED", True)
    assert not Hold.objects.exists()


async def _made(folder: Path, made: Call, *ways: Way, board: Board | None = None) -> None:
    """What is left of it when its books are closed."""
    plans = [
        Plan(
            each.deployment,
            dispatch.encode(made.envelope, made.dialect, each.deployment, max_output_tokens=None),
            each.output_tokens,
            None,
            (),
        )
        for each in ways
    ]
    writer, session = Writer(folder), open_session()
    await writer.start()
    books = Bookkeeper(writer, lambda _: None)
    try:
        await Attempts(books=books, session=session, board=board or Board(Random(0))).make(made, plans, None)
    finally:
        await books.stop(within_s=0)
        await writer.stop()
        await session.close()


async def _left() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def _unheard(_: object) -> None:
    pass
