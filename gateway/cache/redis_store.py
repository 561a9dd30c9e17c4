"""Answers in Redis, shared by all processes and hosts, encrypted."""

from __future__ import annotations

import time

from gateway.cache import sealing
from gateway.cache.keys import Key
from gateway.cache.link import Link, command

_PREFIX = "aip:cache:"


class RedisStore:
    """A client's keys are listed in a sorted set by when they end, so that they can be counted and cleared."""

    name = "redis"

    def __init__(self, url: str) -> None:
        self._link = Link(url)

    @property
    def is_reachable(self) -> bool:
        return self._link.is_up

    async def get(self, key: Key) -> bytes | None:
        name = _name(key)
        (sealed,) = await self._link.ask(command("GET", name)) or [None]
        return None if sealed is None else sealing.unseal(sealed, name=name)

    async def put(self, key: Key, content: bytes, *, ttl_s: int) -> None:
        name, index = _name(key), _index(key.scope)
        now = time.time()
        await self._link.ask(
            command("SET", name, sealing.seal(content, name=name), "EX", ttl_s),
            command("ZADD", index, now + ttl_s, key.digest),
            command("ZREMRANGEBYSCORE", index, "-inf", now),
            command("EXPIRE", index, ttl_s),
        )

    async def clear(self, scope: str) -> int:
        (digests,) = await self._link.ask(command("ZRANGE", _index(scope), 0, -1)) or [[]]
        names = [_name(Key(scope, digest.decode())) for digest in digests]
        if not names:
            return 0
        gone, _ = await self._link.ask(command("UNLINK", *names), command("UNLINK", _index(scope))) or (0, 0)
        return int(gone)

    async def size(self, scope: str) -> int:
        (count,) = await self._link.ask(command("ZCOUNT", _index(scope), time.time(), "+inf")) or [0]
        return int(count)

    async def close(self) -> None:
        await self._link.close()


def _name(key: Key) -> bytes:
    return f"{_PREFIX}{key.scope}:{key.digest}".encode()


def _index(scope: str) -> str:
    return _PREFIX + scope
