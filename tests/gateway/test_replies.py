"""What callers leave behind goes on; only what is a fault of ours is heard of again."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from gateway.http import CallerLeftError
from gateway.replies import Reply, left_behind
from wire.errors import ApiError, Code


@pytest.mark.parametrize(
    ("error", "is_heard_of"),
    [(ApiError(Code.BUDGET_EXCEEDED, "No."), False), (CallerLeftError(), False), (ZeroDivisionError(), True)],
)
def test_a_refusal_is_nobodys_and_a_fault_is_not_hidden(error: Exception, *, is_heard_of: bool) -> None:
    async def call() -> Reply:
        raise error

    async def story() -> None:
        await left_behind(asyncio.create_task(call()))

    with pytest.raises(type(error)) if is_heard_of else nullcontext():
        asyncio.run(story())
