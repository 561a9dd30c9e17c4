"""What a usage row says of its call and its dispatch, in the words of the conventions. Pure.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ names the `gen_ai.*` attributes, and
https://langfuse.com/integrations/native/opentelemetry#property-mapping the `langfuse.*` ones; ours are `aiplatform.*`.
A row holds no prompt and no answer, so neither is ever told; what a provider said of an error is left out as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from core.money import PICO_PER_USD
from providers.specs import DeploymentSpec
from usage.rows import RecordRow

Attributes = Mapping[str, str | bool | int | float | Sequence[str]]

_KNOWN_PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gcp.gemini",
    "azure": "azure.ai.openai",
    "deepseek": "deepseek",
}
_OF_EMBEDDINGS = ("embed", "vector")  # in the names of doors whose calls make vectors
_PORTS = {"http": 80, "https": 443}


def operation(record: RecordRow) -> str:
    return "embeddings" if any(word in record.surface for word in _OF_EMBEDDINGS) else "chat"


def of_call(record: RecordRow) -> Attributes:
    """Of the server's span: the call as its caller knows it. Cost and tokens are its dispatches' to tell."""
    return _without_unknown({
        **_common(record),
        "gen_ai.request.stream": record.stream,
        "aiplatform.surface": record.surface,
        "aiplatform.status": record.status,
        "aiplatform.attempts": record.attempt,
        "aiplatform.overhead_ms": record.overhead_ms,
        "aiplatform.saved_usd": _usd(record.saved_pico),
    })  # fmt: skip


def of_dispatch(record: RecordRow, deployment: DeploymentSpec | None) -> Attributes:
    """Of the client's span. `deployment` None: it is no longer in the configuration."""
    input_tokens = record.input_tokens
    return _without_unknown({
        **_common(record),
        **_server(deployment),
        "gen_ai.provider.name": _provider_name(record, deployment),
        "gen_ai.request.model": deployment.model if deployment is not None else record.deployment,
        "gen_ai.request.stream": record.stream,
        "gen_ai.response.model": record.served_model or None,
        "gen_ai.response.finish_reasons": [record.finish_reason] if record.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": None if record.first_token_ms is None else record.first_token_ms / 1000,
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_input_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": _cache_writes(record) or None,
        "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens or None,
        "aiplatform.attempt": record.attempt,
        "aiplatform.deployment": record.deployment,
        "aiplatform.evidence": record.evidence,
        "aiplatform.cost_usd": _usd(record.cost_pico),
    })  # fmt: skip


def langfuse_of_call(record: RecordRow) -> Attributes:
    return {**_langfuse(record), "langfuse.trace.name": record.surface, "langfuse.observation.type": "span"}


def langfuse_of_dispatch(record: RecordRow) -> Attributes:
    costs = {
        "input": _usd(record.input_cost_pico),
        "output": _usd(record.output_cost_pico),
        "request": _usd(record.request_cost_pico),
        "total": _usd(record.cost_pico),
    }
    tokens = {
        "input": record.input_tokens - record.cached_input_tokens - _cache_writes(record),
        "input_cached_tokens": record.cached_input_tokens,
        "input_cache_creation": _cache_writes(record),
        "output": record.output_tokens - record.reasoning_tokens,
        "output_reasoning_tokens": record.reasoning_tokens,
        "total": record.input_tokens + record.output_tokens,
    }
    first_token_ms = record.first_token_ms
    return _without_unknown({
        **_langfuse(record),
        "langfuse.observation.type": "embedding" if operation(record) == "embeddings" else "generation",
        "langfuse.observation.model.name": record.served_model or record.deployment,
        "langfuse.observation.usage_details": _json(tokens),
        "langfuse.observation.cost_details": _json(_without_unknown(costs)),
        "langfuse.observation.completion_start_time": (
            None
            if first_token_ms is None
            else (record.started_at + timedelta(milliseconds=first_token_ms)).isoformat(timespec="milliseconds")
        ),
    })  # fmt: skip


def _common(record: RecordRow) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation(record),
        "gen_ai.request.model": record.requested_model or None,
        "error.type": record.error_code or None,
        "user.id": record.end_user or None,
        "aiplatform.request_id": record.request_id,
        "aiplatform.client": record.client,
        "aiplatform.key_prefix": record.key_prefix or None,
    }


def _langfuse(record: RecordRow) -> dict[str, Any]:
    """What it wants on every span of a trace, to filter and add up by."""
    tags = msgspec.json.decode(record.tags, type=dict[str, str])
    failed = {"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": record.error_code}
    return {
        **({"langfuse.user.id": record.end_user} if record.end_user else {}),
        **({"langfuse.trace.tags": [f"{name}={value}" for name, value in tags.items()]} if tags else {}),
        **{f"langfuse.trace.metadata.{name}": value for name, value in tags.items()},
        "langfuse.trace.metadata.client": record.client,
        "langfuse.trace.metadata.request_id": record.request_id,
        **(failed if record.error_code else {}),
    }


def _server(deployment: DeploymentSpec | None) -> dict[str, str | int]:
    parts = urlsplit(deployment.provider.address if deployment is not None else "")
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or _PORTS.get(parts.scheme, 443)}


def _provider_name(record: RecordRow, deployment: DeploymentSpec | None) -> str:
    """The conventions' name of a known kind, else the provider's own."""
    return _KNOWN_PROVIDERS.get(deployment.provider.kind if deployment is not None else "", record.provider)


def _cache_writes(record: RecordRow) -> int:
    return record.cache_write_5m_tokens + record.cache_write_1h_tokens


def _usd(pico: int | None) -> float | None:
    return None if pico is None else pico / PICO_PER_USD


def _without_unknown(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
