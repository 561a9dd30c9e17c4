"""How hard a model is to think, in OpenAI's words."""

from __future__ import annotations

from wire.neutral import ChatRequest
from wire.openai_models import takes_no_effort

# In tokens, by effort: what Google gives its own models (https://ai.google.dev/gemini-api/docs/openai).
BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576, "max": 24_576}


def effort_of(request: ChatRequest) -> str | None:
    """A thinking budget becomes the nearest effort: our own choice, as no provider publishes one."""
    if request.reasoning_effort is not None or request.thinking_budget_tokens is None:
        return request.reasoning_effort
    if request.thinking_budget_tokens < 4_096:
        return "low"
    return "medium" if request.thinking_budget_tokens < 16_384 else "high"


def openais_effort(request: ChatRequest) -> str | None:
    """The same for OpenAI's dialects: "none" is for the models that know it, and left out for others.

    Most of those do not think, and refuse the whole call for it.
    """
    effort = effort_of(request)
    return None if effort == "none" and not takes_no_effort(request.model) else effort
