"""Redis on the request path: it answers at once, or calls go on without it.

One connection carries the commands of many callers: while one batch is answered the next one gathers, and nobody sets a
timer. The first batch that waits in vain pays for it, at most `LIMIT_S`. From then on nobody waits until Redis, asked
in the background, takes writes again.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError

from gateway.patience import in_halves

LIMIT_S = 0.09
_LOOK_EVERY_S = 2.0
_MOST_AT_ONCE = 64

log = structlog.get_logger(__name__)

_Asked = tuple[tuple[bytes, ...], bool, "asyncio.Future[list[Any] | None]"]


def command(*words: bytes | str | float) -> bytes:
    """A command in Redis's protocol."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


_PROBE = command("SET", "aip:cache:probe", "1", "EX", 1)


class Link:
    """Make it on the event loop on which it is used."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=LIMIT_S, socket_connect_timeout=LIMIT_S, retry=Retry(NoBackoff(), 0)
        )
        self._loop = asyncio.get_running_loop()
        self._connection: Any = None  # redis.asyncio's, whose class has no useful types
        self._waiting: list[_Asked] = []
        self._sending: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._looking is None

    async def ask(self, *commands: bytes, may_be_denied: bool = False) -> list[Any] | None:
        """Their replies; None where Redis does not answer, refuses one of them, or is known to be gone.

        `may_be_denied`: they are of a kind that our user there need not be allowed, and Redis is not lost by it.
        """
        if not self.is_up:
            return None
        answered: asyncio.Future[list[Any] | None] = self._loop.create_future()
        self._waiting.append((commands, may_be_denied, answered))
        if self._sending is None:
            self._sending = self._loop.create_task(self._send_all())
        return await answered

    async def close(self) -> None:
        """When nobody asks any more."""
        if self._looking is not None:
            self._looking.cancel()
        await self._disconnect()

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
            try:
                await in_halves(self._exchange(batch), limit_s=LIMIT_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                await self._lose(error)
                batch, self._waiting = [*batch, *self._waiting], []
                for _, _, answered in batch:
                    _tell(answered, None)
        self._sending = None

    async def _exchange(self, batch: list[_Asked]) -> None:
        """Raises `RedisError` after the last reply where one was an error, but for what may be denied."""
        connection = await self._connected()
        sent = [each for commands, _, _ in batch for each in commands]
        await connection.send_packed_command(sent, check_health=False)
        refusal: ResponseError | None = None
        for commands, may_be_denied, answered in batch:
            replies = [await _reply(connection) for _ in commands]
            refused = [reply for reply in replies if isinstance(reply, ResponseError)]
            _tell(answered, None if refused else replies)
            lost = [each for each in refused if not (may_be_denied and isinstance(each, NoPermissionError))]
            refusal = refusal or next(iter(lost), None)
        if refusal is not None:
            raise refusal

    async def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis: untyped
            await self._connection.connect()
        return self._connection

    async def _lose(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        log.warning("the cache's Redis does not answer: calls go on without it", error=reason)
        self._looking = self._loop.create_task(self._until_it_is_back())
        await self._disconnect()

    async def _until_it_is_back(self) -> None:
        """A write is tried: a Redis that is full, or a replica, answers reads alone."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await in_halves(self._probe(), limit_s=LIMIT_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                log.debug("the cache's Redis still does not answer", error=str(error))
                await self._disconnect()
                continue
            self._looking = None
            log.info("the cache's Redis answers again")
            return

    async def _probe(self) -> None:
        connection = await self._connected()
        await connection.send_packed_command([_PROBE], check_health=False)
        await connection.read_response(timeout=math.inf)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def _reply(connection: Any) -> Any:
    """An error that Redis answers is a reply too: others follow it."""
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error


def _tell(answered: asyncio.Future[list[Any] | None], replies: list[Any] | None) -> None:
    if not answered.done():  # its caller may have left
        answered.set_result(replies)
