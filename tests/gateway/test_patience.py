"""One timer for many waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from gateway.patience import patience


def on_a_loop(story: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is told in `async`."""

    async def told() -> None:
        await story()

    return lambda: asyncio.run(told())


@on_a_loop
async def test_a_wait_that_is_too_long() -> None:
    bound = patience()
    with pytest.raises(TimeoutError), bound.within(0.01):
        await asyncio.sleep(10)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


@on_a_loop
async def test_waits_that_are_short_enough_whenever_the_timer_rings() -> None:
    bound = patience()
    with contextlib.suppress(TimeoutError), bound.within(0.05):
        await asyncio.sleep(0)
    for _ in range(10):
        with bound.within(60):
            await asyncio.sleep(0.02)


@on_a_loop
async def test_a_shorter_limit_after_a_longer_one() -> None:
    bound = patience()
    with bound.within(60):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), bound.within(0.01):
        await asyncio.sleep(10)


@on_a_loop
async def test_time_between_waits_is_nobodys() -> None:
    bound = patience()
    with contextlib.suppress(TimeoutError), bound.within(0.05):
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)
    with bound.within(60):
        await asyncio.sleep(0)


@on_a_loop
async def test_a_cancelled_wait_is_no_timeout() -> None:
    bound = patience()

    async def wait() -> None:
        with bound.within(60):
            await asyncio.sleep(10)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_a_loop
async def test_waits_of_several_tasks_one_after_the_other() -> None:
    bound = patience()

    async def wait(limit_s: float, seconds: float) -> str:
        try:
            with bound.within(limit_s):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "in time"

    waits = ((60, 0), (0.1, 10), (60, 0.01))
    assert [await asyncio.create_task(wait(*each)) for each in waits] == ["in time", "late", "in time"]


@on_a_loop
async def test_another_failure_goes_through() -> None:
    bound = patience()
    with pytest.raises(ValueError, match="other"), bound.within(1):
        raise ValueError("other")


@on_a_loop
async def test_many_waits_at_once_end_each_at_its_own_time() -> None:
    bound = patience()
    assert patience() is bound

    async def wait(limit_s: float) -> str:
        try:
            with bound.within(limit_s):
                await asyncio.sleep(2)
        except TimeoutError:
            return "late"
        return "in time"

    found = await asyncio.gather(*(wait(limit_s) for limit_s in (60, 0.05, 10, 0.1, 0.02, 30)))
    assert found == ["in time", "late", "in time", "late", "late", "in time"]
    assert not bound.waits
