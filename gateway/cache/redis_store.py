"""Answers in Redis, shared by all processes and hosts, encrypted."""

from __future__ import annotations

import time

from gateway.cache import sealing
from gateway.cache.keys import Key
from gateway.cache.link import Link, command
from gateway.cache.room import Room

_PREFIX = "aip:cache:"
_AT_ONCE = 1_000  # how many are cleared by one command: Redis answers it, and others', in time


class RedisStore:
    """A client's keys are listed in a sorted set by when they end, so that they can be counted and cleared."""

    name = "redis"

    def __init__(self, url: str) -> None:
        self._link = Link(url)
        self._room = Room(self._link)

    @property
    def is_reachable(self) -> bool:
        return self._link.is_up

    async def get(self, key: Key) -> bytes | None:
        name = _name(key)
        (sealed,) = await self._link.ask(command("GET", name)) or [None]
        return None if sealed is None else sealing.unseal(sealed, name=name)

    async def put(self, key: Key, content: bytes, *, ttl_s: int) -> None:
        if not await self._room.is_there():
            return
        name, index = _name(key), _index(key.scope)
        now = time.time()
        await self._link.ask(
            command("SET", name, sealing.seal(content, name=name), "EX", ttl_s),
            command("ZADD", index, now + ttl_s, key.digest),
            command("ZREMRANGEBYSCORE", index, "-inf", now),
            command("EXPIRE", index, ttl_s),
        )

    async def clear(self, scope: str) -> int | None:
        """Some at a time, those that end first before others: what is kept meanwhile ends last, and may stay."""
        (count,) = await self._link.ask(command("ZCARD", _index(scope))) or [None]
        if count is None:
            return None
        gone = 0
        for _ in range(0, count, _AT_ONCE):
            cleared = await self._clear_some(scope)
            if cleared is None:
                return None
            gone += cleared
        return gone

    async def _clear_some(self, scope: str) -> int | None:
        index = _index(scope)
        (digests,) = await self._link.ask(command("ZRANGE", index, 0, _AT_ONCE - 1)) or [None]
        if not digests:
            return None if digests is None else 0
        names = [_name(Key(scope, digest.decode())) for digest in digests]
        # In one transaction: an answer that another process puts between the two would be kept without being listed.
        replies = await self._link.ask(
            command("MULTI"), command("UNLINK", *names), command("ZREM", index, *digests), command("EXEC")
        )
        return None if replies is None else int(replies[-1][0])

    async def size(self, scope: str) -> int:
        (count,) = await self._link.ask(command("ZCOUNT", _index(scope), time.time(), "+inf")) or [0]
        return int(count)

    async def close(self) -> None:
        await self._link.close()


def _name(key: Key) -> bytes:
    return f"{_PREFIX}{key.scope}:{key.digest}".encode()


def _index(scope: str) -> str:
    return _PREFIX + scope
