"""Equal calls at the same time: one of them is made, and the others wait for its answer.

They share its success alone. Where it fails, is refused or given up, one of those who waited makes the call anew. The
call that is made belongs to nobody: its own caller may leave, and it goes on as long as others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from gateway import settlement
from gateway.cache.stored import Stored
from gateway.calls import Call
from gateway.http import CallerLeftError
from gateway.replies import Reply, Stream, left_behind
from gateway.streaming import LiveStream
from usage.rows import RecordRow

Watch = Callable[[], "asyncio.Future[Any]"]
Dispatch = Callable[[Call], Awaitable[Reply | Stream]]
Keep = Callable[[Stored], Awaitable[None]]
K = TypeVar("K", bound=Hashable)

MOST_FOLLOWED = 2  # flights that fail under a caller who waits; then it makes the call alone
FOLLOW_S = 60.0  # a stream lasts as long as its own caller reads


class Books(Protocol):
    """The pipeline's side of the ledger."""

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...

    async def note(self, record: RecordRow) -> None:
        """Returns when the row is durable."""


class Flight:
    """A call under way. `keep` gets its answer before anybody does, and `forget` is called when it has ended."""

    def __init__(self, *, keep: Keep, forget: Callable[[Flight], None]) -> None:
        loop = asyncio.get_running_loop()
        self._landed: asyncio.Future[Stored | None] = loop.create_future()
        self._deserted: asyncio.Future[None] = loop.create_future()
        self._followers = 0
        self._is_left = False  # by its own caller
        self._keep = keep
        self._forget = forget

    @property
    def is_followed(self) -> bool:
        return self._followers > 0

    async def follow(self, call: Call, books: Books) -> Stored | None:
        """Its answer; None where it has none to share, or none while `call` can wait.

        Raises `CallerLeftError`: who leaves shall not make the call anew when this one fails.
        """
        limit_s = FOLLOW_S if call.left_s is None else min(call.left_s, FOLLOW_S)
        gone = {call.watch()} if call.watch else set()
        self._followers += 1
        left = True
        try:
            await asyncio.wait({self._landed, *gone}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            left = not self._landed.done() and any(each.done() for each in gone)
        finally:
            self._followers -= 1
            self._desert()
            if left:
                books.detach(books.note(settlement.left(call)))
        if left:
            raise CallerLeftError
        return self._landed.result() if self._landed.done() else None

    async def land(self, answer: Stored | None) -> None:
        """It has ended; with an answer where that is whole."""
        try:
            if answer is not None:
                await self._keep(answer)
        finally:
            self._forget(self)
            if not self._landed.done():
                self._landed.set_result(answer)

    def watch(self, caller: Watch | None) -> Watch | None:
        """The caller's own watch, but that nobody has left whose call others wait for."""
        if caller is None:
            return None

        def begin() -> asyncio.Future[None]:
            caller().add_done_callback(self._leave)
            return self._deserted

        return begin

    def _leave(self, gone: asyncio.Future[Any]) -> None:
        if not gone.cancelled():
            self._is_left = True
            self._desert()

    def _desert(self) -> None:
        if self._is_left and not self.is_followed and not self._deserted.done():
            self._deserted.set_result(None)


class Flights(Generic[K]):
    """Those of this process, by what makes calls equal."""

    def __init__(self) -> None:
        self._under_way: dict[K, Flight] = {}

    def find(self, key: K) -> Flight | None:
        return self._under_way.get(key)

    async def lead(self, key: K, call: Call, dispatch: Dispatch, *, keep: Keep, books: Books) -> Reply | Stream:
        """Make the call, for whoever follows. Raises as `dispatch`."""

        def forget(ended: Flight) -> None:
            if self._under_way.get(key) is ended:
                del self._under_way[key]

        flight = Flight(keep=keep, forget=forget)
        self._under_way.setdefault(key, flight)
        watched = msgspec.structs.replace(call, watch=flight.watch(call.watch), is_kept=True)
        task = books.detach(_fly(flight, dispatch(watched)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            books.detach(left_behind(task))
            raise


async def _fly(flight: Flight, work: Awaitable[Reply | Stream]) -> Reply | Stream:
    try:
        reply = await work
    except BaseException:  # cancelled too: whoever follows must not wait for what never comes
        await flight.land(None)
        raise
    if isinstance(reply, LiveStream):
        reply.flights.append(flight)
    else:
        await flight.land(reply.stored if isinstance(reply, Reply) else None)
    return reply
