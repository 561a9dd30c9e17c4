"""A pause between two tries: no less than was meant, on the loop of the product's servers too."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from gateway.attempts import pause
from gateway.http import CallerLeftError
from tests.gateway.cache_calls import call


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("seconds", [0.0002, 0.0004, 0.0013, 0.0104])
def test_it_is_never_too_short(seconds: float, *, watched: bool) -> None:
    async def story() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = call(watch=(lambda: gone) if watched else None)
        for _ in range(20):
            time.sleep(0.0017)  # noqa: ASYNC251 - the loop's own clock stands still meanwhile
            began = time.perf_counter()
            await pause(waiting, seconds)
            assert time.perf_counter() - began >= seconds

    uvloop.run(story())


def test_who_leaves_ends_it() -> None:
    async def story() -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(gone.set_result, None)
        with pytest.raises(CallerLeftError):
            await pause(call(watch=lambda: gone), 600)

    uvloop.run(story())
