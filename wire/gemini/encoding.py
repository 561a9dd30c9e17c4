"""A neutral chat call -> the body for Google. The model's name, and whether to stream, stand in the URL.

Reasoning: an effort becomes `thinkingLevel` ("max" becomes "xhigh"); models before Gemini 3 know budgets alone, and
get those that Google's own endpoint for OpenAI's clients gives them. Where thinking is asked for, thoughts are too.
Most models cannot be told not to think, and refuse a budget of 0: they get the least that they take
(https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking).
A schema's name, an image's `detail`, cache hints and the end user have no place here, and change no answer; all else
that Gemini cannot say is refused.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from wire.effort import BUDGETS
from wire.errors import unsupported
from wire.gemini.messages_out import encode_contents, encode_system
from wire.neutral import ChatRequest, Tool, ToolChoice

MAX_STOPS = 5

_LEVELS = {effort: effort.upper() for effort in ("minimal", "low", "medium", "high", "xhigh")} | {"max": "XHIGH"}
BEFORE_GEMINI_3 = ("gemini-2", "gemini-1")
_ALWAYS_WITH_BUDGET = "gemini-2.5-pro"
_LEAST_BUDGET = 128  # of that one
_MOST_BUDGET, _MOST_OF_OTHERS = 32_768, 24_576  # https://ai.google.dev/gemini-api/docs/thinking
_UP_TO_HIGH = "gemini-3"  # no model of the third generation knows XHIGH
_KNOW_MINIMAL = re.compile(r"gemini-3(?:\.[0-6])?-flash")  # the level came and went; LOW they all know
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}


def encode_chat(request: ChatRequest) -> bytes:
    if request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "cannot be switched off for Gemini.")
    if len(request.stop) > MAX_STOPS:
        raise unsupported("stop", f"may hold at most {MAX_STOPS} sequences for Gemini.")
    body = {
        "systemInstruction": encode_system(request.messages),
        "contents": encode_contents(request.messages),
        "tools": [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}] if request.tools else None,
        "toolConfig": _tool_config(request),
        "generationConfig": _said(_generation_config(request)) or None,
    }
    return msgspec.json.encode(_said(body))


def _said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _generation_config(request: ChatRequest) -> dict[str, Any]:
    return {
        "maxOutputTokens": request.max_output_tokens,
        "candidateCount": request.choices if request.choices > 1 else None,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "frequencyPenalty": request.frequency_penalty,
        "presencePenalty": request.presence_penalty,
        "seed": request.seed,
        "stopSequences": request.stop or None,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs,
        "thinkingConfig": _thinking_config(request),
        **_response_format(request),
    }


def _declaration(tool: Tool) -> dict[str, Any]:
    declared = {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
    return _said(declared)


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    """Mode ANY keeps to the schemas by itself; for strict tools that are not forced there is VALIDATED."""
    if not request.tools:
        return None
    is_strict = any(tool.strict for tool in request.tools)
    choice = request.tool_choice or (ToolChoice("auto") if is_strict else None)
    if choice is None:
        return None
    config: dict[str, Any] = {"mode": "VALIDATED" if choice.mode == "auto" and is_strict else _MODES[choice.mode]}
    if choice.name is not None:
        config["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": config}


def _thinking_config(request: ChatRequest) -> dict[str, Any] | None:
    effort = request.reasoning_effort
    if effort == "none":
        return _least_thinking(request.model)
    if effort is not None and effort not in _LEVELS:
        raise unsupported("reasoning_effort", f"'{effort}' is not known: use none, {', '.join(_LEVELS)}.")
    if request.thinking_budget_tokens is not None:
        return {"includeThoughts": True, "thinkingBudget": _budget(request.thinking_budget_tokens, request.model)}
    if effort is None:
        return None
    if request.model.startswith(BEFORE_GEMINI_3):
        return {"includeThoughts": True, "thinkingBudget": BUDGETS[effort]}
    return {"includeThoughts": True, "thinkingLevel": _level(effort, request.model)}


def _budget(wanted: int, model: str) -> int:
    """Google refuses more than a model takes. What those since Gemini 3 take is not published."""
    if not model.startswith(BEFORE_GEMINI_3):
        return wanted
    return min(wanted, _MOST_BUDGET if model.startswith(_ALWAYS_WITH_BUDGET) else _MOST_OF_OTHERS)


def _level(effort: str, model: str) -> str:
    level = _LEVELS[effort]
    if level == "MINIMAL":
        return _least_level(model)
    return "HIGH" if level == "XHIGH" and model.startswith(_UP_TO_HIGH) else level


def _least_thinking(model: str) -> dict[str, Any]:
    if model.startswith(BEFORE_GEMINI_3):
        return {"thinkingBudget": _LEAST_BUDGET if model.startswith(_ALWAYS_WITH_BUDGET) else 0}
    return {"thinkingLevel": _least_level(model)}


def _least_level(model: str) -> str:
    return "MINIMAL" if _KNOW_MINIMAL.match(model) else "LOW"


def _response_format(request: ChatRequest) -> dict[str, Any]:
    wanted = request.response_format
    if wanted is None:
        return {}
    if wanted.kind == "text":
        return {"responseMimeType": "text/plain"}
    schema = wanted.schema if wanted.kind == "json_schema" else None
    return {"responseMimeType": "application/json", "responseJsonSchema": schema}
