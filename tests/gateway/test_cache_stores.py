"""Where answers lie: in this process, bounded; or in Redis, encrypted, and never in a call's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from gateway.cache import link, room, sealing
from gateway.cache.keys import Key
from gateway.cache.redis_store import RedisStore
from gateway.cache.stores import MemoryStore, Store
from tests import servers
from tests.servers import PATIENCE_S, Redis

KEY, OTHER = Key("alice", "aa"), Key("alice", "bb")
BOBS = Key("bob", "aa")
CANARY = b"a canary that nobody may read" * 20


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


@pytest.fixture
def own() -> Iterator[Redis]:
    with servers.redis() as server:
        yield server


async def _until_reachable(store: Store) -> None:
    while not store.is_reachable:  # noqa: ASYNC110 - it is told by nobody
        await asyncio.sleep(0.02)


def _in_both(redis: Redis, story: Callable[[Store], Awaitable[None]]) -> None:
    async def tell() -> None:
        for store in (MemoryStore(), RedisStore(redis.url)):
            await story(store)
            await store.close()

    asyncio.run(tell())


def test_what_is_put_is_found_by_its_key_alone(shared: Redis) -> None:
    async def story(store: Store) -> None:
        await store.put(KEY, b"one", ttl_s=60)

        assert await asyncio.gather(*map(store.get, [KEY, OTHER, BOBS, KEY])) == [b"one", None, None, b"one"]
        await store.put(KEY, b"two", ttl_s=60)
        assert await store.get(KEY) == b"two"

    _in_both(shared, story)


def test_a_client_clears_its_own(shared: Redis) -> None:
    async def story(store: Store) -> None:
        for key in (KEY, OTHER, BOBS):
            await store.put(key, b"one", ttl_s=60)

        assert await store.size("alice") == 2
        assert await store.clear("alice") == 2
        assert await store.clear("alice") == 0
        assert [await store.get(key) for key in (KEY, BOBS)] == [None, b"one"]
        assert (await store.size("alice"), await store.size("bob")) == (0, 1)

    _in_both(shared, story)


def test_many_answers_are_cleared_a_thousand_at_a_time(own: Redis) -> None:
    """One command for all of them would take longer than Redis is waited for."""
    pipe = own.client.pipeline()
    for number in range(2_500):
        pipe.set(f"aip:cache:alice:{number:04}", "one", ex=60)
        pipe.zadd("aip:cache:alice", {f"{number:04}": time.time() + 60})
    pipe.execute()

    async def story() -> None:
        store = RedisStore(own.url)
        await store.put(BOBS, b"one", ttl_s=60)
        assert await store.clear("alice") == 2_500
        assert (await store.size("alice"), await store.size("bob")) == (0, 1)
        await store.close()

    asyncio.run(story())
    assert own.client.keys("aip:cache:alice*") == []
    assert int(own.client.info("commandstats")["cmdstat_unlink"]["calls"]) == 3


def test_memory_forgets_when_the_time_is_over() -> None:
    now = 0.0

    async def story() -> None:
        nonlocal now
        store = MemoryStore(clock=lambda: now)
        await store.put(KEY, b"one", ttl_s=60)
        now = 59.9
        assert await store.get(KEY) == b"one"
        now = 60.0
        assert await store.get(KEY) is None
        assert await store.size("alice") == 0

    asyncio.run(story())


def test_redis_forgets_by_itself(shared: Redis) -> None:
    async def story() -> None:
        store = RedisStore(shared.url)
        await store.put(KEY, b"one", ttl_s=60)
        await store.close()

    asyncio.run(story())
    assert all(0 < int(shared.client.ttl(name)) <= 60 for name in shared.client.keys("*"))


def test_memory_makes_room_by_what_was_not_asked_for_the_longest() -> None:
    async def story() -> None:
        store = MemoryStore(max_entries=3, max_bytes=10_000)
        keys = [Key("alice", str(number)) for number in range(4)]
        for key in keys[:3]:
            await store.put(key, b"x", ttl_s=60)
        await store.get(keys[0])
        await store.put(keys[3], b"x", ttl_s=60)
        assert [await store.get(key) is not None for key in keys] == [True, False, True, True]

        await store.put(keys[1], b"x" * 8_000, ttl_s=60)
        assert [await store.get(key) is not None for key in keys] == [False, True, True, True]
        await store.put(keys[2], b"x" * 10_001, ttl_s=60)
        assert await store.get(keys[2]) is None

    asyncio.run(story())


def test_nothing_in_redis_can_be_read(shared: Redis) -> None:
    async def story() -> None:
        store = RedisStore(shared.url)
        await store.put(KEY, CANARY, ttl_s=60)
        assert await store.get(KEY) == CANARY
        await store.close()

    asyncio.run(story())
    values = [shared.client.dump(name) for name in shared.client.keys("*")]
    assert values
    assert not any(b"canary" in bytes(value) for value in values)  # type: ignore[arg-type]  # the key was there just now


def test_what_lies_under_another_name_or_was_changed_is_a_miss(shared: Redis) -> None:
    async def story() -> None:
        store = RedisStore(shared.url)
        await store.put(KEY, b"one", ttl_s=60)
        sealed = shared.client.get("aip:cache:alice:aa")
        assert isinstance(sealed, bytes)
        shared.client.set("aip:cache:bob:aa", sealed)
        shared.client.set("aip:cache:alice:bb", sealed[:-1] + bytes([sealed[-1] ^ 1]))
        assert [await store.get(key) for key in (KEY, BOBS, OTHER)] == [b"one", None, None]
        shared.client.set("aip:cache:alice:aa", b"short")
        assert await store.get(KEY) is None
        await store.close()

    asyncio.run(story())


def test_a_key_that_is_no_longer_there_makes_a_miss(settings: Settings) -> None:
    sealed = sealing.seal(b"one", name=b"name")
    assert sealing.unseal(sealed, name=b"name") == b"one"

    settings.ENCRYPTION_KEYS = ["another"]
    assert sealing.unseal(sealed, name=b"name") is None


def test_many_reads_at_once_share_a_connection(shared: Redis) -> None:
    async def story() -> list[bytes | None]:
        store = RedisStore(shared.url)
        await store.put(KEY, b"one", ttl_s=60)
        before = int(shared.client.info("stats")["total_connections_received"])
        found = await asyncio.gather(*(store.get(KEY) for _ in range(200)))
        after = int(shared.client.info("stats")["total_connections_received"])
        assert after == before
        await store.close()
        return found

    assert asyncio.run(story()) == [b"one"] * 200


def test_a_frozen_redis_costs_one_penalty_and_one_line(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_LOOK_EVERY_S", 0.2)

    async def story() -> None:
        store = RedisStore(own.url)
        await store.put(KEY, b"one", ttl_s=60)
        monkeypatch.setattr(link, "LIMIT_S", 0.5)
        own.freeze()
        began = time.perf_counter()
        assert await asyncio.gather(*(store.get(KEY) for _ in range(20))) == [None] * 20
        assert time.perf_counter() - began < 5  # most of it for a busy machine
        assert not store.is_reachable

        began = time.perf_counter()
        for _ in range(200):
            assert await store.get(KEY) is None
            await store.put(OTHER, b"two", ttl_s=60)
        assert time.perf_counter() - began < 10  # waiting each time would take 200 s
        assert (await store.clear("alice"), await store.size("alice")) == (None, 0)

        monkeypatch.setattr(link, "LIMIT_S", PATIENCE_S)
        own.thaw()
        await _until_reachable(store)
        assert await store.get(KEY) == b"one"
        await store.close()

    with capture_logs() as lines:
        asyncio.run(story())
    assert [line["log_level"] for line in lines] == ["warning", "info"]


def test_a_redis_that_is_not_there_is_a_miss(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_LOOK_EVERY_S", 0.2)
    own.kill()

    async def story() -> None:
        store = RedisStore(own.url)
        await store.put(KEY, b"one", ttl_s=60)
        assert await store.get(KEY) is None
        await asyncio.to_thread(own.start)
        await _until_reachable(store)
        await store.put(KEY, b"one", ttl_s=60)
        assert await store.get(KEY) == b"one"
        await store.close()

    asyncio.run(story())


def test_a_caller_who_leaves_takes_no_other_with_it(shared: Redis) -> None:
    async def story() -> None:
        store = RedisStore(shared.url)
        await store.put(KEY, b"one", ttl_s=60)
        leaver, stayer = asyncio.create_task(store.get(KEY)), asyncio.create_task(store.get(KEY))
        await asyncio.sleep(0)
        leaver.cancel()
        assert await stayer == b"one"
        await store.close()

    asyncio.run(story())


def test_while_redis_is_nearly_full_nothing_more_is_kept(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 0)
    used = int(own.client.info("memory")["used_memory"])

    async def story() -> None:
        store = RedisStore(own.url)
        own.client.config_set("maxmemory", used * 2)
        await store.put(KEY, b"one", ttl_s=60)
        own.client.config_set("maxmemory", used * 5 // 4)
        await store.put(OTHER, b"two", ttl_s=60)
        await store.put(BOBS, b"two", ttl_s=60)
        assert [await store.get(key) for key in (KEY, OTHER, BOBS)] == [b"one", None, None]
        assert store.is_reachable

        own.client.config_set("maxmemory", 0)
        await store.put(OTHER, b"two", ttl_s=60)
        assert await store.get(OTHER) == b"two"
        await store.close()

    with capture_logs() as lines:
        asyncio.run(story())
    assert [line["log_level"] for line in lines] == ["warning", "info"]


def test_whether_there_is_room_is_not_asked_for_every_answer(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 600)

    async def story() -> None:
        store = RedisStore(own.url)
        await asyncio.gather(*(store.put(Key("alice", str(number)), b"one", ttl_s=60) for number in range(20)))
        assert await store.size("alice") == 20
        await store.close()

    asyncio.run(story())
    assert int(own.client.info("commandstats")["cmdstat_info"]["calls"]) == 1


def test_a_user_of_redis_who_may_not_ask_for_the_memory_keeps_answers_without_that_bound(
    own: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 0)
    own.client.execute_command("ACL", "SETUSER", "plain", "on", ">word", "~*", "+@all", "-@dangerous")  # type: ignore[no-untyped-call]  # redis: untyped

    async def story() -> None:
        store = RedisStore(own.url.replace("//", "//plain:word@"))
        await asyncio.gather(*(store.put(key, b"one", ttl_s=60) for key in (KEY, OTHER)))
        assert [await store.get(key) for key in (KEY, OTHER)] == [b"one", b"one"]
        assert store.is_reachable
        await store.close()

    asyncio.run(story())


def test_a_user_of_redis_who_may_not_write_keeps_nothing(own: Redis) -> None:
    own.client.execute_command("ACL", "SETUSER", "reader", "on", ">word", "~*", "+@all", "-@write")  # type: ignore[no-untyped-call]  # redis: untyped

    async def story() -> None:
        store = RedisStore(own.url.replace("//", "//reader:word@"))
        await store.put(KEY, b"one", ttl_s=60)
        assert not store.is_reachable
        await store.close()

    asyncio.run(story())


def test_a_full_redis_is_let_alone_until_it_takes_writes_again(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 600)

    async def story() -> None:
        store = RedisStore(own.url)
        await store.put(KEY, b"one", ttl_s=60)
        own.client.config_set("maxmemory", 1)
        await store.put(OTHER, b"two", ttl_s=60)
        assert not store.is_reachable
        assert await store.get(KEY) is None

        own.client.config_set("maxmemory", 0)
        await _until_reachable(store)
        assert [await store.get(key) for key in (KEY, OTHER)] == [b"one", None]
        await store.close()

    with capture_logs() as lines:
        asyncio.run(story())
    assert [line["log_level"] for line in lines] == ["warning", "info"]
