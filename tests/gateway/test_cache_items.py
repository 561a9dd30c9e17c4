"""The items of answers, kept for the client that was told them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gateway.cache import link
from gateway.cache.items import KEPT_S, MAX_ITEM_BYTES, Items, open_items
from gateway.cache.keys import Key, scope_of
from gateway.cache.redis_store import RedisStore
from gateway.cache.stores import MemoryStore
from tests import servers
from tests.gateway.cache_calls import ALICE, BOB
from tests.servers import PATIENCE_S, Redis
from wire.errors import ApiError, Code

ITEM = b'{"type":"message","text":"a canary that nobody may read"}'
ROOM = 10_000


@pytest.fixture(autouse=True)
def _slow_is_not_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long Redis takes on a busy machine."""
    monkeypatch.setattr(link, "LIMIT_S", PATIENCE_S)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """Not the session's, in which products write too."""
    with servers.redis() as running:
        yield running


@pytest.fixture
def shared(server: Redis) -> Iterator[Redis]:
    yield server
    server.client.flushall()


def in_both(redis: Redis, story: Callable[[Items], Awaitable[None]]) -> None:
    async def tell() -> None:
        for url in ("", redis.url):
            items = open_items(url)
            await story(items)
            await items.close()

    asyncio.run(tell())


def test_items_are_found_by_the_client_that_was_told_them(shared: Redis) -> None:
    async def story(items: Items) -> None:
        await items.keep(ALICE, {"msg_1": ITEM, "fc_1": b"{}"})

        assert await items.find(ALICE, ["fc_1", "msg_1"], limit_bytes=ROOM) == {"msg_1": ITEM, "fc_1": b"{}"}
        assert await items.find(ALICE, ["msg_2"], limit_bytes=ROOM) == {}
        assert await items.find(BOB, ["msg_1"], limit_bytes=ROOM) == {}

    in_both(shared, story)


def test_an_item_of_each_client_under_the_same_id_is_its_own(shared: Redis) -> None:
    async def story(items: Items) -> None:
        await items.keep(ALICE, {"msg_1": b"hers"})
        await items.keep(BOB, {"msg_1": b"his"})

        assert await items.find(ALICE, ["msg_1"], limit_bytes=ROOM) == {"msg_1": b"hers"}
        assert await items.find(BOB, ["msg_1"], limit_bytes=ROOM) == {"msg_1": b"his"}

    in_both(shared, story)


def test_they_are_no_cached_answers(shared: Redis) -> None:
    """Those are counted and cleared by a client's scope."""

    async def story() -> None:
        store = RedisStore(shared.url)
        await Items(store).keep(ALICE, {"msg_1": ITEM})

        assert (await store.size(scope_of(ALICE)), await store.clear(scope_of(ALICE))) == (0, 0)
        await store.close()

    asyncio.run(story())


def test_they_are_forgotten_after_an_hour(shared: Redis) -> None:
    now = 0.0

    async def story() -> None:
        nonlocal now
        items = Items(MemoryStore(clock=lambda: now))
        await items.keep(ALICE, {"msg_1": ITEM})
        now = KEPT_S - 1.0
        assert await items.find(ALICE, ["msg_1"], limit_bytes=ROOM)
        now = float(KEPT_S)
        assert await items.find(ALICE, ["msg_1"], limit_bytes=ROOM) == {}

        in_redis = open_items(shared.url)
        await in_redis.keep(ALICE, {"msg_1": ITEM})
        await in_redis.close()

    asyncio.run(story())
    names = shared.client.keys("aip:*")
    assert names
    assert all(0 < int(shared.client.ttl(name)) <= KEPT_S for name in names)


def test_workers_share_them_through_redis_where_nobody_can_read_them(shared: Redis) -> None:
    async def story() -> None:
        one, other = open_items(shared.url), open_items(shared.url)
        await one.keep(ALICE, {"msg_canary": ITEM})
        assert await other.find(ALICE, ["msg_canary"], limit_bytes=ROOM) == {"msg_canary": ITEM}
        await one.close()
        await other.close()

    asyncio.run(story())
    kept = [f"{name!r}{shared.client.dump(name)!r}" for name in shared.client.keys("*")]
    assert kept
    assert not any("canary" in each for each in kept)


def test_what_is_too_large_is_not_kept() -> None:
    async def story() -> None:
        items = open_items("")
        await items.keep(ALICE, {"msg_1": bytes(MAX_ITEM_BYTES + 1), "msg_2": bytes(MAX_ITEM_BYTES)})

        found = [await items.find(ALICE, [name], limit_bytes=2 * MAX_ITEM_BYTES) for name in ("msg_1", "msg_2")]
        assert list(map(len, found)) == [0, 1]

    asyncio.run(story())


@pytest.mark.parametrize("named", [["msg_1"] * 101, [f"msg_{number}" for number in range(101)]])
def test_a_body_cannot_name_more_than_it_could_hold(named: list[str]) -> None:
    async def story() -> None:
        items = open_items("")
        await items.keep(ALICE, {name: bytes(100) for name in named})

        await items.find(ALICE, named[:100], limit_bytes=ROOM)
        with pytest.raises(ApiError) as caught:
            await items.find(ALICE, named, limit_bytes=ROOM)
        assert caught.value.code is Code.PAYLOAD_TOO_LARGE

    asyncio.run(story())


def test_nothing_is_looked_up_behind_what_is_missing() -> None:
    class Counting(MemoryStore):
        asked = 0

        async def get(self, key: Key) -> bytes | None:
            self.asked += 1
            return await super().get(key)

    async def story() -> None:
        store = Counting()
        assert await Items(store).find(ALICE, [f"msg_{number}" for number in range(10_000)], limit_bytes=ROOM) == {}
        assert store.asked < 100

    asyncio.run(story())


def test_a_frozen_redis_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(redis: Redis) -> None:
        items = open_items(redis.url)
        await items.keep(ALICE, {"msg_1": ITEM})
        monkeypatch.setattr(link, "LIMIT_S", 0.5)
        redis.freeze()
        began = time.perf_counter()
        for _ in range(100):
            await items.keep(ALICE, {"msg_2": ITEM})
            assert await items.find(ALICE, ["msg_1"], limit_bytes=ROOM) == {}
        assert time.perf_counter() - began < 9  # most of it for a busy machine: waiting each time would take 100 s
        redis.thaw()
        await items.close()

    with servers.redis() as own:
        asyncio.run(story(own))
