"""PostgreSQL is killed, frozen, short of connections, or gone at the wrong moment; Redis forgets everything."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults import invariants, load
from tests.faults.conftest import Limit, MortalPostgres, NewInstallation
from tests.faults.load import Callers, Told
from tests.product import Product
from tests.servers import PATIENCE_S, Redis, is_alive, wait_until
from tests.upstream import Fault, Upstream

PLENTY = 10**15
LIMITS = (Limit(name="alice", cap_pico=PLENTY), Limit(name="bob", cap_pico=PLENTY, hard=False))
CALLERS = 16


def test_7_a_killed_database_loses_no_acknowledged_row(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream, rng: random.Random
) -> None:
    """Killed twice under load: callers without, with a soft, and with a hard budget; plain and streaming."""
    upstream.always("up-chat", Fault(delay_s=0.02))

    with new_installation(workers=2, limits=LIMITS) as product:
        pid = product.web.process.pid if product.web.process else 0
        keys = [product.key, product.keys["bob"], product.keys["alice"]]

        told: list[Told] = []
        over = threading.Event()

        async def caller(callers: Callers, number: int) -> None:
            while not over.is_set():
                told.append(await callers.call(key=keys[number % 3], stream=number % 2 == 0))
                if told[-1].status == 503:
                    await asyncio.sleep(0.05)

        async def story(callers: Callers) -> None:
            await asyncio.gather(*(caller(callers, number) for number in range(CALLERS)))

        with ThreadPoolExecutor(1) as beside:
            # A server dies with the thread that has started it: this one must be the test's.
            busy = beside.submit(load.run, product, story)
            try:
                for _ in range(2):
                    time.sleep(rng.uniform(0.4, 1.0))
                    postgres.kill()
                    time.sleep(rng.uniform(0.8, 1.6))
                    postgres.start()
                heard = len(told)
                wait_until(lambda: any(each.is_ok and each.key == keys[2] for each in told[heard:]))
            finally:
                over.set()
            busy.result()

        invariants.settled(product)
        books = invariants.check(product, upstream.bill)

        kinds = load.statuses(told)
        load.say(f"row 7: {kinds}; {len(upstream.bill)} dispatches, {books.by_evidence()}")
        assert set(kinds) <= {"200", "503 LEDGER_UNAVAILABLE"}
        for each in told:
            if each.is_ok:
                assert [row["status"] for row in books.of(each.name)] == ["ok"], each
                assert "[DONE]" in each.heard or '"usage"' in each.heard
        assert product.web.process is not None
        assert (product.web.is_running, product.web.process.pid) == (True, pid)
        assert "Started server process" not in product.log().split("journal takes over")[-1]
        assert "was refused" not in product.log()
        assert "what the journal had kept is in the database" in product.log()
        outages, workers = 2, 2
        assert 0 < product.log().count("cannot be read; the last one serves") <= outages * workers


async def _until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    await asyncio.to_thread(wait_until, condition, timeout_s=timeout_s)


def test_7_a_worker_that_dies_while_the_database_is_away_takes_no_other_with_it(
    new_installation: NewInstallation, postgres: MortalPostgres
) -> None:
    with new_installation(workers=2) as product:
        wait_until(lambda: len(_workers(product)) == 2, what="both workers")
        dies, lives = _workers(product)
        postgres.kill()
        os.kill(dies, signal.SIGKILL)
        wait_until(lambda: product.log().count("this process waits for it") >= 2, what="the new worker's waiting")
        away = product.chat(model="up-chat")
        postgres.start()
        wait_until(lambda: len(_workers(product)) == 3, what="the new worker")
        invariants.settled(product)

        assert away.status == 200
        assert is_alive(lives)
        assert "Traceback" not in product.log()


def _workers(product: Product) -> list[int]:
    """The processes of all leases, the oldest first."""
    return [
        int(row["process"].rpartition(":")[2]) for row in product.sql("SELECT process FROM usage_lease ORDER BY id")
    ]


@pytest.mark.faults
def test_8_a_frozen_database_refuses_hard_budgets_at_once_and_serves_the_others(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    with new_installation(workers=1, limits=LIMITS) as product:

        async def story(callers: Callers) -> tuple[list[Told], list[Told], list[tuple[int, float]]]:
            await callers.call(key=product.keys["alice"])
            await callers.call()
            postgres.freeze()
            hard: list[Told] = []
            free: list[Told] = []
            alive: list[tuple[int, float]] = []
            for _ in range(4):
                asked = asyncio.gather(*(callers.call(key=product.keys["alice"]) for _ in range(8)))
                others = asyncio.gather(
                    *(callers.call(stream=number % 2 == 0) for number in range(8)),
                    callers.call(key=product.keys["bob"]),
                )
                alive.append(await callers.get("/livez"))
                hard += await asked
                free += await others
            return hard, free, alive

        try:
            hard, free, alive = load.run(product, story)
        finally:
            postgres.thaw()
        invariants.settled(product)
        books = invariants.check(product, upstream.bill)

        slowest = max(each.seconds for each in hard)
        load.say(
            f"row 8: {load.statuses(hard)}, the slowest after {slowest:.2f} s; {load.statuses(free)}, "
            f"the slowest after {max(each.seconds for each in free):.2f} s; "
            f"/livez in {max(s for _, s in alive):.3f} s; {books.by_evidence()}"
        )
        assert load.statuses(hard) == {"503 LEDGER_UNAVAILABLE": 32}
        assert slowest < 1.0
        assert load.statuses(free) == {"200": 36}
        assert all(status == 200 and seconds < 0.5 for status, seconds in alive)
        assert len(upstream.bill) == 2 + 36  # nothing was sent for those who were refused
        wait_until(lambda: product.chat("call-back", key=product.keys["alice"], model="up-chat").status == 200)


@pytest.mark.faults
def test_9_few_connections_and_many_callers(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    """Four readers of administration read without pause beside 200 callers."""
    postgres.stop()
    postgres.max_connections = 20
    try:
        postgres.start()
        with new_installation(workers=4, limits=LIMITS) as product:

            async def story(callers: Callers) -> tuple[list[Told], list[tuple[int, float]]]:
                keys = [product.key, product.keys["alice"], product.keys["bob"]]
                told: list[Told] = []
                read: list[tuple[int, float]] = []
                for _ in range(3):
                    calls = [asyncio.create_task(callers.call(key=keys[n % 3], stream=n % 2 == 0)) for n in range(200)]
                    reads = [asyncio.create_task(_read_until(calls, callers, product)) for _ in range(4)]
                    told += await asyncio.gather(*calls)
                    for reader in reads:
                        read += await reader
                return told, read

            began = time.monotonic()
            told, read = load.run(product, story)
            invariants.settled(product)
            load.say(
                f"row 9: {load.statuses(told)} in {time.monotonic() - began:.1f} s, the slowest after "
                f"{max(each.seconds for each in told):.2f} s; {len(read)} reads by 4 readers, "
                f"{sum(s == 200 for s, _ in read)} answered, the slowest after {max(s for _, s in read):.2f} s"
            )
            assert load.statuses(told) == {"200": 600}
            assert {status for status, _ in read} <= {200, 503}
            invariants.check(product, upstream.bill)
    finally:
        postgres.stop()
        postgres.max_connections = 300
        postgres.start()


async def _read_until(
    calls: Sequence[asyncio.Task[Told]], callers: Callers, product: Product
) -> list[tuple[int, float]]:
    """At least once, until all calls are answered: (status, seconds)."""
    read = [await callers.get("/api/usage/budgets", product.manage_key)]
    while not all(call.done() for call in calls):
        read.append(await callers.get("/api/usage/budgets", product.manage_key))
    return read


@pytest.mark.faults
def test_10_a_database_that_goes_between_dispatch_and_settle(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    """The answer is delivered, and its row replayed exactly once: of callers with and without a hard budget."""
    upstream.always("up-chat", Fault(delay_s=1.0))

    with new_installation(workers=1, limits=LIMITS) as product:
        keys = [product.key, product.keys["alice"], product.keys["bob"]]

        async def story(callers: Callers) -> list[Told]:
            calls = [asyncio.create_task(callers.call(key=keys[n % 3], stream=n % 2 == 0)) for n in range(12)]
            await _until(lambda: len(upstream.bill) == 12)
            await asyncio.to_thread(postgres.kill)
            return await asyncio.gather(*calls)

        told = load.run(product, story)
        assert load.statuses(told) == {"200": 12}
        assert all(each.ended for each in told[::2])
        postgres.start()
        invariants.settled(product)
        books = invariants.check(product, upstream.bill)
        load.say(f"row 10: {load.statuses(told)}; {books.by_evidence()}")
        assert len(books.records) == 12
        assert books.by_evidence() == {"reported": 12}


@pytest.mark.faults
def test_13_a_redis_that_forgets_everything_changes_no_budget(
    new_installation: NewInstallation, own_redis: Redis, upstream: Upstream
) -> None:
    with new_installation(workers=2, limits=[Limit(name="alice", cap_pico=PLENTY)]) as product:
        _spend(product, 20)
        before = invariants.check(product, upstream.bill).windows

        own_redis.client.flushall()

        assert invariants.check(product, upstream.bill).windows == before
        _spend(product, 20)
        books = invariants.check(product, upstream.bill)
        (window,) = books.windows
        load.say(f"row 13: settled {before[0]['settled_pico']} before FLUSHALL, {window['settled_pico']} after 20 more")
        assert window["settled_pico"] == 2 * before[0]["settled_pico"] == books.cost_pico


def _spend(product: Product, calls: int) -> None:
    async def story(callers: Callers) -> list[Told]:
        # Names of one length: each call costs the same.
        return await asyncio.gather(*(callers.call(key=product.keys["alice"]) for _ in range(calls)))

    assert load.statuses(load.run(product, story)) == {"200": calls}
