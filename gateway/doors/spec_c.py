"""Specification C's completion over HTTP, with the field names of its gRPC twin (proto/)."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.asgi import Door
from gateway.doors import provider_facts
from gateway.doors.plain_errors import PlainErrors
from gateway.doors.specification import (
    Asked,
    Said,
    Share,
    Specification,
    Temperature,
    Tokens,
    Told,
    complete,
    conversation,
)
from wire.neutral import ChatRequest


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends; null is as if left out. Either `prompt` or `messages`; `metadata` goes nowhere."""

    model_id: str | None = None
    prompt: str | None = None
    messages: list[Said] | None = None
    system: str | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    top_p: Share | None = None
    stop: list[str] | None = None
    provider: str | None = None
    user_id: str | None = None
    use_cache: bool | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None


class SpecC(Specification[Body]):
    name = "spec_c"

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model_id or "",
            messages=conversation(prompt=body.prompt, messages=body.messages or None, system=body.system),
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            stop=tuple(body.stop or ()),
            stream=bool(body.stream),
            end_user=body.user_id,
        )
        return Asked(request, provider=body.provider, cache=body.use_cache)

    def answer(self, told: Told) -> dict[str, Any]:
        return {
            "id": told.id,
            "content": told.text,
            "model": told.model,
            "provider": told.provider,
            "usage": told.usage,
            "cost_usd": told.cost_usd or "",
            "cached": told.cached,
            "finish_reason": told.finish,
            "latency_ms": told.latency_ms,
        }

    def delta(self, text: str) -> dict[str, Any]:
        return {"delta": text}

    def ending(self, told: Told) -> dict[str, Any]:
        return {"final": self.answer(told)}


_STATUS = PlainErrors("provider_status")
ROUTES = {
    ("POST", "/v1/complete"): Door("spec_c.complete", SpecC(Body), complete),
    ("GET", "/v1/providers/status"): Door("spec_c.providers", _STATUS, provider_facts.list_for_c),
}
