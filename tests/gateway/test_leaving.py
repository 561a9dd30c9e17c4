"""Who leaves, or is cancelled, in whichever moment: what was opened is had by somebody, or closed."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.http import CallerLeftError
from gateway.leaving import UntilLeft
from tests.gateway.test_patience import on_a_loop


class Work:
    """It opens something once `ready` is done, unless it is cancelled while it waits: then it closes it."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_closed = False
        self.is_had = False

    async def open(self) -> str:
        try:
            await self.ready
        except asyncio.CancelledError:
            self.is_closed = True
            raise
        return "opened"

    async def call(self) -> str:
        with UntilLeft(self.gone):
            opened = await self.open()
        self.is_had = True
        return opened

    async def begun(self) -> asyncio.Task[str]:
        task = asyncio.create_task(self.call())
        await asyncio.sleep(0)
        return task

    def happens(self, what: str, task: asyncio.Task[str]) -> None:
        if what == "cancelled":
            task.cancel()
        elif what == "left":
            self.gone.set_result(None)
        elif not self.ready.done():  # its waiting may have been cancelled
            self.ready.set_result(None)


@on_a_loop
async def test_nobody_leaves() -> None:
    work = Work()
    task = await work.begun()
    work.ready.set_result(None)
    assert await task == "opened"


@on_a_loop
async def test_who_leaves_ends_the_work() -> None:
    work = Work()
    task = await work.begun()
    work.gone.set_result(None)
    with pytest.raises(CallerLeftError):
        await task
    assert work.is_closed


@on_a_loop
async def test_who_had_left_before_ends_it_too() -> None:
    work = Work()
    work.gone.set_result(None)
    with pytest.raises(CallerLeftError):
        await work.call()
    assert work.is_closed


@pytest.mark.parametrize("moment", list(itertools.permutations(("ready", "left", "cancelled"), 2)))
def test_in_one_moment_nothing_is_dropped(moment: tuple[str, str]) -> None:
    async def story() -> None:
        work = Work()
        task = await work.begun()
        for what in moment:
            work.happens(what, task)
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
        assert work.is_closed != work.is_had
        assert ended == "opened" if work.is_had else isinstance(ended, CallerLeftError | asyncio.CancelledError)

    asyncio.run(story())


@on_a_loop
async def test_a_cancellation_is_not_taken_for_leaving() -> None:
    work = Work()
    task = await work.begun()
    work.gone.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_a_loop
async def test_who_leaves_afterwards_cancels_nothing() -> None:
    work = Work()
    work.ready.set_result(None)
    task = asyncio.current_task()
    assert task is not None
    await work.call()
    work.gone.set_result(None)
    await asyncio.sleep(0)
    assert not task.cancelling()
