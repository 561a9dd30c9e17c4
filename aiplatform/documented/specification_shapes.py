"""What the doors of specifications A to E answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.status import ProviderStatus

Count = Annotated[int, Meta(ge=0)]


class TokenUsage(msgspec.Struct):
    prompt_tokens: Count
    total_tokens: Count


class CompletionUsage(TokenUsage):
    completion_tokens: Count


class GeneratedText(msgspec.Struct):
    """`cost_usd` is null where the cost is unknown."""

    text: str
    provider: str
    model: str
    usage: CompletionUsage
    cached: bool
    cost_usd: float | None


class CompletedB(msgspec.Struct):
    content: str
    model: str
    provider: str
    usage: CompletionUsage
    cost_estimate: float | None
    response_time_ms: float
    timestamp: float


class CompletedC(msgspec.Struct):
    """`cost_usd` is an exact decimal, "" where the cost is unknown."""

    id: str
    content: str
    model: str
    provider: str
    usage: CompletionUsage
    cost_usd: str
    cached: bool
    finish_reason: str
    latency_ms: float


class CompletedUsageD(msgspec.Struct, rename="camel"):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class CompletedD(msgspec.Struct, rename="camel"):
    id: str
    content: str
    model: str
    provider: str
    usage: CompletedUsageD
    cost: float | None
    cached: bool
    latency: float
    finish_reason: str


class CompletedE(msgspec.Struct):
    response: str
    model: str
    provider: str
    usage: CompletionUsage
    cost: float | None


class EmbeddedE(msgspec.Struct):
    embeddings: list[list[float]]
    model: str
    provider: str
    usage: TokenUsage
    cost: float | None


class ListedProvider(msgspec.Struct):
    name: str
    kind: str
    circuit_state: Literal["closed", "open", "half_open"]
    healthy: bool
    success_rate: float
    avg_latency_ms: float
    status: Literal["healthy", "unhealthy"]
    models: list[str]


class ListedProviders(msgspec.Struct):
    providers: list[ListedProvider]


class CountedProviders(ListedProviders):
    count: Count


class ProviderStatuses(msgspec.Struct):
    providers: list[ProviderStatus]


class CheckedProvider(msgspec.Struct):
    """`last_check` is null where there was none."""

    name: str
    kind: str
    circuit_state: Literal["closed", "open", "half_open"]
    healthy: bool
    success_rate: float
    avg_latency_ms: float
    status: Literal["healthy", "unhealthy"]
    last_check: dict[str, Any] | None


class ListedModel(msgspec.Struct):
    """Costs are null where there is no price."""

    id: str
    name: str
    provider: str
    type: Literal["chat", "embedding"]
    max_tokens: int | None
    context_window: int | None
    cost_per_1k_input: float | None
    cost_per_1k_output: float | None
    capabilities: list[str]


class ListedModels(msgspec.Struct):
    models: list[ListedModel]
    count: Count


class ClearedCache(msgspec.Struct):
    cleared: Count


class CacheHealth(msgspec.Struct):
    status: Literal["ok", "unavailable"]
    store: str
    entries: Count | None
    hits: Count
    misses: Count


class ServiceMetrics(msgspec.Struct):
    """Of the last 24 hours."""

    requests: dict[str, int]
    cache: dict[str, Any]
    providers: dict[str, Any]
    failovers: Count
    latency: dict[str, float | None]
    timestamp: float


class CostAnalytics(msgspec.Struct):
    total_usd: float | None
    by_provider: dict[str, float | None]
    by_model: dict[str, float | None]
    by_day: dict[str, float | None]
    cache_savings_usd: float | None
    suggestions: list[str]


class ServiceStatus(msgspec.Struct):
    """`metrics` is empty where the database does not answer."""

    status: Literal["healthy", "degraded", "unavailable"]
    service: str
    timestamp: float
    providers: dict[str, ListedProvider]
    metrics: dict[str, Any]


class UsageE(msgspec.Struct):
    total_requests: Count
    total_tokens: Count
    total_cost: float | None
    unknown_cost_requests: Count
    requests_by_model: dict[str, int]
    cost_by_model: dict[str, float | None]
    daily_usage: list[dict[str, Any]]
