"""Specification B's completions, under /api/v1. Equal requests are answered from the cache, as it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gateway.asgi import Door
from gateway.catalogue import Caller
from gateway.doors import model_facts, provider_facts, service_facts, usage_facts
from gateway.doors.plain_errors import PlainErrors
from gateway.doors.specification import (
    Asked,
    Conversation,
    Specification,
    Temperature,
    Tokens,
    Told,
    answer,
    complete,
    conversation,
)
from gateway.http import Exchange
from wire.errors import ApiError, Code, invalid
from wire.neutral import ChatRequest

if TYPE_CHECKING:
    from gateway.asgi import Gateway

_START, _END = "/api/v1/providers/", "/completion"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends; null is as if left out."""

    messages: Conversation
    model: str | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    provider: str | None = None
    stream: bool | None = None


class SpecB(Specification[Body]):
    name = "spec_b"
    operation = "ai_completion"

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model or "",
            messages=conversation(prompt=None, messages=body.messages),
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
            stream=bool(body.stream),
        )
        return Asked(request, provider=body.provider, cache=True)

    def answer(self, told: Told) -> dict[str, Any]:
        return {"content": told.text, **self.ending(told)}

    def ending(self, told: Told) -> dict[str, Any]:
        return {
            "model": told.model,
            "provider": told.provider,
            "usage": told.usage,
            "cost_estimate": told.cost,
            "response_time_ms": told.latency_ms,
            "timestamp": time.time(),
        }


async def complete_at_provider(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`/api/v1/providers/{name}/completion`: the same at that provider alone."""
    started = time.perf_counter()
    path = exchange.scope["path"]
    provider = path.removeprefix(_START).removesuffix(_END)
    if not path.endswith(_END) or not provider or "/" in provider:
        raise ApiError(Code.NOT_FOUND, f"There is nothing at {exchange.scope['method']} {path}.")
    envelope = cast("SpecB", door.dialect).open_chat(await exchange.body(gateway.max_body_bytes))
    if envelope.provider not in (None, provider):
        raise invalid(f"The path names the provider '{provider}': leave 'provider' out.", param="provider")
    if exchange.header(b"x-provider") not in ("", provider):
        raise invalid(f"The path names the provider '{provider}': leave 'X-Provider' out.", param="X-Provider")
    named = msgspec.structs.replace(envelope, provider=provider)
    await answer(gateway, door, exchange, caller, named, started=started)


_SPEC_B = SpecB(Body)
ROUTES = {
    ("POST", "/api/v1/completion"): Door("spec_b.completion", _SPEC_B, complete),
    ("GET", "/api/v1/models"): Door("spec_b.models", PlainErrors("list_models"), model_facts.list_facts),
    ("GET", "/api/v1/providers"): Door("spec_b.providers", PlainErrors("list_providers"), provider_facts.list_for_b),
    ("GET", "/api/v1/metrics"): Door("spec_b.metrics", PlainErrors("metrics"), usage_facts.metrics_for_b),
    ("GET", "/api/v1/analytics/costs"): Door("spec_b.costs", PlainErrors("cost_analytics"), usage_facts.costs_for_b),
    ("GET", "/status"): Door("spec_b.status", PlainErrors("status"), service_facts.status),
}
# What these paths say to those who bring a key.
HEALTH = Door("spec_b.health", PlainErrors("health"), service_facts.status)
HEALTH_PATHS = frozenset({"/health", "/v1/health"})
PREFIXES = {
    ("POST", _START): Door("spec_b.completion", _SPEC_B, complete_at_provider),
    ("GET", _START): Door("spec_b.providers", PlainErrors("provider_health"), provider_facts.health_for_b),
}
