"""Anybody may ask whether we are ready, as often as they like: the database is asked once for all of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.doors import health
from gateway.doors.health import Readiness
from tests.servers import PATIENCE_S, wait_until
from tests.threads import all_taken


@pytest.fixture(autouse=True)
def _slow_is_not_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to look."""
    monkeypatch.setattr(health, "_PATIENCE_S", PATIENCE_S)


class Looks:
    """Counts them; each waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = threading.Event()

    def __call__(self) -> bool:
        self.begun += 1
        return self.go.wait(PATIENCE_S)


def test_many_who_ask_at_once_and_soon_after_share_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_S", PATIENCE_S)
    looks = Looks()

    async def story() -> None:
        readiness = Readiness(looks)
        asked = [asyncio.ensure_future(readiness.found()) for _ in range(500)]
        await asyncio.sleep(0)
        looks.go.set()
        assert await asyncio.gather(*asked) == [True] * 500
        assert await readiness.found()

    asyncio.run(story())
    assert looks.begun == 1


def test_what_was_found_is_not_believed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_S", 0.0)
    looks = Looks()
    looks.go.set()

    async def story() -> None:
        readiness = Readiness(looks)
        await readiness.found()
        await readiness.found()

    asyncio.run(story())
    assert looks.begun == 2


def test_a_look_that_hangs_is_waited_for_by_all_and_given_up_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.01)
    looks = Looks()

    async def story() -> None:
        readiness = Readiness(looks)
        assert not await readiness.found()
        wait_until(lambda: looks.begun == 1)
        assert [await readiness.found() for _ in range(5)] == [False] * 5
        assert looks.begun == 1

        monkeypatch.setattr(health, "_GIVEN_UP_S", 0.0)
        assert not await readiness.found()
        wait_until(lambda: looks.begun == 2)
        looks.go.set()

    asyncio.run(story())


def test_whoever_else_waits_in_threads_makes_no_healthy_database_look_ill() -> None:
    async def story() -> None:
        async with all_taken():
            assert await Readiness(lambda: True).found()

    asyncio.run(story())
