"""A neutral chat call -> the body for an OpenAI-compatible provider.

Cache hints of other dialects are left out: OpenAI and most hosts cache long prefixes unasked, and a hint changes the
price of an answer, not the answer. `name`s, and the order of the parts, are kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.effort import openais_effort
from wire.errors import unsupported
from wire.neutral import ChatRequest, ResponseFormat, Tool, ToolChoice
from wire.openai_chat.messages_out import encode_messages
from wire.openai_chat.opening import BoundField
from wire.openai_models import takes_sampling
from wire.schemas import strictly

MAX_STOPS = 4

# OpenAI refuses a longer `user`. It serves OpenAI's abuse watch and caching; ours is the caller's own record of it.
MAX_USER_CHARS = 64


def encode_chat(request: ChatRequest, *, bound_field: BoundField = "max_tokens") -> bytes:
    """`bound_field` is the name for the bound on the output: see `rewrite_chat`."""
    if request.top_k is not None:
        raise unsupported("top_k", "is not a setting of OpenAI's dialect: use top_p.")
    body = {
        "model": request.model,
        "messages": encode_messages(request.messages),
        bound_field: request.max_output_tokens,
        "n": request.choices if request.choices > 1 else None,
        **_sampling(request),
        **_tools(request),
        "response_format": _response_format(request.response_format),
        "reasoning_effort": openais_effort(request),
        "user": _user(request),
        **({"stream": True, "stream_options": {"include_usage": True}} if request.stream else {}),
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _sampling(request: ChatRequest) -> dict[str, Any]:
    if len(request.stop) > MAX_STOPS:
        raise unsupported("stop", f"may hold at most {MAX_STOPS} sequences in OpenAI's dialect.")
    is_sampled = takes_sampling(request.model, effort=openais_effort(request))
    return {
        "temperature": request.temperature if is_sampled else None,
        "top_p": request.top_p if is_sampled else None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "stop": request.stop or None,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
    }


def _tools(request: ChatRequest) -> dict[str, Any]:
    """OpenAI refuses `tool_choice` and `parallel_tool_calls` where there are no tools."""
    if not request.tools:
        return {}
    return {
        "tools": [{"type": "function", "function": _function(tool)} for tool in request.tools],
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
    }


def _function(tool: Tool) -> dict[str, Any]:
    parameters, strict = strictly(tool.parameters, strict=tool.strict)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters, "strict": strict}
    return {name: value for name, value in function.items() if value is not None}


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any] | None:
    if choice is None:
        return None
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _response_format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """OpenAI wants a name for every schema; other dialects have none, and promise to keep to the schema strictly."""
    if wanted is None:
        return None
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    schema, strict = strictly(wanted.schema or {}, strict=wanted.strict)
    json_schema: dict[str, Any] = {"name": wanted.name or "response", "schema": schema}
    if strict is not None:
        json_schema["strict"] = strict
    return {"type": "json_schema", "json_schema": json_schema}


def _user(request: ChatRequest) -> str | None:
    return request.end_user if request.end_user and len(request.end_user) <= MAX_USER_CHARS else None
