"""Neutral messages -> Anthropic's `system` and `messages`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from wire.arguments import as_object
from wire.errors import unsupported
from wire.neutral import CacheHint, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from wire.signatures import is_geminis

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def encode_system(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """All system messages, wherever they stood: most Claude models take them at the start alone.

    Anthropic's own endpoint for OpenAI's clients does the same (https://docs.anthropic.com/en/api/openai-sdk).
    """
    return [block for _, blocks in _blocks(messages, system=True) for block in blocks]


def encode_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Neighbours of one role become one message, as Anthropic would join them itself."""
    turns = groupby(_blocks(messages, system=False), key=lambda turn: turn[0])
    encoded = [{"role": role, "content": _in_order(turn)} for role, turn in turns]
    if not encoded:
        raise unsupported("messages", "must hold a message of the user for Anthropic, beside the system's.")
    return encoded


def cache_control(hint: CacheHint | None) -> dict[str, Any]:
    """Five minutes is the default, which every host of the dialect understands."""
    if hint is None:
        return {}
    return {"cache_control": {"type": "ephemeral"} if hint == "5m" else {"type": "ephemeral", "ttl": hint}}


def encode_call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": as_object(call.arguments)}


def encode_thinking(thinking: Thinking) -> dict[str, Any]:
    if thinking.redacted is not None:
        return {"type": "redacted_thinking", "data": thinking.redacted}
    return {"type": "thinking", "thinking": thinking.text, "signature": thinking.signature or ""}


def is_sayable(part: Part) -> bool:
    """Anthropic refuses blank texts, and thinking that it did not sign."""
    if isinstance(part, Thinking):
        return bool(part.signature or part.redacted) and not is_geminis(part)
    return not isinstance(part, Text) or part.text.strip() != ""


def _blocks(messages: Sequence[Message], *, system: bool) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A role and its blocks for each message that says anything, either of the system or of the others."""
    for index, message in enumerate(messages):
        if message.name is not None:
            raise unsupported(f"messages[{index}].name", "has no counterpart in Anthropic's API.")
        if (message.role == "system") is system:
            path = f"messages[{index}]"
            blocks = [_block(part, path) for part in message.parts if is_sayable(part)]
            if blocks:
                yield message.role, blocks


def _in_order(turn: Iterator[tuple[str, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Anthropic wants the tools' results before all else in a message."""
    blocks = [block for _, blocks in turn for block in blocks]
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _block(part: Part, path: str) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text, **cache_control(part.cache)}
        case Image():
            return _image(part)
        case ToolCall():
            return encode_call(part)
        case ToolResult():
            return _tool_result(part, path)
        case Thinking():
            return encode_thinking(part)


def _image(image: Image) -> dict[str, Any]:
    source = (
        {"type": "url", "url": image.url}
        if image.url is not None
        else {"type": "base64", "media_type": image.media_type, "data": image.data}
    )
    return {"type": "image", "source": source, **cache_control(image.cache)}


def _tool_result(result: ToolResult, path: str) -> dict[str, Any]:
    content = [_block(part, path) for part in result.parts if is_sayable(part)]
    failed = {"is_error": True} if result.is_error else {}
    return {
        "type": "tool_result",
        "tool_use_id": _id(result.call_id),
        "content": content,
        **failed,
        **cache_control(result.cache),
    }


def _id(call_id: str) -> str:
    """Other providers put dots and colons into their ids, which Anthropic refuses; call and result change alike."""
    return _NOT_IN_IDS.sub("_", call_id)
