"""The cache as the pipeline sees it: an answer that is kept, one that is under way, or a call whose answer is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from gateway.cache import keys, policy, stored
from gateway.cache.flights import MOST_FOLLOWED, Books, Dispatch, Flight, Flights
from gateway.cache.keys import Key
from gateway.cache.redis_store import RedisStore
from gateway.cache.replay import Replay, replay
from gateway.cache.stored import Stored
from gateway.cache.stores import MemoryStore, Store
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.plans import Way
from gateway.replies import Reply, Stream
from gateway.streaming import LiveStream
from wire.errors import ApiError, Code

_RETRY_AFTER_S = 2  # by then a store that is back is known to be


class Health(msgspec.Struct, frozen=True):
    """`hits` and `misses` are this process's since its start; `entries` are the caller's own."""

    store: str
    reachable: bool
    hits: int
    misses: int
    entries: int


class Asked(msgspec.Struct, frozen=True):
    """A call's answer is kept under `key`, whatever it will be. Where it `takes` one that was given before, it may be
    that of `flight`, an equal call that was under way when it came.
    """

    key: Key
    takes: bool
    flight: Flight | None


class ResponseCache:
    """One per process, on its event loop. `ttl_s` 0 switches it off."""

    def __init__(self, store: Store, *, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._flights: Flights[Key] = Flights()
        self.hits = 0
        self.misses = 0

    def asked(self, call: Call, ways: list[Way]) -> Asked | None:
        """What `call` asks of the cache; None where it takes no part."""
        wish = self._wish(call)
        key = None if wish == "off" else keys.key_of(call, ways)
        if key is None:
            return None
        return Asked(key, wish == "on", self._flights.find(key) if wish == "on" else None)

    async def kept(
        self, call: Call, asked: Asked, count: Callable[[Call], Awaitable[None]], books: Books
    ) -> Reply | Replay | None:
        """The answer that lies in the store, once `count` has let the call pass. Raises as `count`.

        None also for one of another version, which cannot be read: such a call is counted twice.
        """
        if not asked.takes or asked.flight is not None:
            return None
        content = await self._store.get(asked.key)
        found = None if content is None else stored.decode(content)
        if found is None:
            return None
        await count(call)
        return await self._told(call, found, books)

    def answer(self, call: Call, asked: Asked | None, dispatch: Dispatch, books: Books) -> Awaitable[Reply | Stream]:
        """That of an equal call under way, or what `dispatch` makes of it. Raises as `dispatch`."""
        return dispatch(call) if asked is None else self._shared(call, asked, dispatch, books)

    async def _shared(self, call: Call, asked: Asked, dispatch: Dispatch, books: Books) -> Reply | Stream:
        flight = asked.flight
        for _ in range(MOST_FOLLOWED if asked.takes else 0):
            flight = flight or self._flights.find(asked.key)
            found = await flight.follow(call, books) if flight else None
            if found is not None and (told := await self._told(call, found, books)):
                return told
            flight = None
        self.misses += 1

        async def keep(answer: Stored) -> None:
            await self._store.put(asked.key, stored.encode(answer), ttl_s=self._ttl_s)

        return _missed(await self._flights.lead(asked.key, call, dispatch, keep=keep, books=books))

    async def clear(self, caller: Caller) -> int:
        """Forget the answers of the caller's client; how many there were.

        Raises `ApiError` PROVIDER_UNAVAILABLE where the store does not answer: they may be told again.
        """
        cleared = await self._store.clear(keys.scope_of(caller))
        if cleared is None:
            message = "The cache does not answer; what it keeps may be told again. Try again in a moment."
            raise ApiError(Code.PROVIDER_UNAVAILABLE, message, retry_after_s=_RETRY_AFTER_S)
        return cleared

    async def health(self, caller: Caller) -> Health:
        return Health(
            store=self._store.name,
            entries=await self._store.size(keys.scope_of(caller)),
            reachable=self._store.is_reachable,
            hits=self.hits,
            misses=self.misses,
        )

    async def close(self) -> None:
        await self._store.close()

    def _wish(self, call: Call) -> policy.Wish:
        envelope = call.envelope
        if not self._ttl_s:
            return "off"
        wish = policy.wish(call.cache, use_cache=envelope.cache, temperature=envelope.temperature)
        # A call with an idempotency key is answered once and remembered under that key: it takes no other's answer.
        return "refresh" if wish == "on" and call.idempotency_key else wish

    async def _told(self, call: Call, answer: Stored, books: Books) -> Reply | Replay | None:
        told = await replay(call, answer, books)
        self.hits += told is not None
        return told


def _missed(reply: Reply | Stream) -> Reply | Stream:
    if isinstance(reply, LiveStream):
        reply.cache = "miss"
    return msgspec.structs.replace(reply, cache="miss") if isinstance(reply, Reply) else reply


def open_cache(redis_url: str, *, ttl_s: int) -> ResponseCache:
    """In Redis where there is one, else in this process. On the event loop on which it is used."""
    return ResponseCache(RedisStore(redis_url) if redis_url else MemoryStore(), ttl_s=ttl_s)
