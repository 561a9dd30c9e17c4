"""The doors of specifications A to E. Their bodies are the very types that the doors read."""

from __future__ import annotations

from typing import Any

from aiplatform.documented.operation import EVENTS, Operation, Parameter, PlainError
from aiplatform.documented.specification_shapes import (
    CacheHealth,
    CheckedProvider,
    ClearedCache,
    CompletedB,
    CompletedC,
    CompletedD,
    CompletedE,
    CostAnalytics,
    CountedProviders,
    EmbeddedE,
    GeneratedText,
    ListedModels,
    ListedProviders,
    ProviderStatuses,
    ServiceMetrics,
    ServiceStatus,
    UsageE,
)
from gateway.doors import spec_a, spec_b, spec_c, spec_d, spec_e

_DATES = (
    Parameter(name="start_date", description="First day; thirty days ago unless given.", format="date"),
    Parameter(name="end_date", description="Last day, included; today unless given.", format="date"),
)
_RANGE = (*_DATES, Parameter(name="user_id", description="An end user; else all that the caller may ask about."))
_PROVIDER = Parameter(name="name", place="path", description="A provider's slug.", example="demo")
_SAID = [{"role": "user", "content": "Hello"}]


def _telling(tag: str, path: str, summary: str, answer: Any, *parameters: Parameter) -> Operation:
    return Operation(
        method="GET", path=path, tag=tag, summary=summary, answer=answer, error=PlainError, parameters=parameters
    )


def _asking(
    tag: str,
    path: str,
    summary: str,
    *,
    body: Any,
    answer: Any,
    example: dict[str, Any],
    streams: str = "",
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    return Operation(
        method="POST",
        path=path,
        tag=tag,
        summary=summary,
        body=body,
        answer=answer,
        error=PlainError,
        streams=streams,
        parameters=parameters,
        example=example,
    )


_COMPLETE = "Answer a prompt or a conversation, whole or as a stream"
_A, _B, _C, _D, _E = (f"Specification {letter}" for letter in "ABCDE")
OPERATIONS = (
    _asking(
        _A,
        "/generate",
        "Answer a prompt",
        body=spec_a.Body,
        answer=GeneratedText,
        example={"prompt": "Hello", "max_tokens": 100},
    ),
    _telling(_A, "/providers", "List the providers and how they are doing", ListedProviders),
    Operation(
        method="POST",
        path="/cache/clear",
        tag=_A,
        summary="Forget the answers kept for the key's client",
        answer=ClearedCache,
        error=PlainError,
        key="manage",
    ),
    _telling(_A, "/cache/health", "How the cache is doing", CacheHealth),
    _asking(
        _B,
        "/api/v1/completion",
        "Answer a conversation, whole or as a stream; equal ones from the cache",
        body=spec_b.Body,
        answer=CompletedB,
        streams=EVENTS,
        example={"messages": _SAID, "temperature": 0.7, "max_tokens": 100},
    ),
    _asking(
        _B,
        "/api/v1/providers/{name}/completion",
        "The same at one provider alone",
        body=spec_b.Body,
        answer=CompletedB,
        streams=EVENTS,
        parameters=(_PROVIDER,),
        example={"messages": _SAID},
    ),
    _telling(_B, "/api/v1/models", "List the models with their prices", ListedModels),
    _telling(_B, "/api/v1/providers", "List the providers and how they are doing", CountedProviders),
    _telling(_B, "/api/v1/providers/{name}/health", "How a provider is doing", CheckedProvider, _PROVIDER),
    _telling(_B, "/api/v1/metrics", "Calls, cache, failovers and latency of the last 24 hours", ServiceMetrics),
    _telling(_B, "/api/v1/analytics/costs", "What calls cost, and what would save most", CostAnalytics, *_DATES),
    _telling(_B, "/status", "The service as a whole", ServiceStatus),
    _asking(
        _C,
        "/v1/complete",
        _COMPLETE,
        body=spec_c.Body,
        answer=CompletedC,
        streams=EVENTS,
        example={"model_id": "demo", "prompt": "Hello"},
    ),
    _telling(_C, "/v1/providers/status", "The providers and their circuits", ProviderStatuses),
    _asking(
        _D,
        "/api/ai-providers/complete",
        _COMPLETE,
        body=spec_d.Body,
        answer=CompletedD,
        streams=EVENTS,
        example={"prompt": "Hello", "maxTokens": 100},
    ),
    _asking(
        _E,
        "/v1/llm/generate",
        "Answer a conversation",
        body=spec_e.Body,
        answer=CompletedE,
        example={"model": "demo", "messages": _SAID},
    ),
    _asking(
        _E,
        "/v1/llm/generate-embeddings",
        "Turn texts into vectors",
        body=spec_e.EmbeddingBody,
        answer=EmbeddedE,
        example={"model": "demo-embedding", "texts": ["Hello", "Good morning"]},
    ),
    _telling(_E, "/v1/llm/models", "List the models with their prices", ListedModels),
    _telling(_E, "/v1/llm/usage", "What was used, by model and by day", UsageE, *_RANGE),
    _telling(_E, "/v1/llm/embedding-usage", "The same of embeddings", UsageE, *_RANGE),
)
