"""Limits as callers meet them: through the doors of the running product, set through its management API."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.operating import manage
from tests.product import Answer, Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

_numbers = itertools.count(1)
TIERS, CLIENTS, KEYS = (f"/api/accounts/{name}" for name in ("tiers", "clients", "keys"))


def new_key(product: Product, *, client: dict[str, Any] | None = None, **fields: Any) -> str:
    """A key of a client of its own, known to the doors."""
    name = f"limited-{next(_numbers)}"
    manage(product, "POST", CLIENTS, {"name": name, **(client or {})})
    made: str = manage(product, "POST", KEYS, {"client": name, **fields})["key"]
    product.until_in_force()
    return made


def statuses(product: Product, key: str, times: int, **fields: Any) -> list[int]:
    return [product.chat(key=key, **fields).status for _ in range(times)]


def told(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}


def test_a_caller_without_limits_is_told_of_none(topology: Product) -> None:
    answer = topology.chat()
    assert answer.status == 200
    assert told(answer) == {}


@operating.again_if_redis_was_slow
def test_a_keys_limit_refuses_names_itself_and_says_when_to_come_again(topology: Product, upstream: Upstream) -> None:
    key = new_key(topology, requestsPerMinute=3)

    answers = [topology.chat(key=key) for _ in range(5)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert [told(answer)["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    refused = answers[-1]
    error = refused.json()["error"]
    assert error["code"] == "RATE_LIMITED"
    assert "3 calls a minute for the key aip_" in error["message"]
    assert 50 <= int(refused.headers["retry-after"]) <= 62
    assert "x-should-retry" not in refused.headers
    assert told(refused)["x-ratelimit-limit-requests"] == "3"
    assert "x-ratelimit-limit-tokens" not in told(refused)
    row = operating.row_of(topology, refused)
    assert (row["status"], row["error_code"], row["cost_pico"]) == ("refused", "RATE_LIMITED", 0)


def test_a_clients_limit_is_shared_by_its_keys(product: Product) -> None:
    first = new_key(product, client={"requestsPerHour": 2})
    name = f"limited-{next(_numbers) - 1}"
    second = manage(product, "POST", KEYS, {"client": name})["key"]
    product.until_in_force()

    assert [product.chat(key=each).status for each in (first, second, first)] == [200, 200, 429]


def test_a_tiers_limit_is_each_keys_own_and_changes_within_a_second(product: Product) -> None:
    tier = manage(product, "POST", TIERS, {"name": f"tier-{next(_numbers)}", "requestsPerMinute": 2})
    one, other = (new_key(product, tier=tier["name"]) for _ in range(2))
    assert statuses(product, one, 3) == [200, 200, 429]
    assert statuses(product, other, 3) == [200, 200, 429]

    manage(product, "PATCH", f"{TIERS}/{tier['id']}", {"requestsPerMinute": 4})

    wait_until(lambda: product.chat(key=one).status == 200, what="the raised limit")


def test_the_tiers_of_specification_e_are_there_to_be_edited(product: Product) -> None:
    found = {tier["name"]: tier for tier in manage(product, "GET", TIERS)["results"]}
    assert [found[name]["requestsPerHour"] for name in ("premium", "standard", "basic")] == [1000, 100, 10]
    endpoints = {each["endpoint"]: each["requestsPerMinute"] for each in found["basic"]["endpoints"]}
    assert endpoints == {"/v1/llm/generate": 10, "/v1/llm/generate-embeddings": 20, "/v1/vector/search": 100}


def test_an_endpoints_limit_holds_there_alone(product: Product) -> None:
    endpoints = [
        {"endpoint": "/v1/llm/generate", "requestsPerMinute": 1},
        {"endpoint": "anthropic.messages", "requestsPerMinute": 2},
    ]
    tier = manage(product, "POST", TIERS, {"name": f"tier-{next(_numbers)}", "endpoints": endpoints})
    key = new_key(product, tier=tier["name"])
    message = {"messages": [{"role": "user", "content": "Hello"}]}

    body = {"model": "demo", **message}
    generated = [product.request("POST", "/v1/llm/generate", body=body, key=key) for _ in range(2)]
    anthropic = [
        product.request("POST", "/v1/messages", body={"model": "demo", "max_tokens": 9, **message}, key=key)
        for _ in range(3)
    ]

    assert [answer.status for answer in generated] == [200, 429]
    assert "at /v1/llm/generate" in generated[1].json()["error"]
    assert generated[1].json()["error_code"] == "RATE_LIMITED"
    assert [answer.status for answer in anthropic] == [200, 200, 429]
    assert anthropic[2].json()["error"]["type"] == "rate_limit_error"
    assert statuses(product, key, 4) == [200] * 4


def test_tokens_are_reserved_by_a_guess_and_charged_by_the_truth(product: Product, upstream: Upstream) -> None:
    key = new_key(product, tokensPerMinute=1_000)
    upstream.always("up-chat", Fault(words=10))

    first = product.chat(key=key, model="up-chat", max_tokens=900)
    assert int(told(first)["x-ratelimit-remaining-tokens"]) < 100, "reserved"
    row = operating.row_of(product, first)
    used = row["input_tokens"] + row["output_tokens"]
    second = product.chat(key=key, model="up-chat", max_tokens=900)

    assert [first.status, second.status] == [200, 200]
    assert int(told(second)["x-ratelimit-remaining-tokens"]) in range(100 - used - 20, 100 - used)


def test_a_stream_is_charged_too_and_says_its_limits_at_its_start(product: Product) -> None:
    key = new_key(product, requestsPerMinute=2, tokensPerMinute=100_000)
    answer = product.chat(key=key, stream=True)
    assert answer.status == 200
    assert told(answer)["x-ratelimit-remaining-requests"] == "1"
    assert "[DONE]" in answer.text


def test_an_answer_from_the_cache_costs_a_call_but_no_tokens(product: Product, upstream: Upstream) -> None:
    key = new_key(product, requestsPerMinute=10, tokensPerMinute=10_000)

    def ask() -> Answer:
        return product.chat("the same again", key=key, model="up-chat", temperature=0, max_tokens=100)

    first = ask()
    used = first.json()["usage"]["total_tokens"]
    hit, after = ask(), product.chat("another", key=key, model="up-chat", max_tokens=100)

    assert hit.headers["x-cache"] == "hit"
    left = [int(told(answer)["x-ratelimit-remaining-tokens"]) for answer in (hit, after)]
    assert left[0] == 10_000 - used
    assert 100 <= left[0] - left[1] < 200, "a call to a provider reserves what it may use"
    assert told(after)["x-ratelimit-remaining-requests"] == "7"


def test_two_workers_let_exactly_the_limit_through(production: Product) -> None:
    def lost() -> int:
        return production.log().count("Redis does not answer: each process")

    for _ in range(5):
        key, before = new_key(production, requestsPerMinute=10), lost()
        with ThreadPoolExecutor(16) as callers:
            found = list(callers.map(lambda _, key=key: production.chat(key=key).status, range(40)))
        if lost() == before:  # Redis had its share of a busy machine's time
            break
    assert (found.count(200), found.count(429)) == (10, 30)


def test_keys_without_a_tier_have_the_operators_default(new_product: NewProduct) -> None:
    with new_product(env={"RATE_LIMIT_REQUESTS": "2", "RATE_LIMIT_WINDOW": "10"}) as product:
        answers = [product.chat(key=product.keys["alice"]) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert "2 calls in 10 seconds for keys without a tier" in answers[-1].text
        in_a_tier = new_key(product, tier="premium")
        assert statuses(product, in_a_tier, 4) == [200] * 4


# --- what deployments take ----------------------------------------------------------------------------------------


@pytest.fixture
def pair(product: Product, upstream: Upstream) -> tuple[str, dict[str, str]]:
    """A model that two providers have, the first of which is tried first; its name, and their models' ids by slug."""
    model = f"pair-{next(_numbers)}"
    ids = {}
    for priority, name in ((-20, f"{model}-a"), (-30, f"{model}-b")):
        operating.add_provider(
            product, name=name, kind="custom", endpoint=upstream.openai_url, model=model, priority=priority
        )
        (row,) = manage(product, "GET", f"/api/ai-providers/deployments?provider={name}")["results"]
        ids[name] = row["id"]
    return model, ids


def limit(product: Product, deployment_id: str, **fields: Any) -> None:
    manage(product, "PATCH", f"/api/ai-providers/deployments/{deployment_id}", fields)
    product.until_in_force()


def test_a_model_at_its_limit_is_passed_over_for_the_next(product: Product, pair: tuple[str, dict[str, str]]) -> None:
    model, ids = pair
    first, second = ids
    limit(product, ids[first], requestsPerMinute=2)

    answers = [product.chat(model=model) for _ in range(4)]

    assert [answer.headers["x-provider"] for answer in answers] == [first, first, second, second]
    assert told(answers[0]) == {}, "what a provider may take is none of the caller's business"

    limit(product, ids[second], requestsPerMinute=1)
    refused = [product.chat(model=model) for _ in range(2)][-1]
    assert refused.status == 429
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) <= 62


def test_a_kept_answer_is_told_while_its_model_is_at_its_limit_but_not_beyond_the_callers(
    product: Product, pair: tuple[str, dict[str, str]]
) -> None:
    model, ids = pair
    key = new_key(product, requestsPerMinute=3)
    first, second = ids
    manage(product, "PATCH", f"/api/ai-providers/deployments/{ids[first]}", {"requestsPerMinute": 1})
    limit(product, ids[second], requestsPerMinute=1)

    def ask(text: str) -> Answer:
        return product.chat(text, key=key, model=model, temperature=0)

    made, hit, beyond = [ask("one"), ask("two")], ask("one"), ask("one")

    assert [answer.headers["x-provider"] for answer in made] == [first, second], "each has let one call through"
    assert (hit.status, hit.headers["x-cache"], told(hit)["x-ratelimit-remaining"]) == (200, "hit", "0")
    assert (beyond.status, beyond.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert operating.row_of(product, beyond)["status"] == "refused"


def test_a_call_that_fails_over_counts_at_both(
    product: Product, upstream: Upstream, pair: tuple[str, dict[str, str]]
) -> None:
    model, ids = pair
    first, second = ids
    limit(product, ids[first], requestsPerMinute=3)
    limit(product, ids[second], requestsPerMinute=1)
    upstream.on(model, Fault(status=500))

    answers = [product.chat(model=model) for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-provider"] for answer in answers[:3]] == [second, first, first]


def test_calls_at_once_overflow_to_the_next_and_then_wait(
    product: Product, upstream: Upstream, pair: tuple[str, dict[str, str]]
) -> None:
    model, ids = pair
    first, second = ids
    for each in ids.values():
        limit(product, each, maxConcurrent=1)
    upstream.always(model, Fault(delay_s=0.4))
    began = time.monotonic()

    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: product.chat(model=model), range(4)))

    assert [answer.status for answer in answers] == [200] * 4
    assert {answer.headers["x-provider"] for answer in answers} == {first, second}
    assert time.monotonic() - began >= 0.8
    arrivals = sorted(line.arrived_at for line in upstream.dispatches(model))
    assert arrivals[2] - arrivals[0] >= 0.35


def test_whoever_finds_no_place_in_time_is_told_so(
    product: Product, upstream: Upstream, pair: tuple[str, dict[str, str]]
) -> None:
    model, ids = pair
    for each in ids.values():
        limit(product, each, maxConcurrent=1)
    upstream.always(model, Fault(delay_s=3.0))

    def call(timeout_ms: int) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"X-Timeout-Ms": str(timeout_ms)}
        return product.request("POST", "/v1/chat/completions", body=body, key=product.key, headers=headers)

    with ThreadPoolExecutor(3) as callers:
        busy = [callers.submit(call, 20_000) for _ in range(2)]
        wait_until(lambda: len(upstream.dispatches(model)) == 2)
        late = call(500)
        assert [each.result().status for each in busy] == [200, 200]

    assert late.status == 503
    assert late.json()["error"]["code"] == "QUEUE_FULL"
    assert int(late.headers["retry-after"]) >= 1
    assert len(upstream.dispatches(model)) == 2
    assert product.chat(model=model).status == 200, "its slots are free again"


def test_the_urgent_are_served_first(product: Product, upstream: Upstream, pair: tuple[str, dict[str, str]]) -> None:
    model, ids = pair
    first, second = ids
    limit(product, ids[first], maxConcurrent=1)
    manage(product, "PATCH", f"/api/ai-providers/deployments/{ids[second]}", {"isActive": False})
    product.until_in_force()
    upstream.on(model, Fault(delay_s=4))

    def call(priority: str) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": priority}]}
        headers = {"X-Priority": priority}
        return product.request("POST", "/v1/chat/completions", body=body, key=product.key, headers=headers)

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(call, "normal")]
        wait_until(lambda: upstream.dispatches(model))
        calls += [callers.submit(call, priority) for priority in ("low", "normal", "high")]
        assert [each.result().status for each in calls] == [200] * 4

    said = [line.body["messages"][0]["content"] for line in upstream.dispatches(model)]
    assert said == ["normal", "high", "normal", "low"]
    assert call("urgent").status == 400
