"""A stream that a door reads through a task of ours comes to its end, whatever becomes of the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gateway import pump
from gateway.http import CallerLeftError
from gateway.pump import pumped
from gateway.replies import Outset
from tests.servers import PATIENCE_S

FRAMES = [b"one", b"two", b"three"]


class Counted:
    """A stream of three frames; `wait` comes before each. It knows whether it was closed."""

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]], *, drains: bool = True) -> None:
        self.caller_left = False
        self.drains = drains
        self.read = 0
        self.closed = asyncio.Event()
        self._wait = wait

    @property
    def outset(self) -> Outset:
        return Outset(b"text/event-stream", "own", "gpt", 1, "off")

    async def frames(self) -> AsyncIterator[bytes]:
        for frame in FRAMES:
            await self._wait()
            self.read += 1
            yield frame

    def leave(self) -> None:
        self.caller_left = not self.closed.is_set()  # afterwards it is nobody's concern

    async def aclose(self) -> None:
        self.closed.set()


async def at_once() -> None:
    await asyncio.sleep(0)


def played(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_the_frames_come_as_they_are() -> None:
    async def story() -> None:
        stream = Counted(at_once)
        assert [frame async for frame in pumped(stream, detach=asyncio.create_task)] == FRAMES
        assert stream.closed.is_set()
        assert not stream.caller_left

    played(story)


def test_it_ends_also_where_nobody_ever_asks_for_a_frame() -> None:
    async def story() -> None:
        stream = Counted(at_once)
        frames = pumped(stream, detach=asyncio.create_task)
        await stream.closed.wait()
        assert stream.read == len(FRAMES)
        del frames

    played(story)


@pytest.mark.parametrize("drains", [True, False])
def test_a_door_that_is_cancelled_leaves_it_to_the_provider_s_policy(*, drains: bool) -> None:
    async def story() -> None:
        go = asyncio.Semaphore(1)

        async def wait() -> None:
            await go.acquire()

        stream = Counted(wait, drains=drains)

        async def door() -> None:
            async for _ in pumped(stream, detach=asyncio.create_task):
                pass

        reading = asyncio.create_task(door())
        while not stream.read:  # noqa: ASYNC110 - it is told by nobody
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        go.release()
        go.release()
        await stream.closed.wait()
        assert stream.caller_left
        assert stream.read == (len(FRAMES) if drains else 2)

    played(story)


@pytest.mark.parametrize("drains", [True, False])
def test_who_takes_nothing_for_long_is_told_so_and_not_that_it_was_all(
    monkeypatch: pytest.MonkeyPatch, *, drains: bool
) -> None:
    monkeypatch.setattr(pump, "STALLED_S", 0.05)
    monkeypatch.setattr(pump, "_QUEUED_FRAMES", 1)

    async def story() -> None:
        stream = Counted(at_once, drains=drains)
        frames = pumped(stream, detach=asyncio.create_task)
        await stream.closed.wait()
        assert stream.read == (len(FRAMES) if drains else 2)
        with pytest.raises(CallerLeftError):
            await anext(frames)

    played(story)


def test_who_takes_the_last_frame_too_late_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "STALLED_S", 0.05)
    monkeypatch.setattr(pump, "_QUEUED_FRAMES", len(FRAMES))

    async def story() -> None:
        reading: list[asyncio.Task[None]] = []

        def detach(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            reading.append(asyncio.create_task(work))
            return reading[0]

        frames = pumped(Counted(at_once), detach=detach)
        await asyncio.wait(reading)
        with pytest.raises(CallerLeftError):
            await anext(frames)

    played(story)


def test_what_breaks_is_raised_where_the_frames_are_taken() -> None:
    """Its caller would take what came before for the whole answer."""

    async def story() -> None:
        waits = iter(range(len(FRAMES)))

        async def break_at_the_second() -> None:
            if next(waits):
                raise ZeroDivisionError

        stream = Counted(break_at_the_second)
        frames = pumped(stream, detach=asyncio.create_task)

        assert await anext(frames) == FRAMES[0]
        with pytest.raises(ZeroDivisionError):
            await anext(frames)
        assert stream.closed.is_set()

    played(story)


def test_what_breaks_when_its_caller_has_left_is_in_the_log() -> None:
    """Nobody else hears of it."""

    async def story() -> None:
        has_left = asyncio.Event()

        async def break_when_nobody_hears() -> None:
            if stream.read:
                await has_left.wait()
                raise ZeroDivisionError

        stream = Counted(break_when_nobody_hears)
        frames = pumped(stream, detach=asyncio.create_task)
        assert await anext(frames) == FRAMES[0]
        await cast("AsyncGenerator[bytes]", frames).aclose()
        has_left.set()
        await stream.closed.wait()

    with capture_logs() as logged:
        played(story)
    assert [(line["log_level"], line["exc_info"]) for line in logged] == [("error", True)]
