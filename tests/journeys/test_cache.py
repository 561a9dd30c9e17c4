"""Asking the same again: the kept answer, at no cost, in the way in which it was asked."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import servers
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.dialects import ANTHROPIC, DOORS, OPENAI, Door, Stream, events
from tests.product import Answer, Product
from tests.servers import Redis, Servers, wait_until
from tests.upstream import Fault, Upstream

every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
either_model = pytest.mark.parametrize("model", ["up-chat", "up-claude"])
NO_REDIS = "the cache's Redis does not answer"
CANARY = "canary-prompt-7f3a"
ON = {"X-Cache": "on"}
_numbers = itertools.count(1)


def cached(door: Door, product: Product, model: str, text: str, **more: Any) -> Answer:
    return door.call(product, model, text, temperature=0, **more)


def streamed(door: Door, product: Product, model: str, text: str, **more: Any) -> Stream:
    return door.stream(product, model, text, temperature=0, **more)


@operating.again_if_redis_was_slow
@every_door
@either_model
def test_the_same_again(topology: Product, upstream: Upstream, door: Door, model: str) -> None:
    text = f"again {next(_numbers)}"
    first = cached(door, topology, model, text)
    second = cached(door, topology, model, text)

    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert len(upstream.bill) == 1
    assert door.text(second.json()) == door.text(first.json())
    assert second.headers["x-cost-usd"] == "0"
    assert second.headers["x-attempts"] == "0"
    assert second.headers["x-provider"] == first.headers["x-provider"]
    paid, saved = operating.row_of(topology, first), operating.row_of(topology, second)
    assert (saved["status"], saved["evidence"], saved["cost_pico"]) == ("cached", "none", 0)
    assert saved["saved_pico"] == paid["cost_pico"] > 0
    assert (saved["provider"], saved["deployment"]) == (paid["provider"], paid["deployment"])


@operating.again_if_redis_was_slow
@every_door
@either_model
def test_a_stream_is_told_again_as_a_stream(topology: Product, upstream: Upstream, door: Door, model: str) -> None:
    text = f"stream {next(_numbers)}"
    first, second = (streamed(door, topology, model, text) for _ in range(2))

    assert len(upstream.bill) == 1
    assert second.ended
    assert second.text == first.text
    if door.name != "spec-d":  # its last event tells the call's own id and cost
        assert second.heard == first.heard
    assert operating.row(topology, second.request_id)["status"] == "cached"
    assert cached(door, topology, model, text).headers["x-cache"] == "miss"  # a stream is not told as a whole


def test_specification_d_says_that_it_was_cached(product: Product, upstream: Upstream) -> None:
    door = DOORS[2]
    first, second = (cached(door, product, "up-chat", "spec d says so").json() for _ in range(2))

    assert (first["cached"], second["cached"]) == (False, True)
    assert second["usage"] == first["usage"]
    assert second["cost"] == 0 < first["cost"]
    endings = [streamed(door, product, "up-chat", "spec d says so").last for _ in range(2)]
    assert endings[1]["cost"] == 0 < endings[0]["cost"]
    assert endings[1]["usage"] == endings[0]["usage"]


def test_only_who_asks_for_it_or_for_the_likeliest_answer(product: Product, upstream: Upstream) -> None:
    def words(**more: Any) -> list[str]:
        return [OPENAI.call(product, "up-chat", "who asks", **more).headers["x-cache"] for _ in range(2)]

    assert words() == ["off", "off"]
    assert words(temperature=0.7) == ["off", "off"]
    assert words(temperature=0.7, headers=ON) == ["miss", "hit"]
    assert words(temperature=0, headers={"X-Cache": "off"}) == ["off", "off"]
    assert words(temperature=0, headers={"X-Cache": "refresh"}) == ["miss", "miss"]
    assert words(temperature=0) == ["hit", "hit"]
    assert OPENAI.call(product, "up-chat", "who asks", headers={"X-Cache": "maybe"}).status == 400


@operating.again_if_redis_was_slow
def test_two_clients_never_share(topology: Product, upstream: Upstream) -> None:
    body = OPENAI.body("up-chat", f"shared? {next(_numbers)}") | {"temperature": 0}
    for who in ("alice", "bob"):
        answers = [topology.request("POST", OPENAI.path, body=body, key=topology.keys[who]) for _ in range(2)]
        assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
    assert len(upstream.bill) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_fifty_at_once_are_one_dispatch(product: Product, upstream: Upstream, *, stream: bool) -> None:
    upstream.on("up-chat", Fault(delay_s=0.5))
    body = OPENAI.body("up-chat", f"fifty {stream}") | {"temperature": 0, "stream": stream}

    def ask(_: int) -> Answer:
        return product.request("POST", OPENAI.path, body=body, key=product.key)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))
    assert len(upstream.bill) == 1
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers["x-cache"] for answer in answers) == ["hit"] * 49 + ["miss"]


@pytest.mark.parametrize("fault", [Fault(status=400), Fault(cut_after=3), Fault(error_after=2)], ids=str)
def test_what_failed_is_not_kept(product: Product, upstream: Upstream, fault: Fault) -> None:
    upstream.on("up-chat", fault)
    text = f"failed {fault}"
    broken, whole, again = (streamed(OPENAI, product, "up-chat", text) for _ in range(3))

    assert not broken.ended
    assert whole.ended
    assert again.heard == whole.heard
    assert len(upstream.bill) == 2


def test_a_leader_who_leaves_leaves_the_answer_to_the_others(house: Product, upstream: Upstream) -> None:
    """Its provider aborts calls whose callers leave; this one has others."""
    upstream.on("leaving", Fault(chunk_s=0.05, words=60))
    body = OPENAI.body("leaving", "shared") | {"temperature": 0, "stream": True}
    with house.asking("POST", OPENAI.path, body=body, key=house.key) as leader:
        next(events(leader.getresponse()))
        with house.asking("POST", OPENAI.path, body=body, key=house.key) as follower:
            assert house.chat().status == 200  # a call made later is answered: the follower waits by now
            leader.close()
            with follower.getresponse() as answer:
                assert "[DONE]" in list(events(answer))
    assert len(upstream.dispatches("leaving")) == 1


def test_usage_is_shown_to_whom_it_was_asked_for(product: Product, upstream: Upstream) -> None:
    """How much is shown changes nothing in the answer."""
    quiet = streamed(OPENAI, product, "up-chat", "usage?")
    told = streamed(OPENAI, product, "up-chat", "usage?", stream_options={"include_usage": True})

    assert len(upstream.bill) == 1
    assert "usage" not in quiet.last
    assert told.last["usage"]["completion_tokens"] == upstream.bill[0].output_tokens


def test_savings_are_in_the_statistics(product: Product, upstream: Upstream) -> None:
    key = product.keys["charlie"]
    body = OPENAI.body("up-chat", "savings") | {"temperature": 0}
    for _ in range(3):
        operating.row_of(product, product.request("POST", OPENAI.path, body=body, key=key))
    figures = operating.manage(product, "GET", "/api/ai-providers/statistics/cost?client=charlie")["totals"]

    assert figures["cachedRequests"] == 2
    assert figures["cacheSavingsUsd"] == f"{2 * operating.usd(_billed(upstream)):f}".rstrip("0")
    assert json.loads(product.manage("verifyledger", "--json"))["ok"]


def _billed(upstream: Upstream) -> int:
    return sum(operating.cost_pico(bill.input_tokens, bill.output_tokens) for bill in upstream.bill)


def test_prompts_and_answers_lie_nowhere_in_the_open(production: Product, servers: Servers, upstream: Upstream) -> None:
    first = cached(OPENAI, production, "up-chat", CANARY)
    wait_until(
        lambda: cached(OPENAI, production, "up-chat", CANARY).headers["x-cache"] == "hit", what="the answer to be kept"
    )

    redis = servers.redis.client
    names = redis.keys("aip:cache:*")
    kept = [f"{name!r}{redis.dump(name)!r}" for name in names]
    assert kept
    for word in (CANARY, OPENAI.text(first.json())):
        assert not any(word in each for each in kept)


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with servers.redis() as server:
        yield server


def test_a_frozen_redis_is_waited_for_once(new_production: NewProduct, own_redis: Redis, upstream: Upstream) -> None:
    with new_production(redis=own_redis, workers=1) as running:

        def told() -> str:
            return cached(OPENAI, running, "up-chat", "frozen").headers["x-cache"]

        assert told() == "miss"
        wait_until(lambda: told() == "hit")
        before = running.log().count(NO_REDIS)
        own_redis.freeze()
        assert [told() for _ in range(10)] == ["miss"] * 10
        assert running.log().count(NO_REDIS) == before + 1

        cleared = running.request("POST", "/cache/clear", key=running.manage_key)
        assert (cleared.status, cleared.json()["error_code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert "retry-after" in cleared.headers
        own_redis.thaw()


def test_without_redis_in_production(new_production: NewProduct, own_redis: Redis, upstream: Upstream) -> None:
    own_redis.kill()
    with new_production(redis=own_redis, workers=1) as running:
        assert [cached(OPENAI, running, "up-chat", "none").status for _ in range(3)] == [200] * 3


def test_anthropics_callers_get_their_own_form(product: Product, upstream: Upstream) -> None:
    """The same words at two doors are two calls: each is told in its own dialect."""
    words = [door.call(product, "up-chat", "both doors", temperature=0) for door in (OPENAI, ANTHROPIC) * 2]

    assert [answer.headers["x-cache"] for answer in words] == ["miss", "miss", "hit", "hit"]
    assert [answer.json()["content"] for answer in words[1::2]] == [words[1].json()["content"]] * 2
