"""Limits in a real Redis: the same as in memory, exact between processes, and gone without harm."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.limits import shared
from gateway.limits.commands import Wanted
from gateway.limits.definitions import NO_LIMITS, Limit
from gateway.limits.limiter import Limiter
from gateway.limits.local import Correction, LocalCounters
from gateway.limits.shared import SharedCounters
from tests import servers as real
from tests.gateway.test_limits import a_limit, a_set
from tests.servers import PATIENCE_S, Redis, Servers

SCRIPTS = Path(shared.__file__).parent
NOW_MS = 1_800_000_000_000
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _slow_is_not_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long Redis takes on a busy machine."""
    monkeypatch.setattr(shared, "LIMIT_S", PATIENCE_S)


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with real.redis() as server:
        yield server


def fresh(most: int, *, tokens: bool = False, window_s: int = 60) -> Limit:
    return a_limit(most, name=f"{{t}}{next(_numbers)}", tokens=tokens, window_s=window_s)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    asyncio.run(bounded())


async def counters(redis: Redis) -> SharedCounters:
    made = SharedCounters(redis.url, lambda lost: [], lambda: None)
    await made.start()
    while not made.is_up:  # noqa: ASYNC110 - a busy machine: it tries again by itself, and the run is bounded
        await asyncio.sleep(0.05)
    return made


# --- the scripts, on a clock of the test's own --------------------------------------------------------------------


class Clocked:
    """`admit.lua` and `correct.lua`, for which the time is `now_ms`."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis.client
        told = "redis.call('LRANGE', 'clock', 0, 1)"
        self._admit, self._correct = (
            self._redis.register_script((SCRIPTS / name).read_text().replace("redis.call('TIME')", told))
            for name in ("admit.lua", "correct.lua")
        )

    def take(self, calls: list[Wanted], now_ms: int) -> list[list[int]]:
        """One reply a call."""
        self._set(now_ms)
        keys: list[str] = []
        args: list[int] = []
        for call in calls:
            limits = [limit for each in call.sets for limit in each.limits]
            keys += [each.key for each in limits]
            args += [call.tokens, len(call.sets), *(len(each.limits) for each in call.sets)]
            args += [term for each in limits for term in (each.most, each.window_s * 1000, int(each.tokens))]
        replies: list[Any] = self._admit(keys=keys, args=args)
        assert replies[0] == now_ms
        return replies[1:]

    def correct(self, correction: Correction, now_ms: int) -> None:
        self._set(now_ms)
        args = [correction.limit.window_s * 1000, correction.at_ms, correction.amount]
        self._correct(keys=[correction.limit.key], args=args)

    def _set(self, now_ms: int) -> None:
        self._redis.delete("clock")
        self._redis.rpush("clock", now_ms // 1000, now_ms % 1000 * 1000)


acts = st.lists(
    st.tuples(st.integers(0, 30_000), st.integers(0, 40), st.sampled_from([1, 1, 2, 3, "more", "less"])),
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts, st.integers(1, 20))
def test_redis_decides_as_memory_does(servers: Servers, acts: list[tuple[int, int, int | str]], most: int) -> None:
    """A number says how many calls are decided by one command; memory decides them one after the other."""
    in_redis, in_memory = Clocked(servers.redis), LocalCounters()
    requests, tokens, narrow = fresh(most), fresh(most * 20, tokens=True), fresh(max(most // 3, 1))
    caller, candidates, now_ms, at_ms = a_set(requests, tokens), [a_set(narrow), NO_LIMITS][: most % 3], NOW_MS, 0
    for pause_ms, amount, act in acts:
        now_ms += pause_ms
        if isinstance(act, int):
            for reply in in_redis.take([Wanted((caller, *candidates), amount)] * act, now_ms):
                verdict = in_memory.take(caller, candidates, amount, now_ms)
                assert reply[0] == verdict.chosen
                if verdict.refused_by is not None:
                    limits = [limit for each in (caller, *candidates) for limit in each.limits]
                    assert (limits[reply[1]], reply[2]) == (verdict.refused_by, verdict.wait_ms)
                assert reply[3::2] == list(verdict.states[::2])
                at_ms = now_ms if verdict.chosen >= 0 and amount else at_ms  # nothing is corrected of nothing
        elif at_ms:
            correction = Correction(tokens, amount if act == "more" else -amount, at_ms)
            in_redis.correct(correction, now_ms)
            in_memory.correct([correction])


# --- one Redis, many callers ----------------------------------------------------------------------------------------


def test_four_processes_at_once_let_exactly_the_limit_through(servers: Servers) -> None:
    async def story() -> None:
        processes = [await counters(servers.redis) for _ in range(4)]
        alice = a_set(fresh(25), fresh(1_000_000, tokens=True, window_s=3600))
        verdicts = await asyncio.gather(*(process.take(alice, [], 10) for _ in range(50) for process in processes))
        assert [verdict is not None and verdict.chosen == 0 for verdict in verdicts].count(True) == 25
        for process in processes:
            await process.stop()

    run(story)


def test_what_was_taken_can_be_given_back_and_more_be_charged(servers: Servers) -> None:
    async def story() -> None:
        one = await counters(servers.redis)
        limit = fresh(100, tokens=True)
        alice = a_set(limit)
        taken = await one.take(alice, [], 90)
        assert taken is not None
        one.correct([Correction(limit, -60, taken.now_ms)])
        again = await one.take(alice, [], 70)
        assert again is not None
        assert (again.chosen, again.states[0]) == (0, 100)
        one.correct([Correction(limit, 500, taken.now_ms)])
        last = await one.take(alice, [], 1)
        assert last is not None
        assert (last.refused_by, last.states[0]) == (limit, 600)
        await one.stop()

    run(story)


def test_counters_leave_nothing_behind(servers: Servers) -> None:
    async def story() -> None:
        one = await counters(servers.redis)
        limit = fresh(5, window_s=1)
        taken = await one.take(a_set(limit), [], 1)
        assert taken is not None
        one.correct([Correction(fresh(5), 1, taken.now_ms), Correction(fresh(5), -1, taken.now_ms)])
        await one.take(a_set(limit), [], 1)
        await one.stop()

    run(story)
    redis: Any = servers.redis.client
    assert [key for key in redis.keys("{t}*") if redis.ttl(key) == -1] == []


# --- a Redis that goes --------------------------------------------------------------------------------------------


PROCESSES = [uuid4(), uuid4()]


async def limiter(redis_url: str, rank: int = 0, live: Callable[[], Sequence[UUID]] = lambda: PROCESSES) -> Limiter:
    """One of two processes."""
    made = Limiter(redis_url=redis_url, workers=1, process_id=PROCESSES[rank], live=live)
    await made.start()
    return made


async def taken(one: Limiter, limit: Limit, times: int) -> int:
    verdicts = await asyncio.gather(*(one.take(a_set(limit), [], 1) for _ in range(times)))
    return [verdict.chosen for verdict in verdicts].count(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for: Redis is outside
            await asyncio.sleep(0.02)


def used(redis: Redis, limits: list[Limit]) -> list[int]:
    """Of each, by all processes."""
    asked = redis.client.pipeline()
    for limit in limits:
        asked.hget(limit.key, "u")
    return [int(each or 0) for each in asked.execute()]


def is_up(one: Limiter) -> bool:
    return one._shared is not None and one._shared.is_up


def warnings(logs: list[Any]) -> int:
    return [entry["log_level"] for entry in logs].count("warning")


def test_without_redis_each_process_lets_its_share_through() -> None:
    async def story() -> None:
        first, second = await limiter(""), await limiter("", 1)
        limit = fresh(7)
        assert await taken(first, limit, 20) == 4
        assert await taken(second, limit, 20) == 3

    run(story)


def test_a_redis_that_is_not_there_at_the_start_is_found_later(own_redis: Redis) -> None:
    async def story() -> None:
        own_redis.kill()
        with capture_logs() as logs:
            one = await limiter(own_redis.url)
            assert await taken(one, limit := fresh(10), 10) == 5
            await asyncio.to_thread(own_redis.start)
            await until(lambda: is_up(one))
            assert await taken(one, limit, 10) == 5, "what was taken meanwhile counts"
        assert warnings(logs) == 1
        await one.stop()

    run(story)


def test_a_killed_redis_leaves_limits_tighter_and_what_was_used_is_remembered(own_redis: Redis) -> None:
    async def story() -> None:
        first, second = await limiter(own_redis.url), await limiter(own_redis.url, 1)
        limit = fresh(10)
        assert await taken(first, limit, 3) == 3
        assert await taken(second, limit, 3) == 3
        own_redis.kill()
        both = await taken(first, limit, 10) + await taken(second, limit, 10)
        assert both <= 4
        assert both >= 1, "some go on being served"
        await asyncio.to_thread(own_redis.start)
        await until(lambda: is_up(first) and is_up(second))
        assert await taken(first, limit, 10) + await taken(second, limit, 10) <= 4 - both
        await first.stop()
        await second.stop()

    run(story)


def test_a_process_that_was_not_asked_knows_what_others_let_through(own_redis: Redis) -> None:
    """The second has served nobody when Redis is killed: it lets no more than its part of the rest through."""

    async def story() -> None:
        first, second = await limiter(own_redis.url), await limiter(own_redis.url, 1)
        hearing = [asyncio.create_task(each.run()) for each in (first, second)]
        limit = fresh(10)
        assert await taken(first, limit, 8) == 8
        await until(lambda: limit.key in second._local._seen)
        own_redis.kill()
        assert await taken(first, limit, 10) + await taken(second, limit, 10) <= 2
        for task in hearing:
            task.cancel()
        await first.stop()
        await second.stop()

    run(story)


def test_a_database_that_hangs_keeps_no_process_from_hearing_of_others(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.limits.limiter._COUNT_EVERY_S", 0.01)
    freezes, hangs, thaws = threading.Event(), threading.Event(), threading.Event()

    def live() -> list[UUID]:
        if freezes.is_set():
            hangs.set()
            thaws.wait(PATIENCE_S)
        return PROCESSES

    async def story() -> None:
        first, second = await limiter(servers.redis.url), await limiter(servers.redis.url, 1, live)
        hearing = [asyncio.create_task(each.run()) for each in (first, second)]
        try:
            freezes.set()
            await until(hangs.is_set)
            limit = fresh(10)
            assert await taken(first, limit, 1) == 1
            await until(lambda: limit.key in second._local._seen)
        finally:
            thaws.set()
            for task in hearing:
                task.cancel()
            await first.stop()
            await second.stop()

    run(story)


def test_a_frozen_redis_costs_one_short_wait_then_none_and_comes_back_by_itself(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        one = await limiter(own_redis.url)
        limit = fresh(1_000)
        assert await taken(one, limit, 5) == 5
        monkeypatch.setattr(shared, "LIMIT_S", 3.0)  # long enough to tell it from a busy machine's own
        with capture_logs() as logs:
            own_redis.freeze()
            began = time.perf_counter()
            assert await taken(one, limit, 20) == 20
            assert time.perf_counter() - began < 6
            for _ in range(3):
                began = time.perf_counter()
                assert await taken(one, limit, 5) == 5
                assert time.perf_counter() - began < 2, "nobody else waits"
                await asyncio.sleep(0.5)
            own_redis.thaw()
            await until(lambda: is_up(one))
        assert warnings(logs) == 1
        last = await one.take(a_set(limit), [], 1)
        assert 41 <= last.states[0] <= 61  # what it had been sent before it froze may have been counted twice
        await one.stop()

    run(story)


def test_a_redis_that_takes_no_writes_is_as_good_as_none(own_redis: Redis) -> None:
    async def story() -> None:
        one = await limiter(own_redis.url)
        own_redis.client.replicaof("127.0.0.1", 1)
        assert await taken(one, limit := fresh(10), 10) == 5
        own_redis.client.replicaof("NO", "ONE")
        await until(lambda: is_up(one))
        assert await taken(one, limit, 10) == 5
        await one.stop()

    run(story)


def test_a_redis_that_forgets_everything_counts_anew(own_redis: Redis) -> None:
    async def story() -> None:
        one = await limiter(own_redis.url)
        limit = fresh(5, tokens=True)
        verdict = await one.take(a_set(limit), [], 4)
        own_redis.client.flushall()
        own_redis.client.script_flush()
        one.correct([Correction(limit, -3, verdict.now_ms)])
        await until(lambda: not is_up(one))
        await until(lambda: is_up(one))
        again = await one.take(a_set(limit), [], 4)
        assert (again.chosen, again.states[0]) == (0, 4), "no credit from a correction of what is forgotten"
        await one.stop()

    run(story)


def test_a_redis_that_starts_again_with_its_data_is_told_nothing_twice(own_redis: Redis) -> None:
    async def story() -> None:
        one = await limiter(own_redis.url)
        limit = fresh(100)
        assert await taken(one, limit, 30) == 30
        own_redis.client.save()
        own_redis.kill()
        assert await taken(one, limit, 5) == 5
        await asyncio.to_thread(own_redis.start)
        await until(lambda: is_up(one))
        assert (await one.take(a_set(limit), [], 1)).states[0] == 30 + 5 + 1
        await one.stop()

    run(story)


def test_a_redis_that_starts_anew_is_told_everything_however_much(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A telling of them all takes longer than a Redis that answers may."""
    monkeypatch.setattr(shared, "_MOST_CORRECTIONS", 1)

    async def story() -> None:
        one = await limiter(own_redis.url)
        limits = [fresh(10) for _ in range(6_000)]
        await asyncio.gather(*(one.take(a_set(limit), [], 1) for limit in limits))
        assert used(own_redis, limits) == [1] * 6_000
        own_redis.kill()
        await one.take(a_set(), [a_set(fresh(10))], 1)
        await asyncio.to_thread(own_redis.start)
        await until(lambda: is_up(one))
        assert used(own_redis, limits) == [1] * 6_000
        await one.stop()

    run(story)


@pytest.mark.parametrize("mended_by", ["deleting the key", "starting anew"])
def test_what_was_told_before_a_telling_failed_is_not_told_again(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch, mended_by: str
) -> None:
    monkeypatch.setattr(shared, "_MOST_CORRECTIONS", 1)

    async def story() -> None:
        redis: Any = own_redis.client
        one = await limiter(own_redis.url)
        limits = [fresh(10) for _ in range(5)]
        redis.set(limits[2].key, "no counter")
        redis.replicaof("127.0.0.1", 1)  # takes no writes
        for limit in limits:
            assert await taken(one, limit, 3) == 3
        with capture_logs() as logs:
            redis.replicaof("NO", "ONE")
            await until(lambda: ["WRONGTYPE" in str(entry.get("error")) for entry in logs].count(True) >= 2)
        if mended_by == "starting anew":
            own_redis.kill()
            await asyncio.to_thread(own_redis.start)
        else:
            redis.delete(limits[2].key)
        await until(lambda: is_up(one))
        assert used(own_redis, limits) == [3] * 5
        await one.stop()

    run(story)


def test_callers_who_leave_while_redis_thinks_harm_nobody(own_redis: Redis) -> None:
    async def story() -> None:
        one = await limiter(own_redis.url)
        limit = fresh(100)
        leaving = [asyncio.create_task(one.take(a_set(limit), [], 1)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in leaving[::2]:
            task.cancel()
        rest = await asyncio.gather(*leaving[1::2])
        assert [verdict.chosen for verdict in rest] == [0] * 5
        assert is_up(one)
        await one.stop()

    run(story)
