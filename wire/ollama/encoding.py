"""A neutral chat call -> the body for Ollama."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.effort import effort_of
from wire.errors import unsupported
from wire.neutral import ChatRequest, ResponseFormat, Tool
from wire.ollama.messages_out import encode_messages

# Levels are for newer versions of Ollama, or for models that know them; true and false are for all that think.
_THINK: dict[str, bool | str] = {
    "none": False, "minimal": "low", "low": "low", "medium": True, "high": "high", "xhigh": "high", "max": "max",
}  # fmt: skip


def encode_chat(request: ChatRequest) -> bytes:
    """Ollama streams unless it is told not to."""
    _refuse_unsayable(request)
    options = {name: value for name, value in _options(request).items() if value is not None}
    body = {
        "model": request.model,
        "messages": encode_messages(request.messages),
        "stream": request.stream,
        "options": options or None,
        "tools": _tools(request) or None,
        "format": _format(request.response_format),
        "think": _think(request),
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _refuse_unsayable(request: ChatRequest) -> None:
    if request.choices > 1:
        raise unsupported("n", "must be 1: Ollama gives one answer to a call.")
    if request.tools and request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        raise unsupported("tool_choice", "must be auto or none: Ollama cannot make a model call a tool.")
    if request.tools and request.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "of false has no counterpart in Ollama's API.")


def _options(request: ChatRequest) -> dict[str, Any]:
    return {
        "num_predict": request.max_output_tokens,
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": request.stop or None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
    }


def _tools(request: ChatRequest) -> list[dict[str, Any]]:
    """Whoever is to call no tool is told of none."""
    if request.tool_choice is not None and request.tool_choice.mode == "none":
        return []
    return [{"type": "function", "function": _function(tool)} for tool in request.tools]


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {name: value for name, value in function.items() if value is not None}


def _format(wanted: ResponseFormat | None) -> str | dict[str, Any] | None:
    if wanted is None or wanted.kind == "text":
        return None
    return "json" if wanted.kind == "json_object" else wanted.schema or {}


def _think(request: ChatRequest) -> bool | str | None:
    effort = effort_of(request)
    if effort is None:
        return None
    if effort not in _THINK:
        raise unsupported("reasoning_effort", f"'{effort}' is not known: use {', '.join(_THINK)}.")
    return _THINK[effort]
