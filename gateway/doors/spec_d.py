"""Specification D's `POST /api/ai-providers/complete`, hot. Browser sessions take its twin (`completion_view`)."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.asgi import Door
from gateway.doors.specification import (
    Asked,
    Conversation,
    Specification,
    Temperature,
    Tokens,
    Told,
    complete,
    conversation,
)
from wire.neutral import ChatRequest


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a caller sends; null is as if left out. Either `prompt` or `messages`."""

    prompt: str | None = None
    messages: Conversation | None = None
    system_prompt: str | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    stream: bool | None = None
    provider_id: str | None = None
    model: str | None = None


class SpecD(Specification[Body]):
    name = "spec_d"

    def asked(self, body: Body) -> Asked:
        messages = conversation(prompt=body.prompt, messages=body.messages, system=body.system_prompt)
        request = ChatRequest(
            model=body.model or "",
            messages=messages,
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
            stream=bool(body.stream),
        )
        return Asked(request, provider=body.provider_id)

    def answer(self, told: Told) -> dict[str, Any]:
        return {
            "id": told.id,
            "content": told.text,
            "model": told.model,
            "provider": told.provider,
            "cached": told.cached,
            "latency": told.latency_ms,
            **self.ending(told),
        }

    def ending(self, told: Told) -> dict[str, Any]:
        usage = {
            "promptTokens": told.input_tokens,
            "completionTokens": told.output_tokens,
            "totalTokens": told.input_tokens + told.output_tokens,
        }
        return {"usage": usage, "cost": told.cost, "finishReason": told.finish}


SPEC_D = SpecD(Body)
PATHS = {("POST", "/api/ai-providers/complete"), ("POST", "/api/ai-providers/complete/")}
ROUTES = dict.fromkeys(PATHS, Door("spec_d", SPEC_D, complete))
