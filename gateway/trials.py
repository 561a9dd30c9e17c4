"""Which open circuits this process may try: of all processes one at a time, by leases in Redis.

Only those are asked for that a call here would try. Who has a lease keeps it until another process asks for it while
no call here needs it: so one trial at a time is made, by a process that calls come to. Where these are so few that the
lease is never where one comes, the board lets any process make a trial that is overdue.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from uuid import UUID

from redis.asyncio import Redis

from providers.resilience.board import Board

_LEASE_MS = 5_000  # of a process that has died: it renews those it needs every quarter of a second
_QUESTION_MS = 1_000
_LATELY_S = 1.0
_PREFIX = "{aip:circuits}:trial:"  # one hash slot: all are asked for together
_SCRIPT = (Path(__file__).parent / "trials.lua").read_text()


class Trials:
    """Of the process `me`."""

    def __init__(self, board: Board, redis: Redis, me: str) -> None:
        self._board = board
        self._me = me
        self._script = redis.register_script(_SCRIPT)

    async def claim(self, known: Container[UUID], now: float) -> set[UUID]:
        """Those of `known` that this process may try from now on. Raises `RedisError`."""
        needs = {
            key: self._need(key, wanted_at, now) for key, wanted_at in self._board.wanted().items() if key in known
        }
        # What is not needed may be given up in a moment: no trial begins by it meanwhile.
        self._board.claims = {key for key in self._board.claims or () if needs.get(key)}
        if not needs:
            return set()
        names = [_PREFIX + key.hex for key in needs]
        found = await self._script(
            keys=[each for name in names for each in (name, f"{name}:asked")],
            args=[self._me, _LEASE_MS, _QUESTION_MS, *needs.values()],
        )
        return {key for key, is_ours in zip(needs, found, strict=True) if is_ours}

    def _need(self, deployment_id: UUID, wanted_at: float, now: float) -> int:
        """As `trials.lua` has it."""
        if self._board.circuits[deployment_id].breaker.is_trying:
            return 2
        return int(now - wanted_at < _LATELY_S)
