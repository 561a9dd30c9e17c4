"""Circuits shared by all processes: what one learns of a provider, the others know within a quarter of a second.

No call asks Redis: every process decides by what it knows. A task of its own tells Redis what has opened or
closed here, hears what has elsewhere, and sees to it that one process at a time makes the trials of an open circuit.
Without Redis, or while it is away, each process goes by its own experience.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.ids import uuid7
from gateway.catalogue import Catalogue
from gateway.trials import Trials
from providers import circuits
from providers.models import Health
from providers.resilience.board import Board, Change
from providers.resilience.breaker import State
from providers.resilience.reports import REPORT_LASTS_S, Report, Seen, seen
from providers.specs import Topology
from providers.standing import STALE_AFTER

SYNC_S = 0.25
_REPORT_EVERY_S = 2.0
_PROBES_EVERY_S = 15.0
_LIMIT_S = 1.0
_NEWS, _SEQUENCE = "aip:circuits:news", "aip:circuits:seq"

log = structlog.get_logger(__name__)


class _News(msgspec.Struct, frozen=True):
    """Unlike any other, by `teller` and `told_at`, in Unix seconds. `forgiven_at`: the last reset that was known."""

    teller: str
    told_at: float
    state: State
    open_s: float
    forgiven_at: datetime | None


class Circuits:
    """One per process: keeps `board` in step with the configuration, with probes, and with other processes."""

    def __init__(self, board: Board, catalogue: Catalogue, *, redis_url: str) -> None:
        self._board = board
        self._catalogue = catalogue
        self._me = uuid7().hex
        self._redis: Redis | None = None
        if redis_url:
            self._redis = Redis.from_url(
                redis_url, socket_timeout=_LIMIT_S, socket_connect_timeout=_LIMIT_S, retry=Retry(NoBackoff(), 0)
            )
            self._trials = Trials(board, self._redis, self._me)
        self._known: Topology | None = None
        self._sequence = 0
        self._heard: dict[Any, Any] = {}
        self._others: dict[str, Report] = {}
        self._reported_at = 0.0
        self._is_away = False

    async def run(self) -> None:
        """Until cancelled. Probes are read apart: a database that hangs keeps no circuit from being shared or tried."""
        async with asyncio.TaskGroup() as both:
            both.create_task(_repeat(self.round, SYNC_S))
            both.create_task(_repeat(self._read_probes, _PROBES_EVERY_S))

    async def round(self) -> None:
        """In step once: in this order, so that a reset is known before what others told earlier is heard."""
        self._heed_configuration()
        await self._share()

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    def reports(self) -> list[dict[UUID, Seen]]:
        """What this process has seen, and the others, as they last said."""
        stale_at = time.time() - REPORT_LASTS_S
        return [self._own(), *(report.seen for report in self._others.values() if report.told_at > stale_at)]

    def _own(self) -> dict[UUID, Seen]:
        deployments = self._catalogue.current.topology.by_id
        called = [deployments[each] for each in self._board.circuits if each in deployments]
        return seen(self._board, called, time.perf_counter(), time.time())

    def _heed_configuration(self) -> None:
        """Somebody may have reset a circuit."""
        topology = self._catalogue.current.topology
        if topology is not self._known:
            self._known = topology
            self._board.heed(topology.deployments, time.perf_counter())

    async def _read_probes(self) -> None:
        try:
            self._board.unhealthy = await asyncio.to_thread(_read_unhealthy)
        except (DatabaseError, InterfaceError) as error:
            log.warning("what probes have found cannot be read", error=str(error))

    async def _share(self) -> None:
        if self._redis is None:
            await self._keep()
            return
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self._tell(self._redis)
                claims = await self._trials.claim(self._catalogue.current.topology.by_id, time.perf_counter())
                await self._hear(self._redis)  # after the claims: who gives one up has told before how its trial went
                self._board.claims = claims
                await self._report(self._redis)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._lose(error)
            return
        if self._is_away:
            self._is_away = False
            log.info("circuits are shared again")

    def _lose(self, error: Exception) -> None:
        """Alone: this process makes its own trials."""
        self._board.claims = None
        self._others.clear()
        self._sequence = 0
        if not self._is_away:
            self._is_away = True
            log.warning("circuits are not shared: Redis does not answer", error=str(error) or repr(error))

    async def _tell(self, redis: Redis) -> None:
        """All at once: whoever sees the sequence move finds the news. What is cut off is told again."""
        if not (news := self._board.news()):
            return
        now, wall = time.perf_counter(), time.time()
        told: dict[Any, Any] = {
            key.hex: msgspec.json.encode(
                _News(self._me, wall, change.state, max(change.until - now, 0.0), change.forgiven_at)
            )
            for key, change in news.items()
        }
        async with redis.pipeline(transaction=True) as together:
            together.hset(_NEWS, mapping=told)
            together.incr(_SEQUENCE)
            await together.execute()
        self._board.told(news)

    async def _hear(self, redis: Redis) -> None:
        sequence = int(await redis.get(_SEQUENCE) or 0)
        if sequence == self._sequence:
            return
        found: dict[Any, Any] = await redis.hgetall(_NEWS)
        now, wall = time.perf_counter(), time.time()
        for field, content in found.items():
            news = msgspec.json.decode(content, type=_News)
            if news.teller != self._me and content != self._heard.get(field):
                left_s = max(news.open_s - max(wall - news.told_at, 0.0), 0.0)
                self._board.hear(UUID(field.decode()), Change(news.state, now + left_s, news.forgiven_at), now)
        self._sequence, self._heard = sequence, found

    async def _keep(self) -> None:
        if not self._is_time_to_report():
            return
        try:
            await asyncio.to_thread(circuits.keep, Report(time.time(), self._own()))
            self._is_away = False
        except OSError as error:
            if not self._is_away:
                self._is_away = True
                log.warning("how circuits stand cannot be written down: no alert knows", error=str(error))

    def _is_time_to_report(self) -> bool:
        now = time.monotonic()
        if now - self._reported_at < _REPORT_EVERY_S:
            return False
        self._reported_at = now
        return True

    async def _report(self, redis: Redis) -> None:
        if not self._is_time_to_report():
            return
        own = Report(time.time(), self._own())
        await redis.hset(circuits.REPORTS_KEY, self._me, msgspec.json.encode(own))
        found: dict[Any, Any] = await redis.hgetall(circuits.REPORTS_KEY)
        self._others = {
            name.decode(): msgspec.json.decode(content, type=Report)
            for name, content in found.items()
            if name.decode() != self._me
        }
        if gone := [name for name, report in self._others.items() if report.told_at < time.time() - 60]:
            with contextlib.suppress(RedisError):
                await redis.hdel(circuits.REPORTS_KEY, *gone)


async def _repeat(work: Callable[[], Awaitable[None]], every_s: float) -> None:
    task = asyncio.current_task()
    while True:
        try:
            await work()
        except Exception:  # whatever one round met, the next must come: resets would have no effect any more
            log.exception("a round of sharing circuits has failed")
        if task and task.cancelling():  # redis-py did not hear of it: its sending is within Python 3.11's `wait_for`
            return
        await asyncio.sleep(every_s)


def unhealthy_providers(*, now: datetime) -> frozenset[UUID]:
    """Whose last check has failed. An old one says nothing."""
    failed = Health.objects.filter(status=Health.Status.UNHEALTHY, checked_at__gte=now - STALE_AFTER)
    return frozenset(failed.values_list("provider_id", flat=True))


def _read_unhealthy() -> frozenset[UUID]:
    try:
        return unhealthy_providers(now=timezone.now())
    finally:
        connection.close()
