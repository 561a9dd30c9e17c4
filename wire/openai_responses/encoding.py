"""A neutral chat call -> the body for OpenAI's Responses API.

Cache hints of other dialects are left out: OpenAI caches long prefixes unasked. Thinking is left out too, as OpenAI
takes none but its own. A function that nobody calls strict is said not to be, as it is elsewhere: where nothing is
said, OpenAI makes it so here, and all its parameters required (OpenAI's guide to function calling).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.effort import openais_effort
from wire.errors import ApiError, unsupported
from wire.neutral import ChatRequest, ResponseFormat, Tool, ToolChoice
from wire.openai_models import takes_sampling
from wire.openai_responses.decoding import LOGPROBS
from wire.openai_responses.messages_out import encode_messages
from wire.schemas import strictly

_LEAST_BOUND = 16  # of `max_output_tokens`; OpenAI answers 400 to less
MAX_USER_CHARS = 64  # OpenAI refuses a longer one; ours is the caller's own record of it


def encode_chat(request: ChatRequest) -> bytes:
    refuse_unsayable(request)
    effort = openais_effort(request)
    is_sampled = takes_sampling(request.model, effort=effort)
    body = {
        "model": request.model,
        "input": encode_messages(request.messages),
        "store": False,
        "max_output_tokens": request.max_output_tokens,
        "temperature": request.temperature if is_sampled else None,
        "top_p": request.top_p if is_sampled else None,
        "include": [LOGPROBS] if request.logprobs else None,
        "top_logprobs": request.top_logprobs,
        **_tools(request),
        "text": _text(request.response_format),
        "reasoning": {"effort": effort} if effort else None,
        "user": request.end_user if request.end_user and len(request.end_user) <= MAX_USER_CHARS else None,
        "stream": request.stream or None,
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def can_say(request: ChatRequest) -> bool:
    if request.max_output_tokens is not None and request.max_output_tokens < _LEAST_BOUND:
        return False
    try:
        refuse_unsayable(request)
    except ApiError:
        return False
    return True


def refuse_unsayable(request: ChatRequest) -> None:
    """A penalty of 0, and one choice, are what is so anyway."""
    absent = "has no counterpart in OpenAI's Responses API."
    if request.choices > 1:
        raise unsupported("n", "must be 1: OpenAI's Responses API gives one answer to a call.")
    for name in ("frequency_penalty", "presence_penalty", "stop"):
        if getattr(request, name):
            raise unsupported(name, absent)
    for name in ("seed", "top_k"):
        if getattr(request, name) is not None:
            raise unsupported(name, absent)


def _tools(request: ChatRequest) -> dict[str, Any]:
    """Without tools there is nothing to choose."""
    if not request.tools:
        return {}
    return {
        "tools": [_tool(tool) for tool in request.tools],
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    """Both `parameters` and `strict` must be there; the former may be null."""
    parameters, strict = strictly(tool.parameters, strict=tool.strict)
    tool_fields = {"type": "function", "name": tool.name, "parameters": parameters, "strict": bool(strict)}
    return tool_fields if tool.description is None else {**tool_fields, "description": tool.description}


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any] | None:
    if choice is None:
        return None
    return {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode


def _text(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    if wanted is None:
        return None
    if wanted.kind != "json_schema":
        return {"format": {"type": wanted.kind}}
    schema, strict = strictly(wanted.schema or {}, strict=wanted.strict)
    told: dict[str, Any] = {"type": "json_schema", "name": wanted.name or "response", "schema": schema}
    if strict is not None:
        told["strict"] = strict
    return {"format": told}
