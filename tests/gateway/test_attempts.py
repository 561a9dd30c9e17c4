"""A call's dispatches, with the real books."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import msgspec
import pytest

from core.http import open_session
from gateway.attempts import Attempts
from gateway.bookkeeping import Bookkeeper
from gateway.http import CallerLeftError, Exchange
from gateway.plans import Plan
from providers import dispatch
from providers.resilience.board import Board
from tests.gateway.cache_calls import PROVIDER, call, way
from usage.models import Hold, UsageRecord
from usage.writer import Writer

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


async def _left() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def _unheard(_: object) -> None:
    pass
