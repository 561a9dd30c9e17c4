"""Specification C's endpoints and examples, over gRPC and HTTP, with its metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.doors.grpc import SERVICE
from gateway.generated import ai_proxy_pb2 as pb
from tests.servers import PATIENCE_S
from tests.specs.conftest import Installation

# `CompletionRequest{Prompt: "Hello", MaxTokens: 100}` at each provider, by the model that its client is made for.
EXAMPLES = [("anthropic", "claude-3-5-sonnet-20241022"), ("openai", "gpt-4"), ("ollama", "llama2")]
every_example = pytest.mark.parametrize(("provider", "model"), EXAMPLES)


@pytest.fixture
def channel(installation: Installation) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{installation.product.env['GRPC_PORT']}") as opened:
        yield opened


def _metadata(installation: Installation) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {installation.product.key}"),)


@every_example
def test_complete(installation: Installation, channel: grpc.Channel, provider: str, model: str) -> None:
    method = channel.unary_unary(
        f"/{SERVICE}/Complete", pb.CompleteRequest.SerializeToString, pb.CompleteResponse.FromString
    )
    request = pb.CompleteRequest(model_id=model, prompt="Hello", max_tokens=100)
    answer = method(request, metadata=_metadata(installation), timeout=PATIENCE_S)

    assert answer.content
    assert answer.provider == installation.provider(provider)
    assert answer.cost_usd


def test_stream_complete(installation: Installation, channel: grpc.Channel) -> None:
    method = channel.unary_stream(
        f"/{SERVICE}/StreamComplete", pb.CompleteRequest.SerializeToString, pb.StreamCompleteResponse.FromString
    )
    request = pb.CompleteRequest(model_id="gpt-4", prompt="Hello", max_tokens=100)
    *deltas, last = list(method(request, metadata=_metadata(installation), timeout=PATIENCE_S))

    assert len(deltas) > 1
    assert last.WhichOneof("event") == "final"


def test_health_check(channel: grpc.Channel) -> None:
    method = channel.unary_unary(
        f"/{SERVICE}/HealthCheck", pb.HealthCheckRequest.SerializeToString, pb.HealthCheckResponse.FromString
    )
    assert method(pb.HealthCheckRequest(), timeout=PATIENCE_S).status == "ok"


def test_get_provider_status(installation: Installation, channel: grpc.Channel) -> None:
    method: Any = channel.unary_unary(
        f"/{SERVICE}/GetProviderStatus",
        pb.GetProviderStatusRequest.SerializeToString,
        pb.GetProviderStatusResponse.FromString,
    )
    told = method(pb.GetProviderStatusRequest(), metadata=_metadata(installation), timeout=PATIENCE_S).providers
    assert {each.name: each.circuit_state for each in told}[installation.provider("openai")] == "closed"


@every_example
def test_completion_over_http(installation: Installation, provider: str, model: str) -> None:
    told = installation.post("/v1/complete", {"model_id": model, "prompt": "Hello", "max_tokens": 100}).json()

    assert told["content"]
    assert told["provider"] == installation.provider(provider)
    assert isinstance(told["cost_usd"], str)


def test_health_over_http(installation: Installation) -> None:
    assert installation.product.request("GET", "/v1/health").json()["status"] == "ok"


def test_provider_status_over_http(installation: Installation) -> None:
    told = {each["name"]: each for each in installation.get("/v1/providers/status").json()["providers"]}
    assert told[installation.provider("openai")]["circuit_state"] == "closed"


def test_only_deterministic_requests_are_cached(installation: Installation) -> None:
    body = {"model_id": "gpt-4", "prompt": "Hello, twice", "max_tokens": 100}
    free = [installation.post("/v1/complete", body).json()["cached"] for _ in range(2)]
    fixed = [installation.post("/v1/complete", body | {"temperature": 0}).json()["cached"] for _ in range(2)]

    assert (free, fixed) == ([False, False], [False, True])


def test_metrics_have_its_names(installation: Installation) -> None:
    installation.post("/v1/complete", {"model_id": "gpt-4", "prompt": "Hello", "max_tokens": 100})
    with urllib.request.urlopen(f"http://127.0.0.1:{installation.product.env['METRICS_PORT']}/metrics") as answer:
        text = answer.read().decode()

    for name in (
        "requests_total",
        "request_duration_seconds",
        "tokens_used_total",
        "cost_total",
        "cache_hits_total",
        "circuit_breaker_state",
    ):
        assert f"# TYPE ai_proxy_{name.removesuffix('_total')}" in text
        assert f"\nai_proxy_{name}" in text
