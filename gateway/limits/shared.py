"""Limits counted in Redis, for all processes together.

One connection carries the calls of many callers: while one batch is answered, the next one gathers, and nobody sets a
timer. The first batch that waits in vain pays for it, at most `LIMIT_S`; from then on nobody waits until Redis, asked
in the background, takes writes again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.ids import uuid7
from gateway.limits import commands
from gateway.limits.commands import Wanted
from gateway.limits.definitions import LimitSet
from gateway.limits.local import Correction
from gateway.limits.verdict import Verdict
from gateway.patience import in_halves

LIMIT_S = 0.09
_JOIN_LIMIT_S = 5 * LIMIT_S  # for connecting, and for each part of what is told then: no caller waits for it
_LOOK_AFTER_S, _LOOK_EVERY_S = 0.1, 1.0
_MOST_CORRECTIONS = 200  # in one command
_MOST_CALLS = 64  # in one command: Redis does nothing else meanwhile
_TELL_AFTER_S = 0.02  # corrections may wait so long for a call to go along with
_PROBE, _MARK = "{aip:limits}:probe", "{aip:limits}:mark"

log = structlog.get_logger(__name__)


_Answered = asyncio.Future[list[Any] | None]


class SharedCounters:
    """Make it on the event loop on which it is used. `rejoin` is awaited before calls go to Redis (again).

    It is told whether Redis may have lost what was counted, and gives what Redis shall be told. `back` is called when
    Redis counts again.
    """

    def __init__(self, url: str, rejoin: Callable[[bool], list[Correction]], back: Callable[[], None]) -> None:
        self.is_up = False
        self._rejoin = rejoin
        self._back = back
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=LIMIT_S, socket_connect_timeout=LIMIT_S, retry=Retry(NoBackoff(), 0)
        )
        self._loop = asyncio.get_running_loop()
        self._connection: Any = None  # redis.asyncio's, whose class has no useful types
        self._memory: _Memory | None = None
        self._waiting: list[tuple[Wanted, _Answered]] = []
        self._hearing: tuple[bytes, _Answered] | None = None
        self._corrections: list[Correction] = []
        self._untold: list[Correction] = []
        self._stopping = False
        self._sending: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, or go on trying in the background."""
        try:
            await self._join()
        except (RedisError, OSError) as error:
            self._lose(error)

    async def stop(self) -> None:
        """Send what waits, and let go. Whoever asks from now on is told that Redis does not answer."""
        if self._telling is not None:
            self._telling.cancel()
            self._tell()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=LIMIT_S)
        self._stopping, self.is_up = True, False
        tasks = [task for task in (self._looking, self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._disconnect()

    async def take(self, caller: LimitSet, candidates: Sequence[LimitSet], tokens: int) -> Verdict | None:
        """None: Redis does not answer."""
        wanted = Wanted((caller, *candidates), tokens)
        answered: _Answered = self._loop.create_future()
        self._waiting.append((wanted, answered))
        self._wake()
        reply = await answered
        if reply is None:
            return None
        now_ms, (chosen, culprit, wait_ms, *states) = reply
        if chosen >= 0:
            return Verdict(chosen, now_ms, states)
        limits = [limit for each in wanted.sets for limit in each.limits]
        return Verdict(chosen, now_ms, states, limits[culprit], wait_ms)

    async def hear(self, since_ms: int, moved: Sequence[str]) -> list[Any] | None:
        """What other processes have moved, as `hear.lua` tells it; `moved` are the counters that this one has.

        One at a time asks that.
        """
        answered: _Answered = self._loop.create_future()
        self._hearing = (commands.hear(since_ms, moved), answered)
        self._wake()
        return await answered

    def correct(self, corrections: Iterable[Correction]) -> None:
        """With the next batch, or soon; nobody waits for it."""
        self._corrections += corrections
        if self._telling is None:
            self._telling = self._loop.call_later(_TELL_AFTER_S, self._tell)

    # --- sending --------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._telling = None
        if self._corrections and self.is_up:
            self._wake()

    def _wake(self) -> None:
        if self._sending is None:
            self._sending = self._loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        batch: list[tuple[Wanted, _Answered]] = []
        hearing: tuple[bytes, _Answered] | None = None
        try:
            while self._waiting or self._corrections or self._hearing:
                batch, self._waiting = self._waiting[:_MOST_CALLS], self._waiting[_MOST_CALLS:]
                hearing, self._hearing = self._hearing, None
                corrections = self._corrections[:_MOST_CORRECTIONS]
                del self._corrections[:_MOST_CORRECTIONS]
                await in_halves(self._exchange(corrections, batch, hearing), limit_s=LIMIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._lose(error)
        finally:
            self._sending = None
            if not self.is_up:
                unheard = [each for each in (hearing, self._hearing) if each is not None]
                for _, answered in (*batch, *self._waiting, *unheard):
                    _answer(answered, None)
                self._waiting.clear()
                self._hearing = None
                self._corrections.clear()

    async def _exchange(
        self,
        corrections: list[Correction],
        batch: list[tuple[Wanted, _Answered]],
        hearing: tuple[bytes, _Answered] | None,
    ) -> None:
        """What is given back comes first."""
        packed = [commands.correct(corrections)] if corrections else []
        if batch:
            packed.append(commands.admit([wanted for wanted, _ in batch]))
        if hearing:
            packed.append(hearing[0])
        read = self._connection.read_response
        await self._connection.send_packed_command(packed, check_health=False)
        if corrections:
            await read(timeout=math.inf)
        if batch:
            now_ms, *replies = await read(timeout=math.inf)
            for (_, answered), reply in zip(batch, replies, strict=True):
                _answer(answered, [now_ms, reply])
        if hearing:
            _answer(hearing[1], await read(timeout=math.inf))

    # --- losing and finding it --------------------------------------------------------------------------------------

    def _lose(self, error: Exception) -> None:
        self.is_up = False
        if self._looking is None and not self._stopping:
            log.warning(
                "Redis does not answer: each process enforces its share of the limits",
                error=str(error) or type(error).__name__,
            )
            self._looking = self._loop.create_task(self._until_it_is_back())

    async def _until_it_is_back(self) -> None:
        pause_s = _LOOK_AFTER_S  # a short stall is soon over, and the others go on sharing meanwhile
        while not self.is_up:
            await self._disconnect()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LOOK_EVERY_S)
            try:
                await self._join()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                log.debug("Redis still does not answer", error=str(error))
        self._looking = None
        log.info("Redis answers again: limits are shared")

    async def _join(self) -> None:
        """Connect, and tell Redis what was counted without it. A write is tried: a full Redis answers reads alone."""
        async with asyncio.timeout(_JOIN_LIMIT_S):
            connection = self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis: untyped
            await connection.connect()
            await _ask(connection, "SET", _PROBE, "1", "PX", "1000")
            for script in (commands.ADMIT, commands.CORRECT, commands.HEAR):
                await _ask(connection, "SCRIPT", "LOAD", script.source)
            memory = await _memory_of(connection)
        if self._memory is not None and memory.is_lost_since(self._memory):
            self._untold = self._rejoin(True)
        else:
            self._untold += self._rejoin(False)
        self._memory = memory
        await self._tell_untold(connection)
        self.is_up = True
        self.correct(self._rejoin(False))  # what was counted here in the meantime
        self._back()

    async def _tell_untold(self, connection: Any) -> None:
        """However much it is. What Redis has acknowledged is not told again when a later part fails."""
        while part := self._untold[-_MOST_CORRECTIONS:]:
            await in_halves(_correct(connection, part), limit_s=_JOIN_LIMIT_S)
            del self._untold[-len(part) :]

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _answer(answered: _Answered, reply: list[Any] | None) -> None:
    if not answered.done():  # its caller may have left
        answered.set_result(reply)


async def _ask(connection: Any, *words: str | bytes) -> Any:
    await connection.send_command(*words, check_health=False)
    return await connection.read_response()


async def _correct(connection: Any, corrections: Sequence[Correction]) -> None:
    await connection.send_packed_command([commands.correct(corrections)], check_health=False)
    await connection.read_response(timeout=math.inf)


class _Memory(NamedTuple):
    """By what it is known whether Redis still has what was counted.

    `run_id` changes when it starts again, or a replica takes its place, be it with all data; `mark` is a key that
    goes with the data, but also when somebody empties Redis, who wants counters to begin anew.
    """

    run_id: bytes
    mark: bytes

    def is_lost_since(self, before: _Memory) -> bool:
        return self.run_id != before.run_id and self.mark != before.mark


async def _memory_of(connection: Any) -> _Memory:
    info = await _ask(connection, "INFO", "server")
    text: bytes = info if isinstance(info, bytes) else str(info).encode()
    run_id = next((line for line in text.splitlines() if line.startswith(b"run_id:")), b"")
    await _ask(connection, "SET", _MARK, uuid7().hex, "NX")
    return _Memory(run_id, await _ask(connection, "GET", _MARK))
