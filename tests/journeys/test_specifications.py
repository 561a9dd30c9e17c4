"""The completion doors of specifications A, B, C and E, with the bodies that the specifications show."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.journeys import operating
from tests.product import Answer, Product
from tests.upstream import Upstream

MESSAGES = {"messages": [{"role": "user", "content": "Hi"}]}
WORDS = "word0 word1 word2 word3 word4 word5 word6 word7"


def _post(product: Product, path: str, body: Any, **options: Any) -> Answer:
    return product.request("POST", path, body=body, key=product.key, **options)


def _cost(upstream: Upstream) -> Decimal:
    (line,) = upstream.bill
    return operating.usd(operating.cost_pico(line.input_tokens, line.output_tokens))


def _usage(upstream: Upstream) -> dict[str, int]:
    (line,) = upstream.bill
    total = line.input_tokens + line.output_tokens
    return {"prompt_tokens": line.input_tokens, "completion_tokens": line.output_tokens, "total_tokens": total}


def test_a_generates_text(house: Product, upstream: Upstream) -> None:
    body = {
        "prompt": "Explain machine learning",
        "provider": "upstream",
        "model": "up-chat",
        "max_tokens": 500,
        "temperature": 0.7,
        "use_cache": False,
    }
    answer = _post(house, "/generate", body)

    told = answer.json()
    assert answer.status == 200, answer.text
    assert set(told) == {"text", "provider", "model", "usage", "cached", "cost_usd"}
    assert (told["text"], told["provider"], told["usage"], told["cached"]) == (
        WORDS,
        "upstream",
        _usage(upstream),
        False,
    )
    assert Decimal(str(told["cost_usd"])) == _cost(upstream)
    assert operating.row_of(house, answer)["surface"] == "spec_a.generate"


@pytest.mark.parametrize("path", ["/api/v1/completion", "/api/v1/providers/upstream/completion"])
def test_b_completes(house: Product, upstream: Upstream, path: str) -> None:
    body = {
        "messages": [{"role": "user", "content": f"Hello from {path}"}],
        "model": "up-chat",
        "temperature": 0.7,
        "max_tokens": 4000,
    }
    answer = _post(house, path, body)

    told = answer.json()
    assert answer.status == 200, answer.text
    assert set(told) == {
        *("content", "model", "provider", "usage", "cost_estimate", "response_time_ms", "timestamp"),
    }
    assert (told["content"], told["provider"], told["usage"]) == (WORDS, "upstream", _usage(upstream))
    assert Decimal(str(told["cost_estimate"])) == _cost(upstream)


def test_b_refuses_in_its_own_form_and_takes_the_paths_provider_alone(house: Product) -> None:
    hello = {"messages": [{"role": "user", "content": "Hello"}], "model": "up-chat"}

    unknown = _post(house, "/api/v1/providers/nobody/completion", hello)
    path = "/api/v1/providers/upstream/completion"
    other = _post(house, path, hello | {"provider": "demo"})
    another = _post(house, path, hello, headers={"X-Provider": "demo"})
    same = _post(house, path, hello | {"provider": "upstream"}, headers={"X-Provider": "upstream"})

    assert set(unknown.json()) == {"error", "error_code", "timestamp", "request_id", "context"}
    assert (unknown.status, unknown.json()["error_code"]) == (404, "MODEL_NOT_FOUND")
    assert (other.status, other.json()["context"]["field"]) == (400, "provider")
    assert (another.status, another.json()["context"]["field"]) == (400, "X-Provider")
    assert same.status == 200


def test_c_completes_over_http_with_an_exact_cost(house: Product, upstream: Upstream) -> None:
    body = {
        "model_id": "up-chat",
        "prompt": "Hello",
        "system": "Be brief.",
        "temperature": 0.2,
        "max_tokens": 100,
        "top_p": 0.9,
        "stop": ["END"],
        "user_id": "dave",
        "metadata": {"team": "search"},
        "use_cache": False,
    }
    answer = _post(house, "/v1/complete", body)

    told = answer.json()
    assert answer.status == 200, answer.text
    assert set(told) == {
        *("id", "content", "model", "provider", "usage", "cost_usd", "cached", "finish_reason", "latency_ms"),
    }
    assert (told["content"], told["usage"], told["finish_reason"]) == (WORDS, _usage(upstream), "stop")
    assert Decimal(told["cost_usd"]) == _cost(upstream)
    assert operating.row_of(house, answer)["end_user"] == "dave"


def test_c_streams(house: Product, upstream: Upstream) -> None:
    answer = _post(house, "/v1/complete", {"model_id": "up-chat", "prompt": "Hello", "stream": True})

    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data")]
    assert "".join(event.get("delta", "") for event in events).strip() == WORDS
    assert Decimal(events[-1]["final"]["cost_usd"]) == _cost(upstream)
    assert events[-1]["final"]["id"] == answer.headers["x-request-id"]


def test_e_generates(house: Product, upstream: Upstream) -> None:
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Explain machine learning."},
    ]
    answer = _post(
        house, "/v1/llm/generate", {"model": "up-chat", "messages": messages, "temperature": 0.7, "max_tokens": 1000}
    )

    told = answer.json()
    assert answer.status == 200, answer.text
    assert set(told) == {"response", "model", "provider", "usage", "cost"}
    assert (told["response"], told["usage"]) == (WORDS, _usage(upstream))
    assert Decimal(str(told["cost"])) == _cost(upstream)


def test_e_generates_embeddings(house: Product) -> None:
    texts = ["This is the first text.", "This is the second text."]
    answer = _post(house, "/v1/llm/generate-embeddings", {"model": "demo-embedding", "texts": texts})

    told = answer.json()
    assert answer.status == 200, answer.text
    assert [len(vector) for vector in told["embeddings"]] == [256, 256]
    assert told["usage"] == {"prompt_tokens": 12, "total_tokens": 12}
    assert Decimal(str(told["cost"])) == Decimal("0.000012")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate", {"prompt": 7}, "prompt"),
        ("/generate", {"prompt": "Hi", "colour": "green"}, "colour"),
        ("/api/v1/completion", {"messages": []}, "messages"),
        ("/api/v1/completion", {"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ("/v1/complete", {"model_id": "up-chat"}, "prompt"),
        ("/v1/llm/generate", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 0}, "max_tokens"),
        ("/v1/llm/generate-embeddings", {"texts": []}, "texts"),
        ("/v1/vector/collections", {"collection_name": "a b", "vector_size": 3}, "collection_name"),
    ],
)
def test_what_is_wrong_is_refused_by_name_before_anything_is_sent(
    house: Product, upstream: Upstream, path: str, body: Any, field: str
) -> None:
    answer = _post(house, path, body)

    assert (answer.status, answer.json()["error_code"]) == (400, "INVALID_REQUEST")
    assert answer.json()["context"]["field"] == field
    assert f"'{field}'" in answer.json()["error"]
    assert not upstream.bill


@pytest.mark.parametrize(
    ("path", "body", "optional"),
    [
        ("/generate", {"prompt": "Hi"}, ["provider", "model", "max_tokens", "temperature", "use_cache"]),
        ("/api/v1/completion", MESSAGES, ["model", "temperature", "max_tokens", "provider", "stream"]),
        (
            "/v1/complete",
            MESSAGES,
            ["model_id", "prompt", "system", "top_p", "stop", "user_id", "use_cache", "metadata", "stream"],
        ),
        ("/api/ai-providers/complete", {"prompt": "Hi"}, ["messages", "systemPrompt", "stream", "providerId", "model"]),
        ("/v1/llm/generate", MESSAGES, ["model", "temperature", "max_tokens", "user_id"]),
        ("/v1/llm/generate-embeddings", {"texts": ["Hi"], "model": "demo-embedding"}, ["user_id"]),
    ],
)
def test_null_is_as_if_left_out(house: Product, path: str, body: dict[str, Any], optional: list[str]) -> None:
    """Clients with optional fields write them out."""
    answer = _post(house, path, body | dict.fromkeys(optional))

    assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "operation"),
    [
        ("POST", "/cache/clear", 403, "clear_cache"),
        ("GET", "/api/v1/providers/nobody/health", 404, "provider_health"),
        ("GET", "/v1/llm/usage?start_date=soon", 400, "usage"),
        ("PUT", "/v1/vector/collections", 404, "unknown"),
        ("GET", "/v1/llm/nothing", 404, "unknown"),
    ],
)
def test_an_error_says_what_was_tried(house: Product, method: str, path: str, status: int, operation: str) -> None:
    answer = house.request(method, path, key=house.key)

    assert answer.status == status
    assert answer.json()["context"]["operation"] == operation


def test_openais_older_completions_answer_a_prompt(house: Product, upstream: Upstream) -> None:
    answer = _post(house, "/v1/completions", {"model": "up-chat", "prompt": "Hello", "max_tokens": 50})

    told = answer.json()
    assert answer.status == 200, answer.text
    assert (told["object"], told["choices"][0]["text"]) == ("text_completion", WORDS)
    assert told["usage"]["total_tokens"] == _usage(upstream)["total_tokens"]


def test_openais_older_completions_stream(house: Product, upstream: Upstream) -> None:
    answer = _post(house, "/v1/completions", {"model": "up-chat", "prompt": ["Hello"], "stream": True})

    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data")]
    chunks = [json.loads(each) for each in data[:-1]]
    assert data[-1] == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks).strip() == WORDS
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert len(upstream.bill) == 1


def test_openais_older_completions_refuse_what_no_chat_can_say(house: Product) -> None:
    several = _post(house, "/v1/completions", {"model": "up-chat", "prompt": ["one", "two"]})
    suffix = _post(house, "/v1/completions", {"model": "up-chat", "prompt": "one", "suffix": "end"})

    assert (several.status, several.json()["error"]["param"]) == (400, "prompt")
    assert (suffix.status, suffix.json()["error"]["param"]) == (400, "suffix")


def _get(product: Product, path: str, *, key: str | None = None) -> Answer:
    return product.request("GET", path, key=key or product.key)


def test_a_lists_providers_and_clears_its_cache(house: Product) -> None:
    body = {"prompt": "Something to keep", "model": "up-chat"}
    first, again = _post(house, "/generate", body), _post(house, "/generate", body)
    health = _get(house, "/cache/health").json()
    refused = _post(house, "/cache/clear", None)
    cleared = house.request("POST", "/cache/clear", key=house.manage_key)

    providers = {each["name"]: each for each in _get(house, "/providers").json()["providers"]}
    assert (first.json()["cached"], again.json()["cached"]) == (False, True)
    assert (health["status"], health["store"]) == ("ok", "memory")
    assert (refused.status, refused.json()["error_code"]) == (403, "FORBIDDEN")
    assert cleared.json()["cleared"] >= 1
    assert "up-chat" in providers["upstream"]["models"]
    assert _post(house, "/generate", body).json()["cached"] is False


def test_b_lists_models_with_prices(house: Product) -> None:
    listed = _get(house, "/api/v1/models").json()

    model = next(each for each in listed["models"] if each["name"] == "upstream/up-chat")
    assert listed["count"] == len(listed["models"])
    assert (model["provider"], model["type"], model["cost_per_1k_input"]) == ("upstream", "chat", 0.0025)


def test_b_tells_how_providers_do(house: Product) -> None:
    house.chat(model="up-chat")
    listed = _get(house, "/api/v1/providers").json()
    health = _get(house, "/api/v1/providers/upstream/health")
    unknown = _get(house, "/api/v1/providers/nobody/health")
    nothing = _get(house, "/api/v1/providers/upstream")

    provider = next(each for each in listed["providers"] if each["name"] == "upstream")
    assert (provider["circuit_state"], provider["kind"]) == ("closed", "custom")
    assert health.json()["name"] == "upstream"
    assert unknown.status == 404
    assert (nothing.status, nothing.json()["error"]) == (404, "There is nothing at GET /api/v1/providers/upstream.")


def test_b_tells_metrics_and_costs_that_agree_with_the_books(house: Product) -> None:
    house.chat(model="up-chat", key=house.keys["charlie"])
    operating.settled(house)
    metrics = _get(house, "/api/v1/metrics", key=house.keys["charlie"]).json()
    costs = _get(house, "/api/v1/analytics/costs", key=house.keys["charlie"]).json()

    found = house.sql(
        "SELECT count(*) AS calls, sum(cost_pico) AS cost FROM usage_usagerecord WHERE client = 'charlie'"
    )[0]
    assert set(metrics) >= {"requests", "cache", "providers", "failovers", "latency"}
    assert metrics["requests"]["total"] == found["calls"]
    assert set(costs) == {"total_usd", "by_provider", "by_model", "by_day", "cache_savings_usd", "suggestions"}
    assert Decimal(str(costs["total_usd"])) == operating.usd(found["cost"])


def test_b_shows_its_status_to_those_who_bring_a_key(house: Product) -> None:
    health, status = _get(house, "/health").json(), _get(house, "/status").json()

    for told in (health, status):
        assert set(told) == {"status", "service", "timestamp", "providers", "metrics"}
    assert house.request("GET", "/status").status == 401


def test_c_tells_the_circuits(house: Product) -> None:
    providers = {each["name"]: each for each in _get(house, "/v1/providers/status").json()["providers"]}

    assert set(providers["upstream"]) == {
        *("name", "kind", "circuit_state", "healthy", "success_rate", "avg_latency_ms"),
    }


def test_e_tells_the_usage_of_one_user_of_the_callers_own_client(house: Product) -> None:
    for key in (house.keys["alice"], house.keys["bob"]):
        body = {"messages": [{"role": "user", "content": "Hi"}], "model": "up-chat", "user_id": "user_123"}
        assert house.request("POST", "/v1/llm/generate", body=body, key=key).status == 200

    operating.settled(house)
    told = _get(house, "/v1/llm/usage?user_id=user_123", key=house.keys["alice"]).json()

    assert (told["total_requests"], told["requests_by_model"]) == (1, {"up-chat": 1})
    assert [day["requests"] for day in told["daily_usage"]] == [1]
    assert told["total_cost"] == told["cost_by_model"]["up-chat"] > 0


def test_e_tells_the_usage_of_embeddings_alone(house: Product) -> None:
    key = house.keys["charlie"]
    before = _get(house, "/v1/llm/embedding-usage", key=key).json()["total_requests"]
    house.request("POST", "/v1/llm/generate-embeddings", body={"texts": ["one"], "model": "demo-embedding"}, key=key)
    house.chat(model="up-chat", key=key)

    operating.settled(house)
    assert _get(house, "/v1/llm/embedding-usage", key=key).json()["total_requests"] == before + 1


@pytest.mark.parametrize("query", ["start_date=soon", "start_date=2026-02-01&end_date=2026-01-01"])
def test_a_range_that_is_none_is_refused(house: Product, query: str) -> None:
    answer = _get(house, f"/v1/llm/usage?{query}")

    assert (answer.status, answer.json()["context"]["field"]) == (400, "start_date")
