"""How hard a model is to think, in OpenAI's words."""

from __future__ import annotations

from wire.neutral import ChatRequest


def effort_of(request: ChatRequest) -> str | None:
    """A thinking budget becomes the nearest effort: our own choice, as no provider publishes one."""
    if request.reasoning_effort is not None or request.thinking_budget_tokens is None:
        return request.reasoning_effort
    if request.thinking_budget_tokens < 4_096:
        return "low"
    return "medium" if request.thinking_budget_tokens < 16_384 else "high"
