"""One process's limits: counted in Redis where there is one and it answers, else by this process's share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError

from gateway.limits.definitions import LimitSet, Share
from gateway.limits.local import Correction, LocalCounters
from gateway.limits.shared import SharedCounters
from gateway.limits.verdict import Verdict

_HEAR_EVERY_S = 1.0
_COUNT_EVERY_S = _TIDY_EVERY_S = 5.0

log = structlog.get_logger(__name__)


class Limiter:
    """Make it on the event loop on which it is used; `run` until cancelled, between `start` and `stop`.

    `live` reads which processes live, of which this one is `process_id`; `workers` is how many there are at least.
    """

    def __init__(self, *, redis_url: str, workers: int, process_id: UUID, live: Callable[[], Sequence[UUID]]) -> None:
        self._workers = workers
        self._process_id = process_id
        self._live = live
        self._local = LocalCounters(has_redis=bool(redis_url))
        self._shared = SharedCounters(redis_url, self._untold, self._local.clear) if redis_url else None
        self._heard_ms = 0
        self._ahead_ms = int((time.time() - time.monotonic()) * 1000)  # Redis's clock, as far as it is known

    def part_of(self, most: int) -> int:
        """What this process answers for of a bound on all of them together."""
        return self._local.share.of(most)

    async def start(self) -> None:
        await self._count_processes()
        if self._shared is not None:
            await self._shared.start()

    async def run(self) -> None:
        await asyncio.gather(self._keep_hearing(), self._keep_counting(), self._keep_tidy())

    async def stop(self) -> None:
        if self._shared is not None:
            await self._shared.stop()

    async def take(self, caller: LimitSet, candidates: Sequence[LimitSet], tokens: int) -> Verdict:
        """Whether a call may be made, and which of its candidates has room (each by its limits, the best first).

        `tokens` is what it will use by the best guess. All is counted at once, or nothing.
        """
        if self._shared is not None and self._shared.is_up:
            verdict = await self._shared.take(caller, candidates, tokens)
            if verdict is not None:
                self._remember(caller, candidates, verdict, tokens)
                return verdict
        return self._local.take(caller, candidates, tokens, self._now_ms())

    def correct(self, corrections: Sequence[Correction]) -> None:
        """What was counted was more or less in truth."""
        self._local.correct(corrections)
        if self._shared is not None and self._shared.is_up:
            self._shared.correct(corrections)

    async def _keep_hearing(self) -> None:
        while True:
            await asyncio.sleep(_HEAR_EVERY_S)
            await self._hear()

    async def _keep_counting(self) -> None:
        """A database that hangs keeps this alone waiting."""
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            await self._count_processes()

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_EVERY_S)
            for _ in self._local.tidy(self._now_ms()):
                await asyncio.sleep(0)

    async def _hear(self) -> None:
        """How far others have used what this process may not have been asked for lately."""
        if self._shared is not None and self._shared.is_up:
            told = await self._shared.hear(self._heard_ms, self._local.moved())
            if told is not None:
                self._heard_ms = told[0]
                self._local.hear(told[1:], told[0])

    def _remember(self, caller: LimitSet, candidates: Sequence[LimitSet], verdict: Verdict, tokens: int) -> None:
        """For the moment when Redis is gone."""
        self._ahead_ms = verdict.now_ms - int(time.monotonic() * 1000)
        taken, states = verdict.chosen >= 0, verdict.states
        self._local.note(caller, states, tokens, verdict.now_ms, taken=taken)
        if taken and candidates:
            of_candidate = states[2 * len(caller.limits) :]
            self._local.note(candidates[verdict.chosen], of_candidate, tokens, verdict.now_ms, taken=True)

    def _untold(self, lost: bool) -> list[Correction]:  # noqa: FBT001 - a callback of one argument
        now_ms = self._now_ms()
        return self._local.own(now_ms) if lost else self._local.unsent(now_ms)

    def _now_ms(self) -> int:
        return int(time.monotonic() * 1000) + self._ahead_ms

    async def _count_processes(self) -> None:
        try:
            live = await asyncio.to_thread(self._live)
        except (DatabaseError, InterfaceError) as error:
            log.debug("the live processes cannot be counted; the last count serves", error=str(error))
            return
        rank = live.index(self._process_id) if self._process_id in live else len(live)
        self._local.share = Share(rank, max(len(live), self._workers, rank + 1))
