"""Specification A's `POST /generate`."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.asgi import Door
from gateway.doors import cache_doors, provider_facts
from gateway.doors.plain_errors import PlainErrors
from gateway.doors.specification import Asked, Specification, Temperature, Tokens, Told, complete, conversation
from wire.neutral import ChatRequest


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends; null is as if left out."""

    prompt: str
    provider: str | None = None
    model: str | None = None
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None
    use_cache: bool | None = None


class SpecA(Specification[Body]):
    name = "spec_a"
    operation = "generate"

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model or "",
            messages=conversation(prompt=body.prompt, messages=None),
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
        )
        return Asked(request, provider=body.provider, cache=body.use_cache is not False)

    def answer(self, told: Told) -> dict[str, Any]:
        return {
            "text": told.text,
            "provider": told.provider,
            "model": told.model,
            "usage": told.usage,
            "cached": told.cached,
            "cost_usd": told.cost,
        }


ROUTES = {
    ("POST", "/generate"): Door("spec_a.generate", SpecA(Body), complete),
    ("GET", "/providers"): Door("spec_a.providers", PlainErrors("list_providers"), provider_facts.list_for_a),
    ("POST", "/cache/clear"): Door("spec_a.cache", PlainErrors("clear_cache"), cache_doors.clear),
    ("GET", "/cache/health"): Door("spec_a.cache", PlainErrors("cache_health"), cache_doors.health),
}
