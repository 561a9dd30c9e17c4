"""The cache as the pipeline sees it: an answer that is kept, one that is under way, or a call whose answer is kept."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from gateway.cache import keys, policy, stored
from gateway.cache.flights import MOST_FOLLOWED, Books, Dispatch, Flights
from gateway.cache.keys import Key
from gateway.cache.redis_store import RedisStore
from gateway.cache.replay import Replay, replay
from gateway.cache.stored import Stored
from gateway.cache.stores import MemoryStore, Store
from gateway.calls import Call
from gateway.catalogue import Caller
from gateway.plans import Plan
from gateway.replies import Reply, Stream
from gateway.streaming import LiveStream


class Health(msgspec.Struct, frozen=True):
    """`hits` and `misses` are this process's since its start; `entries` are the caller's own."""

    store: str
    reachable: bool
    hits: int
    misses: int
    entries: int


class ResponseCache:
    """One per process, on its event loop. `ttl_s` 0 switches it off."""

    def __init__(self, store: Store, *, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._flights: Flights[Key] = Flights()
        self.hits = 0
        self.misses = 0

    def answer(self, call: Call, plans: list[Plan], dispatch: Dispatch, books: Books) -> Awaitable[Reply | Stream]:
        """The kept answer to `call`, or what `dispatch` makes of it. Raises as `dispatch`."""
        wish = self._wish(call)
        key = None if wish == "off" else keys.key_of(call, plans)
        return dispatch(call) if key is None else self._kept(call, key, wish, dispatch, books)

    async def _kept(self, call: Call, key: Key, wish: policy.Wish, dispatch: Dispatch, books: Books) -> Reply | Stream:
        if wish == "on":
            known = await self._known(key, call, books)
            if known is not None:
                self.hits += 1
                return known
        self.misses += 1

        async def keep(answer: Stored) -> None:
            await self._store.put(key, stored.encode(answer), ttl_s=self._ttl_s)

        return _missed(await self._flights.lead(key, call, dispatch, keep=keep, books=books))

    async def clear(self, caller: Caller) -> int:
        """Forget the answers of the caller's client; how many there were."""
        return await self._store.clear(keys.scope_of(caller))

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
        return "refresh" if wish == "on" and call.claim else wish

    async def _known(self, key: Key, call: Call, books: Books) -> Reply | Replay | None:
        """What is kept, or comes from an equal call under way. Those are looked at both before the store and after:
        whatever landed while the store was asked had begun before.
        """
        for _ in range(MOST_FOLLOWED):
            flight = self._flights.find(key)
            found = None if flight else await self._found(key)
            flight = flight or self._flights.find(key)
            if found is None and flight is None:
                return None
            if found is None and flight is not None:
                found = await flight.follow(call, books)
            if found is not None:
                return await replay(call, found, books)
        return None

    async def _found(self, key: Key) -> Stored | None:
        content = await self._store.get(key)
        return None if content is None else stored.decode(content)


def _missed(reply: Reply | Stream) -> Reply | Stream:
    if isinstance(reply, LiveStream):
        reply.cache = "miss"
    return msgspec.structs.replace(reply, cache="miss") if isinstance(reply, Reply) else reply


def open_cache(redis_url: str, *, ttl_s: int) -> ResponseCache:
    """In Redis where there is one, else in this process. On the event loop on which it is used."""
    return ResponseCache(RedisStore(redis_url) if redis_url else MemoryStore(), ttl_s=ttl_s)
