"""Neutral messages -> Ollama's. A message that holds tool results becomes several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wire.arguments import as_object
from wire.errors import unsupported
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult

_BETWEEN_TEXTS = "\n\n"  # a message is one text here


def encode_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    tools = {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}
    return [
        encoded for index, message in enumerate(messages) for encoded in _encoded(message, tools, f"messages[{index}]")
    ]


def encode_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": as_object(call.arguments)}}


def _encoded(message: Message, tools: dict[str, str], path: str) -> Iterator[dict[str, Any]]:
    """First the tools' answers, then what the user adds."""
    if message.name is not None:
        raise unsupported(f"{path}.name", "has no counterpart in Ollama's API.")
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        name = {"tool_name": tools[result.call_id]} if result.call_id in tools else {}
        yield {"role": "tool", **_result(result, path), **name, "tool_call_id": result.call_id}
    said = [part for part in message.parts if not isinstance(part, ToolResult)]
    if said or not results:
        yield {"role": message.role, **_said(said, path)}


def _result(result: ToolResult, path: str) -> dict[str, Any]:
    """There is no mark for a failed tool: here, as elsewhere, the text of the result tells."""
    parts = result.parts or ((Text("error"),) if result.is_error else ())
    return _said(parts, path)


def _said(parts: Sequence[Part], path: str) -> dict[str, Any]:
    """Signed thinking is for the provider that signed it, and stays out."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    thoughts = [part.text for part in parts if isinstance(part, Thinking) and part.text and not part.signature]
    calls = [encode_call(part) for part in parts if isinstance(part, ToolCall)]
    images = [_image(part, path) for part in parts if isinstance(part, Image)]
    said: dict[str, Any] = {"content": _BETWEEN_TEXTS.join(texts)}
    said |= {"thinking": "".join(thoughts)} if thoughts else {}
    said |= {"images": images} if images else {}
    return said | ({"tool_calls": calls} if calls else {})


def _image(image: Image, path: str) -> str:
    if image.data is None:
        raise unsupported(path, "holds an image by its URL, which Ollama does not fetch: send its data.")
    return image.data
