"""How many points collections have, a few asked at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from vectors.store import VectorStore
from wire.errors import ApiError, Code

MOST_AT_ONCE = 8  # the store's queue is for others too


async def counts(store: VectorStore, collections: Sequence[UUID]) -> list[int | None]:
    """None: its vectors are gone. Raises `ApiError` as the store does, and then asks it no further."""
    turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def counted(collection: UUID) -> int | None:
        async with turns:
            try:
                return await store.count(collection)
            except ApiError as error:
                if error.code is Code.NOT_FOUND:
                    return None
                raise

    asked = [asyncio.ensure_future(counted(each)) for each in collections]
    try:
        return await asyncio.gather(*asked)
    finally:
        for each in asked:
            each.cancel()
