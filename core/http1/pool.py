"""The connections to one origin: those that carry calls, those that rest, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from core.http1.connection import Connection
from core.http1.dialing import Dialer
from core.http1.errors import BrokenAnswerError, ConnectError
from core.http1.target import Origin

MAX_CONNECTIONS = 2_000
REST_S = 30.0
_CLOSE_S = 2.0


class Pool:
    """A slot is the right to one connection. There are MAX_CONNECTIONS of them; who finds none waits in line.

    A slot is taken by a connection, from before it is dialed until it is freed. While anybody waits none rests: a
    connection, or its slot, goes from hand to hand.
    """

    def __init__(self, origin: Origin, dialer: Dialer, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._dialer = dialer
        self._loop = loop
        self._slots_taken = 0
        self._resting: OrderedDict[Connection, None] = OrderedDict()
        self._waiting: OrderedDict[asyncio.Future[Connection | None], None] = OrderedDict()
        self._unlost: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        return not self._slots_taken and not self._unlost

    def rested(self) -> Connection | None:
        """The one that has rested least, if any: the others may then grow old and be closed."""
        return self._resting.popitem()[0] if self._resting else None

    async def connection(self, *, connect_timeout_s: float) -> Connection:
        """A new one, or the first to be free. Raises `ConnectError`."""
        while self._slots_taken >= MAX_CONNECTIONS:
            handed = await self._turn()
            if handed is None:
                return await self._dialed(connect_timeout_s)
            if handed.is_open:
                return handed
        self._slots_taken += 1
        return await self._dialed(connect_timeout_s)

    async def close(self) -> None:
        """End everything: calls in `BrokenAnswerError`, waits in `ConnectError`. Returns when sockets are closed."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:  # who gets a slot now gives it back at once
            self._slots_taken += 1
            self._hand_on(None)
        for connection in list(self._unlost):
            connection.fail(BrokenAnswerError("The session was closed."))
        if self._unlost:
            await asyncio.wait([connection.lost for connection in self._unlost], timeout=_CLOSE_S)

    async def _turn(self) -> Connection | None:
        """A connection, or None for a slot without one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting[waiter] = None
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiting.pop(waiter, None)
            elif (handed := waiter.result()) is None or handed.is_open:  # handed to us in the same moment
                self._hand_on(handed)
            raise

    async def _dialed(self, connect_timeout_s: float) -> Connection:
        """A new connection, for a slot that is taken."""
        try:
            if self._is_closed:
                raise ConnectError("The session is closed.")  # noqa: TRY301 -- the slot goes back as for any other
            connection = await self._dialer.dial(self._origin, within_s=connect_timeout_s)
        except BaseException:  # cancelled too: the slot is another's
            self._hand_on(None)
            raise
        if self._is_closed or not connection.is_open:
            connection.abort()
            self._hand_on(None)
            raise ConnectError("The connection was closed as soon as it was open.")
        connection.home = self
        self._unlost.add(connection)
        return connection

    def _hand_on(self, handed: Connection | None) -> None:
        """A connection, or a slot without one, to who has waited longest; else it rests, or the slot is free."""
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_result(handed)
                return
        if handed is None:
            self._slots_taken -= 1
        else:
            self._lay_down(handed)

    def _lay_down(self, connection: Connection) -> None:
        connection.rests_since = self._loop.time()
        self._resting[connection] = None
        if self._timer is None:
            self._timer = self._loop.call_later(REST_S, self._clear_out)

    def _clear_out(self) -> None:
        """Close those that have rested for REST_S, and come back for the next: one timer for them all."""
        self._timer = None
        now = self._loop.time()
        while self._resting:
            oldest = next(iter(self._resting))
            if (due := oldest.rests_since + REST_S) > now:
                self._timer = self._loop.call_at(due, self._clear_out)
                return
            oldest.abort()

    # --- what connections tell (`Home`) -------------------------------------------------------------------------------

    def rest(self, connection: Connection) -> None:
        self._hand_on(connection)

    def freed(self, connection: Connection) -> None:
        self._resting.pop(connection, None)
        self._hand_on(None)

    def lost(self, connection: Connection) -> None:
        self._unlost.discard(connection)
