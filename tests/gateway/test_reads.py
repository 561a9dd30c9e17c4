"""What doors read of the database: in threads of their own, so many at once, and not for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from django.db import OperationalError, connection

from gateway.doors import reads
from gateway.doors.reads import Reads
from tests.servers import PATIENCE_S
from tests.threads import all_taken
from wire.errors import ApiError, Code


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(whole())


def test_they_neither_take_the_threads_that_others_wait_for_nor_wait_for_those() -> None:
    go = threading.Event()

    async def story() -> None:
        facts = Reads("test", most_waiting=100)
        slow = [asyncio.create_task(facts.run(go.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(go.set)
        await asyncio.gather(*slow)
        async with all_taken():
            assert await facts.run(max, 1, 2) == 2

    play(story)


def test_those_of_one_kind_do_not_wait_for_those_of_another() -> None:
    go = threading.Event()

    async def story() -> None:
        facts, rows = Reads("facts", most_waiting=100), Reads("rows", most_waiting=100)
        slow = [asyncio.create_task(facts.run(go.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        await rows.run(go.set)
        await asyncio.gather(*slow)

    play(story)


def test_more_than_so_many_are_refused() -> None:
    go = threading.Event()

    async def story() -> None:
        facts = Reads("test", most_waiting=3)
        slow = [asyncio.create_task(facts.run(go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as refused:
            await facts.run(go.wait)
        go.set()
        await asyncio.gather(*slow)

        assert (refused.value.code, refused.value.retry_after_s) == (Code.QUEUE_FULL, 5)
        assert await facts.run(max, 1, 2) == 2

    play(story)


def test_a_database_that_is_away_is_said_to_be() -> None:
    def away() -> None:
        raise OperationalError("no such host")

    async def story() -> None:
        with pytest.raises(ApiError) as refused:
            await Reads("test", most_waiting=1).run(away)
        assert refused.value.code is Code.LEDGER_UNAVAILABLE

    play(story)


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_the_database_works_no_longer_for_one_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LONGEST_S", 0.1)

    def slow() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [PATIENCE_S])

    async def story() -> None:
        began = time.monotonic()
        with pytest.raises(ApiError) as refused:
            await Reads("test", most_waiting=1).run(slow)
        assert refused.value.code is Code.LEDGER_UNAVAILABLE
        assert time.monotonic() - began < PATIENCE_S / 2

    play(story)
