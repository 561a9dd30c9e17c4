"""Specification E's examples, as printed. Of those that are Python functions of a service, the arguments are bodies."""

from __future__ import annotations

import urllib.request
from decimal import Decimal
from typing import Any

import pytest

from tests.journeys import operating
from tests.specs.conftest import Installation

EXPLAIN = {"role": "user", "content": "Explain machine learning."}
WITH_OPENAI = {
    "model": "gpt-4",
    "messages": [{"role": "system", "content": "You are a helpful assistant."}, EXPLAIN],
    "temperature": 0.7,
    "max_tokens": 1000,
}
WITH_ANTHROPIC = {"model": "claude-3-sonnet", "messages": [EXPLAIN], "temperature": 0.7, "max_tokens": 1000}
TESTED = {"messages": [{"role": "user", "content": "Hello"}], "model": "gpt-3.5-turbo"}
TEXTS = {"model": "text-embedding-ada-002", "texts": ["This is the first text.", "This is the second text."]}
JANUARY = "user_id=user_123&start_date=2024-01-01&end_date=2024-01-31"


@pytest.mark.parametrize(
    ("body", "provider"),
    [(WITH_OPENAI, "openai"), (WITH_ANTHROPIC, "anthropic"), (TESTED, "openai")],
    ids=["openai", "anthropic", "test"],
)
def test_generate_text(installation: Installation, body: dict[str, Any], provider: str) -> None:
    told = installation.post("/v1/llm/generate", body).json()

    assert set(told) == {"response", "model", "provider", "usage", "cost"}
    assert told["response"]
    assert told["provider"] == installation.provider(provider)


def test_generate_embeddings(installation: Installation) -> None:
    told = installation.post("/v1/llm/generate-embeddings", TEXTS).json()

    assert len(told["embeddings"]) == 2
    assert told["usage"]["prompt_tokens"] == told["usage"]["total_tokens"] > 0
    assert told["cost"] > 0


@pytest.mark.parametrize("path", ["/v1/llm/usage", "/v1/llm/embedding-usage"])
@pytest.mark.parametrize("query", ["", f"?{JANUARY}"])
def test_usage_statistics(installation: Installation, path: str, query: str) -> None:
    told = installation.get(f"{path}{query}").json()
    assert {
        *("total_requests", "total_tokens", "total_cost", "requests_by_model", "cost_by_model", "daily_usage"),
    } <= set(told)


def test_usage_counts_what_was_asked(installation: Installation) -> None:
    before = installation.get("/v1/llm/usage").json()
    installation.post("/v1/llm/generate", TESTED)
    operating.settled(installation.product)
    after = installation.get("/v1/llm/usage").json()

    assert after["total_requests"] == before["total_requests"] + 1
    assert sum(after["requests_by_model"].values()) == after["total_requests"]
    assert set(after["daily_usage"][-1]) == {"date", "requests", "cost"}


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/v1beta/models/{}:embedContent", "/v1beta/models/{}:batchEmbedContents", "/api/embed"]
)
def test_embedding_usage_counts_those_of_every_door(installation: Installation, path: str) -> None:
    model = str(TEXTS["model"])
    content = {"content": {"parts": [{"text": "One text."}]}}
    bodies: dict[str, Any] = {"embedContent": content, "batchEmbedContents": {"requests": [content]}}
    body = bodies.get(path.rpartition(":")[2], {"model": model, "input": "One text."})
    before = installation.get("/v1/llm/embedding-usage").json()["total_requests"]
    installation.post(path.format(model), body)
    operating.settled(installation.product)
    assert installation.get("/v1/llm/embedding-usage").json()["total_requests"] == before + 1


def test_the_cost_of_a_request_is_priced_per_thousand_tokens(equipped: Installation) -> None:
    """$0.03 per 1K of input and $0.06 per 1K of output, as its rates say; the example's sum leaves out the thousand."""
    told = equipped.post("/v1/llm/generate", WITH_OPENAI).json()

    usage = told["usage"]
    expected = (usage["prompt_tokens"] * Decimal("0.03") + usage["completion_tokens"] * Decimal("0.06")) / 1000
    assert Decimal(str(told["cost"])) == expected


@pytest.mark.parametrize("path", ["/v1/llm/models", "/api/v1/models"])
def test_available_models(equipped: Installation, path: str) -> None:
    models = {each["id"]: each for each in equipped.get(path).json()["models"]}

    assert set(models["gpt-4"]) >= {
        *("id", "name", "provider", "type", "max_tokens", "cost_per_1k_input", "cost_per_1k_output", "capabilities"),
    }
    assert (models["gpt-4"]["provider"], models["gpt-4"]["type"]) == ("openai", "chat")
    assert (models["gpt-4"]["cost_per_1k_input"], models["gpt-4"]["cost_per_1k_output"]) == (0.03, 0.06)


@pytest.mark.parametrize("distance", ["cosine", "Cosine"])
def test_vector_operations(installation: Installation, distance: str) -> None:
    """Its three examples in their order, and the rest of its endpoints. Qdrant's `Distance.COSINE` is "Cosine"."""
    name = f"documents-{distance}"
    point = {
        "id": "point_1",
        "vector": [0.1, 0.2, *[0.0] * 1534],
        "payload": {"text": "sample text", "metadata": "additional info"},
    }
    search = {"collection_name": name, "query_vector": point["vector"], "limit": 10, "score_threshold": 0.7}

    installation.post("/v1/vector/collections", {"collection_name": name, "vector_size": 1536, "distance": distance})
    installation.post("/v1/vector/points", {"collection_name": name, "points": [point]})
    (found,) = installation.post("/v1/vector/search", search).json()["results"]
    listed = installation.get("/v1/vector/collections").json()["collections"]
    shown = installation.get(f"/v1/vector/collections/{name}").json()
    installation.delete("/v1/vector/points", {"collection_name": name, "ids": ["point_1"]})

    assert (found["id"], found["payload"]) == ("point_1", point["payload"])
    assert found["score"] == pytest.approx(1)
    assert name in {each["collection_name"] for each in listed}
    assert shown["vector_size"] == 1536
    assert installation.post("/v1/vector/search", search).json()["results"] == []
    installation.delete(f"/v1/vector/collections/{name}")


@pytest.mark.parametrize("path", ["/health", "/ping"])
def test_health_checks(installation: Installation, path: str) -> None:
    assert installation.product.request("GET", path).status == 200


def test_metrics(installation: Installation) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{installation.product.env['METRICS_PORT']}/metrics") as answer:
        assert answer.status == 200
