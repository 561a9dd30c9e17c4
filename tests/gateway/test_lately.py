"""A finding is told to all who ask for a while, and looked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.doors.lately import Lately
from tests.servers import PATIENCE_S


class _Looks:
    """Looks that wait to be let go; `begun` counts them."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.trouble: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.gate.wait()
        if self.trouble:
            raise self.trouble
        return number


def _play(story: Callable[[_Looks], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(story(_Looks()), PATIENCE_S)

    asyncio.run(whole())


def test_many_who_ask_at_once_and_soon_after_share_one_look_and_each_client_has_its_own() -> None:
    async def story(look: _Looks) -> None:
        lately = Lately[int](fresh_s=3_600)
        asked = [asyncio.ensure_future(lately.found("alice", look)) for _ in range(5)]
        await asyncio.sleep(0)
        look.gate.set()

        assert await asyncio.gather(*asked) == [1] * 5
        assert await lately.found("alice", look) == 1
        assert await lately.found("bob", look) == 2

    _play(story)


def test_what_is_old_is_looked_for_again() -> None:
    async def story(look: _Looks) -> None:
        lately = Lately[int](fresh_s=0)
        look.gate.set()

        assert [await lately.found("alice", look), await lately.found("alice", look)] == [1, 2]

    _play(story)


def test_a_failure_is_told_to_those_who_waited_and_not_kept() -> None:
    async def story(look: _Looks) -> None:
        lately = Lately[int](fresh_s=3_600)
        look.gate.set()
        look.trouble = RuntimeError("away")
        with pytest.raises(RuntimeError):
            await lately.found("alice", look)
        look.trouble = None

        assert await lately.found("alice", look) == 2

    _play(story)


def test_who_leaves_does_not_end_the_look_of_others() -> None:
    async def story(look: _Looks) -> None:
        lately = Lately[int](fresh_s=3_600)
        first, second = (asyncio.ensure_future(lately.found("alice", look)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        look.gate.set()

        assert await second == 1

    _play(story)
