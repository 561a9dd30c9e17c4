"""Answers that are told again: once paid for, whatever the processes and Redis do meanwhile, and never to another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet

from tests import servers
from tests.conftest import NewProduct
from tests.faults import load
from tests.faults.load import Callers, Told
from tests.journeys.dialects import OPENAI
from tests.product import Answer, Product
from tests.servers import Redis, Servers
from tests.upstream import Fault, Upstream

WORKERS, CALLERS = 4, 20
SAME = [{"role": "user", "content": "the same prompt"}]
MOST_S = 1.0  # of a call that meets a frozen Redis: 0.1, and the rest for a busy machine


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with servers.redis() as server:
        yield server


def _named(product: Product, key: str) -> Answer:
    headers = {"Idempotency-Key": key}
    return product.request("POST", OPENAI.path, body=OPENAI.body("up-chat", key), key=product.key, headers=headers)


def test_30_one_idempotency_key_at_once_is_one_dispatch(new_production: NewProduct, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(delay_s=0.5))
    with new_production(workers=WORKERS) as product:

        async def story() -> list[Answer]:
            asked = (asyncio.to_thread(_named, product, "row-30") for _ in range(CALLERS))
            return await asyncio.gather(*asked)

        answers = asyncio.run(story())
        told = [answer for answer in answers if answer.status == 200]
        load.say(f"row 30: {len(told)} told, {CALLERS - len(told)} refused, {len(upstream.bill)} dispatch")
        assert {answer.status for answer in answers} <= {200, 409}
        assert len(upstream.bill) == 1
        assert {answer.content for answer in told} == {_named(product, "row-30").content}
        assert product.request("GET", "/readyz").status == 200
        assert _balances(product)


def test_34_two_clients_share_no_hit(new_production: NewProduct, upstream: Upstream) -> None:
    with new_production() as product:

        async def story(callers: Callers) -> list[Told]:
            asked = (callers.call(key=product.keys[who], messages=SAME, temperature=0) for who in ("alice", "bob") * 10)
            return await asyncio.gather(*asked)

        told = load.run(product, story)
        assert {each.status for each in told} == {200}
        clients = product.sql("SELECT DISTINCT client FROM usage_usagerecord WHERE status = 'ok'")
        assert {row["client"] for row in clients} == {"alice", "bob"}
        assert _balances(product)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["frozen", "killed", "emptied"])
def test_11_12_13_without_its_redis_the_cache_only_misses(
    new_production: NewProduct, own_redis: Redis, upstream: Upstream, fault: str
) -> None:
    with new_production(redis=own_redis, workers=1) as product:

        async def story(callers: Callers) -> list[Told]:
            async def ask() -> Told:
                return await callers.call(messages=SAME, temperature=0)

            before = [await ask(), await ask()]
            _play(own_redis, fault)
            first = await asyncio.gather(*(ask() for _ in range(10)))
            return [*before, *first, *[await ask() for _ in range(10)]]

        told = load.run(product, story)
        slowest = max(each.seconds for each in told)
        lines = product.log().count("the cache's Redis does not answer")
        load.say(f"rows 11 to 13: Redis {fault}, the slowest call took {slowest:.3f} s, {lines} line")
        assert {each.status for each in told} == {200}
        assert slowest < MOST_S
        assert lines == (fault != "emptied")
        assert _balances(product)
        if fault == "frozen":
            own_redis.thaw()


def _play(redis: Redis, fault: str) -> None:
    if fault == "frozen":
        redis.freeze()
    elif fault == "killed":
        redis.kill()
    else:
        redis.client.flushall()


def _balances(product: Product) -> bool:
    """Hits are rows of their own, and dispatches were billed once each."""
    return '"ok": true' in product.manage("verifyledger", "--json")


@pytest.mark.faults
def test_31_a_turned_ring_is_a_miss_and_an_answer_under_a_key_is_still_told(
    new_production: NewProduct, servers: Servers, upstream: Upstream
) -> None:
    with new_production() as product:
        first = _named(product, "row-31")
        product.env["ENCRYPTION_KEYS"] = f"{Fernet.generate_key().decode()},{product.env['ENCRYPTION_KEYS']}"
        product.restart()

        assert _named(product, "row-31").content == first.content
        assert len(upstream.bill) == 1
