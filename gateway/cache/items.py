"""The items of answers in OpenAI's Responses API, kept for a while, so that a client may name them in its next turn.

They lie where cached answers do, but apart from them, and are found by the client that was told them alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from gateway.cache.keys import item_key_of
from gateway.cache.redis_store import RedisStore
from gateway.cache.stores import MemoryStore, Store
from gateway.catalogue import Caller
from wire.errors import ApiError, Code

KEPT_S = 3_600
MAX_ITEM_BYTES = 1024 * 1024  # larger ones are not kept
_AT_ONCE = 16  # what is read of Redis together, so that its answer comes in time


class Items:
    """One per process, on its event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, caller: Caller, items: Mapping[str, bytes]) -> None:
        """`items` by id. What cannot be kept will not be found."""
        kept = {id_: item for id_, item in items.items() if len(item) <= MAX_ITEM_BYTES}
        await asyncio.gather(
            *(self._store.put(item_key_of(caller, id_), item, ttl_s=KEPT_S) for id_, item in kept.items())
        )

    async def find(self, caller: Caller, ids: Iterable[str], *, limit_bytes: int) -> dict[str, bytes]:
        """Those that are kept, by id; it stops at the first that is not, as its call is refused.

        Raises `ApiError` PAYLOAD_TOO_LARGE where `ids`, each as often as it is there, stand for more.
        """
        named = list(ids)
        found: dict[str, bytes] = {}
        size = 0
        for start in range(0, len(named), _AT_ONCE):
            some = named[start : start + _AT_ONCE]
            fresh = [id_ for id_ in dict.fromkeys(some) if id_ not in found]
            items = await asyncio.gather(*(self._store.get(item_key_of(caller, id_)) for id_ in fresh))
            found |= {id_: item for id_, item in zip(fresh, items, strict=True) if item is not None}
            if None in items:
                break
            size += sum(len(found[id_]) for id_ in some)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
        return found

    async def close(self) -> None:
        await self._store.close()


def open_items(redis_url: str) -> Items:
    """In Redis where there is one, else in this process. On the event loop on which it is used."""
    return Items(RedisStore(redis_url) if redis_url else MemoryStore())


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        Code.PAYLOAD_TOO_LARGE, f"With the items that it refers to the body is larger than {limit_bytes:,} bytes."
    )
