"""A neutral chat call -> the body for Anthropic.

Reasoning: an effort or a budget becomes what the model takes (`thinking`); "none" disables thinking. Of sampling goes
out what the model takes (`sampling`). A schema's name, and an image's `detail`, are labels and hints that Anthropic has
no place for; all else that it cannot say is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.anthropic_messages.messages_out import cache_control, encode_messages, encode_system
from wire.anthropic_messages.sampling import as_taken
from wire.anthropic_messages.structured import sayable
from wire.anthropic_messages.thinking import EFFORTS, encode_effort, encode_thinking_config
from wire.errors import unsupported
from wire.neutral import ChatRequest, Tool

# Anthropic wants a bound. The gateway gives the deployment's; this is what its smallest models can generate.
DEFAULT_MAX_TOKENS = 4_096
MAX_USER_ID_CHARS = 256

_CHOICES = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}


def encode_chat(request: ChatRequest) -> bytes:
    request = as_taken(request)
    refuse_unsayable(request)
    max_tokens = request.max_output_tokens or DEFAULT_MAX_TOKENS
    body = {
        "model": request.model,
        "max_tokens": max_tokens,
        "system": encode_system(request.messages) or None,
        "messages": encode_messages(request.messages),
        "stream": request.stream or None,
        "stop_sequences": request.stop or None,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "thinking": encode_thinking_config(request, max_tokens),
        "output_config": _output_config(request) or None,
        "metadata": _metadata(request),
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def refuse_unsayable(request: ChatRequest) -> None:
    """A penalty of 0, one choice, and false are what is so anyway."""
    absent = "has no counterpart in Anthropic's API."
    if request.choices > 1:
        raise unsupported("n", "must be 1: Anthropic gives one answer to a call.")
    if request.temperature is not None and request.temperature > 1:
        raise unsupported("temperature", f"must be between 0 and 1 for Anthropic; {request.temperature:g} is above it.")
    for name in ("frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"):
        if getattr(request, name):
            raise unsupported(name, absent)
    if request.seed is not None:
        raise unsupported("seed", absent)
    if any(not stop.strip() for stop in request.stop):
        raise unsupported("stop", "may hold no sequence of white space alone for Anthropic.")
    effort = request.reasoning_effort
    if effort not in (None, "none", *EFFORTS):
        raise unsupported("reasoning_effort", f"'{effort}' is not known: use none, {', '.join(EFFORTS)}.")
    if request.response_format is not None and request.response_format.kind == "json_object":
        raise unsupported("response_format", "of json_object has no counterpart in Anthropic's API: use json_schema.")


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    encoded: dict[str, Any] = {
        "name": tool.name,
        "input_schema": sayable(parameters) if tool.strict else parameters,
    }
    if tool.description is not None:
        encoded["description"] = tool.description
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    return encoded | cache_control(tool.cache)


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    """Whether calls may be parallel is a part of the choice here. Without tools there is nothing to choose."""
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if not request.tools or (choice is None and parallel is None):
        return None
    encoded: dict[str, Any] = {"type": _CHOICES[choice.mode] if choice else "auto"}
    if choice and choice.name is not None:
        encoded["name"] = choice.name
    if parallel is not None and encoded["type"] != "none":
        encoded["disable_parallel_tool_use"] = not parallel
    return encoded


def _output_config(request: ChatRequest) -> dict[str, Any]:
    effort = encode_effort(request)
    config: dict[str, Any] = {"effort": effort} if effort else {}
    wanted = request.response_format
    if wanted is not None and wanted.kind == "json_schema":
        config["format"] = {"type": "json_schema", "schema": sayable(wanted.schema or {})}
    return config


def _metadata(request: ChatRequest) -> dict[str, str] | None:
    """A longer id than Anthropic takes stays in our own books."""
    sayable = request.end_user and len(request.end_user) <= MAX_USER_ID_CHARS
    return {"user_id": request.end_user} if request.end_user and sayable else None
