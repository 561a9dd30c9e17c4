"""How many calls may be under way at a deployment at once, and who waits for one of them to end.

Slots are each process's own: it answers for its share of the bound
(`share`), but for at least one slot, or a bound smaller than the number of processes would shut most of them out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any
from uuid import UUID

from gateway.http import CallerLeftError

_FIRST_GUESS_S = 1.0
_WEIGHT = 0.2  # of the newest call, in the average by which waits are foretold
_MOST_RETRY_S = 60


class Priority(IntEnum):
    """In the order of being served."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class QueueFullError(Exception):
    """No slot became free in time, or too many wait already. `retry_after_s` says when to try again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


_Waiter = asyncio.Future[None]


class _Room:
    """One deployment's slots and its waiting room."""

    def __init__(self) -> None:
        self.most = 1
        self.busy = 0
        self.queues: tuple[deque[_Waiter], ...] = tuple(deque() for _ in Priority)
        self.call_s = _FIRST_GUESS_S

    @property
    def waiting(self) -> int:
        return sum(map(len, self.queues))

    def fill(self) -> None:
        """Free slots go to the most urgent, the first come among equals."""
        while self.busy < self.most and (waiter := self._next()) is not None:
            self.busy += 1
            waiter.set_result(None)

    def _next(self) -> _Waiter | None:
        for queue in self.queues:
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    return waiter
        return None

    def displace(self, priority: Priority) -> bool:
        """Send the last of a less urgent class away, in favour of a caller of this one."""
        for queue in reversed(self.queues[priority + 1 :]):
            if queue:
                queue.pop().set_exception(QueueFullError(self.retry_after_s()))
                return True
        return False

    def retry_after_s(self) -> int:
        """When those who wait now will have been served, at today's pace."""
        ahead = (self.waiting + 1) * self.call_s / self.most
        return min(max(round(ahead), 1), _MOST_RETRY_S)


class Slots:
    """`most_waiting` bounds each deployment's waiting room, `longest_wait_s` each wait.

    `share` gives this process's part of a bound on all processes.
    """

    def __init__(self, *, most_waiting: int, longest_wait_s: float, share: Callable[[int], int]) -> None:
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._share = share
        self._rooms: dict[UUID, _Room] = {}

    def has_free(self, deployment_id: UUID, most: int) -> bool:
        room = self._room(deployment_id, most)
        return room.busy < room.most

    def try_enter(self, deployment_id: UUID, most: int) -> bool:
        """Take a slot if one is free. Nobody who waits is overtaken: free slots are theirs at once."""
        room = self._room(deployment_id, most)
        if room.busy >= room.most:
            return False
        room.busy += 1
        return True

    async def enter(
        self,
        deployment_id: UUID,
        most: int,
        *,
        priority: Priority,
        limit_s: float | None,
        gone: asyncio.Future[Any] | None = None,
    ) -> None:
        """Take a slot, waiting for one where need be.

        `limit_s` is what is left of the call's own deadline, `gone` done when its caller has left. Raises
        `QueueFullError`, `CallerLeftError`.
        """
        if self.try_enter(deployment_id, most):
            return
        room = self._rooms[deployment_id]
        if room.waiting >= self._most_waiting and not room.displace(priority):
            raise self.full(deployment_id)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        queue = room.queues[priority]
        queue.append(waiter)
        limit_s = self._longest_wait_s if limit_s is None else min(limit_s, self._longest_wait_s)
        try:
            await asyncio.wait(
                {waiter} if gone is None else {waiter, gone}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
        except BaseException:  # cancelled too: nobody keeps a place in the queue who is gone
            self._give_up(room, queue, waiter)
            raise
        if waiter.done():
            waiter.result()  # raises where another took its place in the room
            return
        queue.remove(waiter)
        raise CallerLeftError if gone is not None and gone.done() else self.full(deployment_id)

    def full(self, deployment_id: UUID) -> QueueFullError:
        return QueueFullError(self._rooms[deployment_id].retry_after_s())

    def leave(self, deployment_id: UUID, *, after_s: float) -> None:
        """The call has ended, `after_s` seconds after it took its slot."""
        room = self._rooms[deployment_id]
        room.busy -= 1
        room.call_s += _WEIGHT * (after_s - room.call_s)
        room.fill()

    @staticmethod
    def _give_up(room: _Room, queue: deque[_Waiter], waiter: _Waiter) -> None:
        """Whoever does not wait any more leaves at once, also in the moment in which a slot was found."""
        if waiter in queue:
            queue.remove(waiter)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            room.busy -= 1
            room.fill()

    def _room(self, deployment_id: UUID, most: int) -> _Room:
        room = self._rooms.get(deployment_id)
        if room is None:
            room = self._rooms[deployment_id] = _Room()
        part = max(self._share(most), 1)
        if part != room.most:
            room.most = part
            room.fill()
        return room
