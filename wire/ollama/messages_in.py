"""Ollama's messages -> neutral ones, one for one."""

from __future__ import annotations

from collections.abc import Sequence

from wire.arguments import or_empty
from wire.body import json_object
from wire.errors import invalid, unsupported
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from wire.ollama import schema

# Ollama takes pictures without their type: how the files of each begin, in base64.
_MAGIC = {"iVBORw0KGg": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def decode_messages(messages: Sequence[schema.Message]) -> tuple[Message, ...]:
    decoded = []
    unanswered: list[ToolCall] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message.role == "tool":
            decoded.append(_result(message, _answered(message, unanswered, path), path))
            continue
        calls = [_call(call, index, number, path) for number, call in enumerate(message.tool_calls or ())]
        unanswered = calls.copy() or unanswered
        decoded.append(Message(message.role, (*_said(message, path), *calls), message.name))
    return tuple(decoded)


def decode_images(images: Sequence[str] | None, path: str) -> list[Image]:
    """Raises `ApiError` for what is no picture that we know."""
    return [_image(data, f"{path}[{number}]") for number, data in enumerate(images or ())]


def _said(message: schema.Message, path: str) -> list[Part]:
    parts: list[Part] = [Thinking(message.thinking)] if message.thinking else []
    parts += [Text(message.content)] if message.content else []
    return parts + decode_images(message.images, f"{path}.images")


def _image(data: str, path: str) -> Image:
    kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        raise unsupported(path, "is no PNG, JPEG, GIF or WebP in base64, and cannot be translated.")
    return Image(data=data, media_type=kind)


def _call(call: schema.Call, message: int, number: int, path: str) -> ToolCall:
    arguments = json_object(or_empty(call.function.arguments))
    if arguments is None:
        place = f"{path}.tool_calls[{number}].function.arguments"
        raise invalid(f"'{place}' must be an object.", param=place)
    return ToolCall(call.id or f"call_{message}_{number}", call.function.name, bytes(arguments).decode())


def _answered(message: schema.Message, unanswered: list[ToolCall], path: str) -> str:
    """The id of the call: the one that is named, else the first of that tool, else the first of all."""
    if message.tool_call_id:
        return message.tool_call_id
    name = message.tool_name or message.name
    call = next((call for call in unanswered if name in (None, call.name)), None)
    if call is None:
        raise invalid(f"'{path}' answers no tool call of an assistant's message before it.", param=path)
    unanswered.remove(call)
    return call.id


def _result(message: schema.Message, call_id: str, path: str) -> Message:
    texts = [Text(message.content)] if message.content else []
    return Message("user", (ToolResult(call_id, (*texts, *decode_images(message.images, f"{path}.images"))),))
