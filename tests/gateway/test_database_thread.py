"""The thread that reads for the event loop: what it finds and what it raises reach who waits; nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from django.db import OperationalError, connection

from gateway import database_thread
from gateway.database_thread import DatabaseThread


def run(story: Callable[[DatabaseThread], Awaitable[None]]) -> None:
    async def told() -> None:
        thread = DatabaseThread("test")
        await story(thread)
        await thread.stop()

    asyncio.run(told())
    assert not [each for each in threading.enumerate() if each.name == "test"]


def test_many_wait_for_one_thread() -> None:
    async def story(thread: DatabaseThread) -> None:
        found = await asyncio.gather(*(thread.run(lambda: threading.current_thread().name) for _ in range(100)))
        assert found == ["test"] * 100
        assert len([each for each in threading.enumerate() if each.name == "test"]) == 1

    run(story)


def test_before_each_lot_of_work_who_asked_for_it_is_told() -> None:
    heard: list[str] = []

    async def story() -> None:
        thread = DatabaseThread("test", before=lambda: heard.append("before"))
        await asyncio.gather(*(thread.run(heard.append, "work") for _ in range(3)))
        await thread.run(heard.append, "more")
        await thread.stop()

    asyncio.run(story())

    assert (heard.count("work"), heard[0]) == (3, "before")
    assert heard[heard.index("more") - 1] == "before"


def test_an_error_is_its_own_callers_alone() -> None:
    async def story(thread: DatabaseThread) -> None:
        found = await asyncio.gather(*(thread.run(lambda n: 6 // n, n) for n in (1, 0, 3)), return_exceptions=True)
        assert [found[0], type(found[1]), found[2]] == [6, ZeroDivisionError, 2]

    run(story)


def test_who_waits_too_long_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_thread, "PATIENCE_S", 0.05)
    go = threading.Event()

    async def story(thread: DatabaseThread) -> None:
        with pytest.raises(OperationalError):
            await thread.run(go.wait)
        with pytest.raises(OperationalError):
            await thread.run(lambda: pytest.fail("nobody waits for it any more"))
        go.set()

    run(story)


def test_more_than_so_many_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_thread, "MOST_WAITING", 3)
    go, is_busy = threading.Event(), threading.Event()

    def busy() -> bool:
        is_busy.set()
        return go.wait()

    async def story(thread: DatabaseThread) -> None:
        asked = [asyncio.create_task(thread.run(busy))]
        await asyncio.to_thread(is_busy.wait)
        asked += [asyncio.create_task(thread.run(go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert thread.is_full
        go.set()
        await asyncio.gather(*asked)
        assert not thread.is_full

    run(story)


@pytest.mark.django_db(transaction=True)
def test_what_waited_for_a_locked_sqlite_in_vain_does_not_wait_again_in_front_of_the_others() -> None:
    tries: list[int] = []

    def keep_one() -> None:
        connection.ensure_connection()

    def locked() -> None:
        keep_one()
        tries.append(1)
        raise OperationalError("database is locked")

    async def story(thread: DatabaseThread) -> None:
        await thread.run(keep_one)
        with pytest.raises(OperationalError):
            await thread.run(locked)

    run(story)
    assert len(tries) == (1 if connection.vendor == "sqlite" else 2)
