"""Redis killed, absent, frozen and emptied: calls are served, budgets stay exact, limits never get looser."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import datetime

import pytest

from tests.faults import invariants, load
from tests.faults.conftest import Limit, NewInstallation
from tests.faults.load import Callers, Told
from tests.faults.wire import Wire
from tests.journeys import operating
from tests.product import Product
from tests.servers import Redis, wait_until
from tests.upstream import Fault, Upstream

pytestmark = pytest.mark.faults

WORKERS = 4
HEARD_S = 3.0  # by then every process knows what the others have let through
TOKENS = 100  # of each answer
ANSWER_PICO = TOKENS * operating.OUTPUT_PICO
LOST = "Redis does not answer: each process enforces its share of the limits"
BACK = "Redis answers again: limits are shared"
ALICE_AN_HOUR = "UPDATE accounts_client SET requests_per_hour = {} WHERE name = 'alice'"


def at_once(product: Product, calls: int, key: str) -> list[Told]:
    async def story(callers: Callers) -> list[Told]:
        return await asyncio.gather(*(callers.call(key=key, max_tokens=TOKENS) for _ in range(calls)))

    return load.run(product, story)


def served(told: list[Told]) -> int:
    assert {each.status for each in told} <= {200, 429}, load.statuses(told)
    return sum(each.is_ok for each in told)


def checked(product: Product, upstream: Upstream, *told: list[Told]) -> invariants.Books:
    """The books, once the rows of those who were refused, for which nobody waits, are in them too."""
    refused = sum(not each.is_ok for each in itertools.chain(*told))
    wait_until(
        lambda: (
            product.sql("SELECT count(*) AS rows FROM usage_usagerecord WHERE status = 'refused'")[0]["rows"] == refused
        ),
        what=f"{refused} rows of refusals",
    )
    return invariants.check(product, upstream.bill)


def logged(product: Product, lines: int, text: str) -> None:
    wait_until(lambda: product.log().count(text) == lines, what=f"{lines} x {text!r}; log: {product.log()[-2000:]}")


def test_11_killed_in_mid_traffic(new_installation: NewInstallation, own_redis: Redis, upstream: Upstream) -> None:
    limit = Limit(name="bob", cap_pico=ANSWER_PICO * 21 // 2)
    upstream.always("up-chat", Fault(words=TOKENS, delay_s=0.02))

    with new_installation(workers=WORKERS, limits=[limit], sql=[ALICE_AN_HOUR.format(60)]) as product:
        alice, bob = product.keys["alice"], product.keys["bob"]
        first = at_once(product, 20, alice)
        time.sleep(HEARD_S)

        async def story(callers: Callers) -> list[Told]:
            calls = [asyncio.create_task(callers.call(key=product.key, max_tokens=TOKENS)) for _ in range(40)]
            await asyncio.to_thread(own_redis.kill)
            return await asyncio.gather(*calls)

        in_between = load.run(product, story)
        second = at_once(product, 100, alice)
        budgeted = at_once(product, 40, bob)
        books = checked(product, upstream, first, in_between, second, budgeted)
        before, after = served(first), served(second)

        load.say(
            f"row 11: {before} of 60 an hour before the kill, {after} of 100 after it; in between "
            f"{load.statuses(in_between)}; a budget of 10.5 answers: {load.statuses(budgeted)}"
        )
        assert load.statuses(in_between) == {"200": 40}
        assert before == 20
        assert 0 < after <= 40
        assert sum(each.is_ok for each in budgeted) <= 10
        assert {each.code for each in budgeted if not each.is_ok} == {"BUDGET_EXCEEDED"}
        assert books.holds == []

        own_redis.start()
        logged(product, WORKERS, BACK)
        again = served(at_once(product, 100, alice))
        load.say(f"row 11: {again} more once it was back, with nothing in its memory")
        assert before + after + again <= 60
        assert product.log().count(LOST) == WORKERS


def test_11_not_there_at_the_start(new_installation: NewInstallation, own_redis: Redis, upstream: Upstream) -> None:
    own_redis.kill()
    with new_installation(workers=WORKERS, sql=[ALICE_AN_HOUR.format(30)]) as product:
        # A worker that does not know the others yet reckons with as many as there are to be.
        first = at_once(product, 100, product.keys["alice"])
        own_redis.start()
        logged(product, WORKERS, BACK)
        second = at_once(product, 100, product.keys["alice"])
        checked(product, upstream, first, second)
        without, with_it = served(first), served(second)

        load.say(f"row 11: {without} of 30 an hour without it, {with_it} more once it was there")
        assert 0 < without <= 30
        assert without + with_it == 30


def test_12_frozen(new_installation: NewInstallation, own_redis: Redis, upstream: Upstream) -> None:
    with new_installation(workers=1, sql=[ALICE_AN_HOUR.format(10_000)]) as product:
        alice = product.keys["alice"]

        async def one_by_one(callers: Callers) -> list[Told]:
            return [await callers.call(key=alice) for _ in range(20)]

        usual_s = sorted(each.seconds for each in load.run(product, one_by_one))[-3]
        own_redis.freeze()
        try:
            frozen = load.run(product, one_by_one)
            later = load.run(product, one_by_one)
        finally:
            own_redis.thaw()
        logged(product, 1, BACK)
        invariants.check(product, upstream.bill)

        slow = [each for each in [*frozen, *later] if each.seconds > usual_s + 0.08]
        frozen_ms = [round(each.seconds * 1000) for each in frozen[:4]]
        most_ms = max(each.seconds for each in later) * 1000
        load.say(f"row 12: usually {usual_s * 1000:.0f} ms; frozen {frozen_ms} ms, then at most {most_ms:.0f} ms")
        assert {each.status for each in [*frozen, *later]} == {200}
        assert frozen[0].seconds <= usual_s + 0.2  # 0.1 s of waiting, and what a busy machine adds
        assert len(slow) <= 4, "one call waits for Redis; others may for a busy machine"
        assert product.log().count(LOST) == 1


def test_12_a_provider_is_saved_while_it_is_frozen(new_installation: NewInstallation, own_redis: Redis) -> None:
    provider = {"name": "saved", "type": "CUSTOM", "endpoint": "http://127.0.0.1:1/v1", "model": "m", "apiKey": "k"}

    with new_installation(workers=1) as product:
        own_redis.freeze()
        try:
            answer = product.request("POST", "/api/ai-providers", body=provider, key=product.manage_key, timeout_s=30)
        finally:
            own_redis.thaw()

        assert answer.status == 201, answer.text
        logged(product, 1, "a new provider's check waits for the next round")


@pytest.mark.timeout(400)
def test_12_jobs_go_on_where_its_host_has_vanished(new_installation: NewInstallation, own_redis: Redis) -> None:
    """Worker and schedule hear nothing more on their connections, not even that these are no more."""
    wire = Wire(own_redis.port)

    def checked_at() -> datetime | None:
        at: datetime | None = product.sql("SELECT max(checked_at) AS at FROM providers_health")[0]["at"]
        return at

    try:
        url = f"redis://127.0.0.1:{wire.port}/0"
        with new_installation(workers=1, env={"REDIS_URL": url}, jobs=True) as product:
            wait_until(lambda: checked_at() is not None, timeout_s=120, what="the first round of checks")
            wire.cut()
            before = checked_at()
            wait_until(lambda: checked_at() != before, timeout_s=240, what="another round of checks")
    finally:
        wire.close()


def test_13_emptied(new_installation: NewInstallation, own_redis: Redis, upstream: Upstream) -> None:
    """Limits begin anew, which nobody is told; budgets, which are in the database, know nothing of it."""
    limit = Limit(name="alice", cap_pico=ANSWER_PICO * 25 // 2)
    upstream.always("up-chat", Fault(words=TOKENS))

    with new_installation(workers=2, limits=[limit], sql=[ALICE_AN_HOUR.format(8)]) as product:
        alice = product.keys["alice"]
        first = at_once(product, 20, alice)
        assert served(first) == 8
        own_redis.client.flushall()
        second = at_once(product, 20, alice)
        books = checked(product, upstream, first, second)

        load.say(f"row 13: {load.statuses(first)}, and after FLUSHALL {load.statuses(second)}; budget for 12.5 answers")
        (window,) = books.windows
        assert sum(each.is_ok for each in [*first, *second]) <= 12
        assert window["settled_pico"] == books.cost_pico <= limit.cap_pico
        assert LOST not in product.log()
