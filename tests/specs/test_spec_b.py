"""Specification B's examples, as printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.specs.conftest import Installation

COMPLETION = {
    "messages": [{"role": "user", "content": "Hello"}],
    "model": "gpt-3.5-turbo",
    "temperature": 0.7,
    "max_tokens": 4000,
    "provider": "openai",
}
CURL = {"messages": [{"role": "user", "content": "Hello, world!"}], "model": "gpt-3.5-turbo"}
ANSWERED = {"content", "model", "provider", "usage", "cost_estimate", "response_time_ms", "timestamp"}


@pytest.mark.parametrize("body", [COMPLETION, CURL], ids=["endpoint", "curl"])
def test_ai_completion(installation: Installation, body: dict[str, Any]) -> None:
    _check(installation, installation.post("/api/v1/completion", body).json())


def test_provider_specific_completion(installation: Installation) -> None:
    _check(installation, installation.post("/api/v1/providers/openai/completion", COMPLETION).json())


def test_a_request_of_the_models_whole_form_with_its_defaults(installation: Installation) -> None:
    """`CompletionRequest`, each field as it is by default."""
    body = COMPLETION | {"provider": None, "stream": False}
    _check(installation, installation.post("/api/v1/completion", body).json())


def test_a_streamed_completion(installation: Installation) -> None:
    body = COMPLETION | {"stream": True, "messages": [{"role": "user", "content": "Hello, stream!"}]}
    text = installation.post("/api/v1/completion", body).text

    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert "".join(event.get("content", "") for event in events)
    assert set(events[-1]) == ANSWERED - {"content"}


def test_identical_requests_are_answered_from_the_cache(installation: Installation) -> None:
    body = CURL | {"messages": [{"role": "user", "content": "Hello, cache!"}]}
    first, again = (installation.post("/api/v1/completion", body) for _ in range(2))

    assert [answer.headers["x-cache"] for answer in (first, again)] == ["miss", "hit"]
    assert again.json()["content"] == first.json()["content"]


def test_list_available_models(installation: Installation) -> None:
    listed = installation.get("/api/v1/models").json()
    assert listed["count"] == len(listed["models"]) > 0


def test_list_providers(installation: Installation) -> None:
    names = {each["name"] for each in installation.get("/api/v1/providers").json()["providers"]}
    assert installation.provider("openai") in names


def test_provider_health_check(installation: Installation) -> None:
    name = installation.provider("openai")
    assert installation.get(f"/api/v1/providers/{name}/health").json()["name"] == name


def test_service_metrics(installation: Installation) -> None:
    told = installation.get("/api/v1/metrics").json()
    assert {"requests", "cache", "providers", "failovers", "latency"} <= set(told)


def test_cost_analytics(installation: Installation) -> None:
    told = installation.get("/api/v1/analytics/costs").json()
    assert set(told) == {"total_usd", "by_provider", "by_model", "by_day", "cache_savings_usd", "suggestions"}


@pytest.mark.parametrize("path", ["/health", "/status"])
def test_health_is_told_in_the_form_of_its_model(installation: Installation, path: str) -> None:
    """`HealthCheckResponse`."""
    assert set(installation.get(path).json()) == {"status", "service", "timestamp", "providers", "metrics"}


def test_errors_have_the_standard_form(installation: Installation) -> None:
    product = installation.product
    answer = product.request("POST", "/api/v1/completion", body={"messages": []}, key=product.key)

    told = answer.json()
    assert set(told) == {"error", "error_code", "timestamp", "request_id", "context"}
    assert told["context"]["operation"] == "ai_completion"
    assert told["request_id"] == answer.headers["x-request-id"]


def _check(installation: Installation, told: dict[str, Any]) -> None:
    assert set(told) == ANSWERED
    assert told["provider"] == installation.provider("openai")
    assert told["content"]
    assert told["usage"]["completion_tokens"] > 0
    assert told["cost_estimate"] is not None
