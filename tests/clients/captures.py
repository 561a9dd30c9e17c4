"""What OpenAI and Anthropic send where a model calls tools: the shapes that their API references show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

PARIS, OSLO = {"city": "Paris"}, {"city": "Oslo"}


def openai_message(content: str | None, *, calls: Sequence[tuple[str, dict[str, Any]]] = ()) -> dict[str, Any]:
    """A chat completion; each call is its id and its arguments to `weather`."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {"id": key, "type": "function", "function": {"name": "weather", "arguments": json.dumps(arguments)}}
            for key, arguments in calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else "stop"}
    return {
        "id": "chatcmpl-r",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-replay",
        "choices": [choice],
        "usage": {"prompt_tokens": 31, "completion_tokens": 17, "total_tokens": 48},
    }


def openai_tool_stream(calls: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The arguments come in pieces of three characters."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    for index, (key, arguments) in enumerate(calls):
        function = {"name": "weather", "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": key, "type": "function", "function": function}]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in _pieces(arguments)]
    chunks = [_chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    chunks.append(_chunk([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]))
    usage = {"prompt_tokens": 31, "completion_tokens": 17, "total_tokens": 48}
    return [*chunks, _chunk([]) | {"usage": usage}]


def anthropic_message(text: str, *, calls: Sequence[tuple[str, dict[str, Any]]] = ()) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    content += [{"type": "tool_use", "id": key, "name": "weather", "input": arguments} for key, arguments in calls]
    return {
        "id": "msg_r",
        "type": "message",
        "role": "assistant",
        "model": "claude-replay",
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 31, "output_tokens": 17},
    }


def anthropic_tool_stream(text: str, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    start = anthropic_message("") | {"stop_reason": None, "usage": {"input_tokens": 31, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    events += _block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": text}])
    for index, (key, arguments) in enumerate(calls, 1):
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *_pieces(arguments)]]
        events += _block(index, {"type": "tool_use", "id": key, "name": "weather", "input": {}}, deltas)
    stop = {"stop_reason": "tool_use", "stop_sequence": None}
    return [
        *events,
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 17}},
        {"type": "message_stop"},
    ]


def _block(index: int, block: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"id": "chatcmpl-r", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-replay"}
    return head | {"choices": choices, "usage": None}


def _pieces(arguments: dict[str, Any]) -> list[str]:
    text = json.dumps(arguments)
    return [text[start : start + 3] for start in range(0, len(text), 3)]
