"""Neutral messages -> OpenAI's input items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wire import images
from wire.errors import unsupported
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult

DETAIL = "auto"  # must be said here; elsewhere it is what silence means


def encode_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [item for index, message in enumerate(messages) for item in _items(message, f"messages[{index}]")]


def _items(message: Message, path: str) -> Iterator[dict[str, Any]]:
    """Tools' results come first, as OpenAI wants them right behind their calls. Thinking is for whoever made it."""
    if message.name is not None:
        raise unsupported(f"{path}.name", "has no counterpart in OpenAI's Responses API.")
    if message.role == "assistant":
        yield from (_of_assistant(part, path) for part in message.parts if not isinstance(part, Thinking))
        return
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    yield from (_result(result, path) for result in results)
    said = [part for part in message.parts if not isinstance(part, ToolResult)]
    if said or not results:
        yield {"type": "message", "role": message.role, "content": [_content(part, path) for part in said]}


def _of_assistant(part: Part, path: str) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "message", "role": "assistant", "content": part.text}
        case ToolCall():
            return {
                "type": "function_call",
                "call_id": part.id,
                "name": part.name,
                "arguments": part.arguments or "{}",
            }
        case _:
            raise _misplaced(part, path)


def _result(result: ToolResult, path: str) -> dict[str, Any]:
    """There is no mark for a failed tool: here, as elsewhere, the text of the result tells."""
    output: str | list[dict[str, Any]] = [_content(part, path) for part in result.parts]
    if not output:
        output = "error" if result.is_error else ""
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _content(part: Part, path: str) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            return {"type": "input_image", "image_url": images.to_url(part), "detail": part.detail or DETAIL}
        case _:
            raise _misplaced(part, path)


def _misplaced(part: Part, path: str) -> Exception:
    return unsupported(path, f"holds a {type(part).__name__}, for which OpenAI's Responses API has no place there.")
