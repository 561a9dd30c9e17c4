"""Specification D's examples, as printed, with all fourteen of its endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.specs.conftest import Installation

URL = "/api/ai-providers"
PROVIDER: dict[str, Any] = {
    "name": "OpenAI GPT-4",
    "type": "OPENAI",
    "apiKey": "sk-...",
    "model": "gpt-4",
    "maxTokens": 2000,
    "temperature": 0.7,
    "pricing": {"inputTokenCost": 0.03, "outputTokenCost": 0.06, "currency": "USD"},
    "priority": 10,
    "isActive": True,
}
# Each optional field of `Provider Configuration`.
EVERY_FIELD = PROVIDER | {
    "name": "Custom",
    "type": "CUSTOM",
    "endpoint": "https://llm.example.com/v1",
    "topP": 0.9,
    "topK": 40,
    "frequencyPenalty": -2,
    "presencePenalty": 2,
    "stopSequences": ["END"],
    "timeout": 30_000,
    "retryAttempts": 3,
    "retryDelay": 1000,
    "rateLimit": {"requestsPerMinute": 60, "tokensPerMinute": 90_000},
}
COMPLETION = {
    "prompt": "Explain microservices architecture",
    "systemPrompt": "You are a helpful software architect",
    "temperature": 0.7,
    "maxTokens": 500,
    "stream": False,
    "providerId": "optional-specific-provider-id",
}
YEAR = "startDate=2024-01-01&endDate=2024-12-31"
METRICS = (
    *("totalRequests", "successfulRequests", "failedRequests", "averageLatency", "totalTokensUsed"),
    *("totalCost", "errorRate", "uptime"),
)


@pytest.fixture(scope="module")
def office(new_product: NewProduct) -> Iterator[Product]:
    """One to register providers at that nobody calls."""
    with new_product() as running:
        yield running


@pytest.fixture(scope="module")
def registered(office: Product) -> dict[str, Any]:
    made: dict[str, Any] = operating.manage(office, "POST", URL, PROVIDER)
    return made


def test_register_a_provider(registered: dict[str, Any]) -> None:
    sent = {name: value for name, value in PROVIDER.items() if name != "apiKey"}
    assert {name: registered[name] for name in sent} == sent
    assert "apiKey" not in registered


def test_every_field_of_the_configuration_is_kept(office: Product) -> None:
    made = operating.manage(office, "POST", URL, EVERY_FIELD)

    for name in ("endpoint", "topP", "topK", "stopSequences", "timeout", "retryAttempts", "retryDelay"):
        assert made[name] == EVERY_FIELD[name]
    assert {name: made["rateLimit"][name] for name in EVERY_FIELD["rateLimit"]} == EVERY_FIELD["rateLimit"]
    assert (made["failureThreshold"], made["successThreshold"], made["monitoringPeriod"]) == (5, 2, 120_000)


@pytest.mark.parametrize("kind", ["OPENAI", "ANTHROPIC", "GOOGLE"])
def test_each_type_registers(office: Product, kind: str) -> None:
    assert operating.manage(office, "POST", URL, PROVIDER | {"name": f"My {kind}", "type": kind})["type"] == kind


def test_list_and_show(office: Product, registered: dict[str, Any]) -> None:
    listed = operating.manage(office, "GET", URL)["results"]
    shown = operating.manage(office, "GET", f"{URL}/{registered['id']}")

    assert shown in listed
    assert shown["name"] == "OpenAI GPT-4"


def test_update(office: Product, registered: dict[str, Any]) -> None:
    """The priorities of its best practices."""
    changed = operating.manage(office, "PUT", f"{URL}/{registered['id']}", PROVIDER | {"priority": 5})
    assert changed["priority"] == 5


def test_delete_deactivates(office: Product) -> None:
    made = operating.manage(office, "POST", URL, PROVIDER | {"name": "GPT-3.5 Turbo", "model": "gpt-3.5-turbo"})
    operating.manage(office, "DELETE", f"{URL}/{made['id']}")
    assert operating.manage(office, "GET", f"{URL}/{made['id']}")["isActive"] is False


@pytest.mark.parametrize(
    "body",
    [
        COMPLETION,
        {
            "prompt": "Generate a task description",
            "systemPrompt": "You are a helpful assistant",
            "temperature": 0.7,
            "maxTokens": 500,
        },
    ],
    ids=["endpoint", "programmatic"],
)
def test_complete(demo: Installation, body: dict[str, Any]) -> None:
    """On a demo, which answers for every name; the id is a placeholder."""
    told = demo.post(f"{URL}/complete", body).json()

    assert set(told) == {
        *("id", "content", "model", "provider", "usage", "cost", "cached", "latency", "finishReason"),
    }
    assert told["content"]


def test_complete_at_a_provider(equipped: Installation) -> None:
    (found,) = [
        each for each in operating.manage(equipped.product, "GET", URL)["results"] if each["name"] == "anthropic"
    ]
    told = equipped.post(f"{URL}/complete", COMPLETION | {"providerId": found["id"]}).json()
    assert told["provider"] == "anthropic"


def test_complete_as_a_stream(demo: Installation) -> None:
    text = demo.post(f"{URL}/complete", {"prompt": "Generate a long document", "stream": True}).text

    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert "".join(event.get("content", "") for event in events)
    assert {"usage", "cost", "finishReason"} <= set(events[-1])


def test_metrics(office: Product, registered: dict[str, Any]) -> None:
    of_one = operating.manage(office, "GET", f"{URL}/metrics/{registered['id']}")
    of_all = operating.manage(office, "GET", f"{URL}/metrics")

    assert set(METRICS) <= set(of_one)
    assert of_all


def test_health_check(office: Product) -> None:
    assert operating.manage(office, "GET", f"{URL}/health/check")


@pytest.mark.parametrize("name", ["usage", "cost", "performance", "requests"])
def test_statistics(office: Product, registered: dict[str, Any], name: str) -> None:
    for query in ("", f"?{YEAR}", f"?{YEAR}&providerId={registered['id']}"):
        told = operating.manage(office, "GET", f"{URL}/statistics/{name}{query}")
        assert {"from", "to", "timeZone", "totals", "rows"} <= set(told)


def test_alerts(office: Product) -> None:
    answer = office.request("GET", f"{URL}/alerts", key=office.manage_key)
    assert answer.status == 200, answer.text
