"""One timer for many waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.patience import Patience


def on_a_loop(story: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is told in `async`."""

    async def told() -> None:
        await story()

    return lambda: asyncio.run(told())


@on_a_loop
async def test_a_wait_that_is_too_long() -> None:
    patience = Patience()
    with pytest.raises(TimeoutError), patience.within(0.01):
        await asyncio.sleep(10)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


@on_a_loop
async def test_waits_that_are_short_enough_whenever_the_timer_rings() -> None:
    patience = Patience()
    for _ in range(10):
        with patience.within(0.05):
            await asyncio.sleep(0.02)


@on_a_loop
async def test_a_shorter_limit_after_a_longer_one() -> None:
    patience = Patience()
    with patience.within(60):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), patience.within(0.01):
        await asyncio.sleep(10)
    patience.close()


@on_a_loop
async def test_time_between_waits_is_nobodys() -> None:
    patience = Patience()
    with patience.within(0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    with patience.within(0.02):
        await asyncio.sleep(0)


@on_a_loop
async def test_a_cancelled_wait_is_no_timeout() -> None:
    patience = Patience()

    async def wait() -> None:
        with patience.within(60):
            await asyncio.sleep(10)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


@on_a_loop
async def test_waits_of_several_tasks_one_after_the_other() -> None:
    patience = Patience()

    async def wait(seconds: float) -> str:
        try:
            with patience.within(0.05):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "in time"

    assert [await asyncio.create_task(wait(seconds)) for seconds in (0, 10, 0.01)] == ["in time", "late", "in time"]


@on_a_loop
async def test_another_failure_goes_through() -> None:
    patience = Patience()
    with pytest.raises(ValueError, match="other"), patience.within(1):
        raise ValueError("other")
    patience.close()
