"""How hard a model of Anthropic's is to think: each takes it in one of two ways, by its name.

Since Claude 4.6 they think adaptively, by an effort, and later ones refuse budgets; those before know budgets alone
(https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking). No budgets are published for efforts: ours
are those that Google gives its own models.
"""

from __future__ import annotations

import re
from typing import Any

from wire.anthropic_messages.messages_out import is_sayable
from wire.effort import BUDGETS, effort_of
from wire.neutral import ChatRequest, Thinking, ToolCall

EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}

_LEAST_BUDGET = 1024
_LEAST_TOP_P = 0.95
# claude-3-7-sonnet-20250219, claude-opus-4-20250514, claude-haiku-4-5 …
_WITH_BUDGETS = re.compile(r"claude-(?:3-7\b|4\b(?!\.[6-9])|[a-z]+-4(?:-[0-5]\b|[-@]\d{8}))")
_UNTHINKING = re.compile(r"claude-3-(?!7\b)")  # those before 3.7
# They refuse to be told not to think (https://github.com/cline/cline/issues/13203), and get the lowest effort.
_ALWAYS_THINKING = re.compile(r"claude-(?:fable|mythos)-")


def encode_thinking_config(request: ChatRequest, max_tokens: int) -> dict[str, Any] | None:
    """Anthropic refuses to think where a tool is forced or a temperature given: the effort alone says what is asked."""
    effort = effort_of(request)
    if effort == "none":
        return None if _ALWAYS_THINKING.search(request.model) else {"type": "disabled"}
    if effort is None or _UNTHINKING.search(request.model) or _is_sampled(request):
        return None
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        return None
    if not _WITH_BUDGETS.search(request.model):
        return {"type": "adaptive"}
    if max_tokens <= _LEAST_BUDGET or _called_unthinking(request):
        return None
    return {"type": "enabled", "budget_tokens": _budget(request.thinking_budget_tokens or BUDGETS[effort], max_tokens)}


def encode_effort(request: ChatRequest) -> str | None:
    effort = effort_of(request)
    if effort == "none":
        return "low" if _ALWAYS_THINKING.search(request.model) else None
    if effort is None or _WITH_BUDGETS.search(request.model) or _UNTHINKING.search(request.model):
        return None
    if effort == "xhigh" and "-4-6" in request.model:  # it came with 4.7
        return "high"
    return EFFORTS[effort]


def _is_sampled(request: ChatRequest) -> bool:
    """With thinking goes no temperature of one's own, no `top_k` and no low `top_p` (Anthropic's documentation)."""
    has_low_top_p = request.top_p is not None and request.top_p < _LEAST_TOP_P
    return request.temperature not in (None, 1) or request.top_k is not None or has_low_top_p


def _budget(wanted: int, max_tokens: int) -> int:
    """It counts towards `max_tokens` and must be below: one that is not leaves half of that for the answer."""
    return max(_LEAST_BUDGET, wanted if wanted < max_tokens else max_tokens // 2)


def _called_unthinking(request: ChatRequest) -> bool:
    """With a budget, unlike adaptively, no model goes on from a call before which it has not thought.

    OpenAI's clients do not keep its thinking, and other providers' is not shown to it.
    """
    answers = [message for message in request.messages if message.role == "assistant"]
    said = [part for part in answers[-1].parts if is_sayable(part)] if answers else []
    return any(isinstance(part, ToolCall) for part in said) and not isinstance(said[0], Thinking)
