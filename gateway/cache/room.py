"""Whether Redis has room for more answers: limits, circuits and the queue of tasks are in it too, and go before."""

from __future__ import annotations

import time

import structlog

from gateway.cache.link import Link, command

_LOOK_EVERY_S = 1.0
_MOST_USED = 0.75  # of its `maxmemory`, by whomever; what is kept until the next look comes on top

log = structlog.get_logger(__name__)


class Room:
    """One per link. A user of Redis who may not ask for INFO keeps answers without a bound."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._look_at = 0.0
        self._is_there = True

    async def is_there(self) -> bool:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S  # first, so that one looks and no other waits for it
            replies = await self._link.ask(command("INFO", "memory"), may_be_denied=True)
            if replies is not None:
                self._hear(replies[0])
        return self._is_there

    def _hear(self, info: bytes) -> None:
        was_there, self._is_there = self._is_there, _has_room(info)
        if was_there and not self._is_there:
            log.warning("the cache's Redis is nearly full: no more answers are kept")
        elif self._is_there and not was_there:
            log.info("the cache's Redis has room again: answers are kept")


def _has_room(info: bytes) -> bool:
    """`info` is what INFO tells of the memory. A Redis without `maxmemory` has no bound."""
    told = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    most = int(told.get(b"maxmemory", 0))
    return not most or int(told[b"used_memory"]) < most * _MOST_USED
