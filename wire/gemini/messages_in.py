"""Gemini's contents -> neutral messages, one for one.

Ids of function calls are optional here: a result without one belongs to the earliest call of that name that has no
result yet.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import msgspec

from wire.arguments import or_empty
from wire.body import json_object
from wire.errors import invalid, unsupported
from wire.gemini import schema
from wire.gemini.signatures import sign, standard_base64
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult

_UNTRANSLATABLE = "cannot be translated for the provider of this model."
_GOOGLES_FILES = "https://generativelanguage.googleapis.com/"


def decode_system(system: schema.SystemInstruction | None) -> tuple[Message, ...]:
    if system is None or not system.parts:
        return ()
    parts = system.parts if isinstance(system.parts, list) else [system.parts]
    return (Message("system", tuple(Text(part.text) for part in parts)),)


def decode_contents(contents: Sequence[schema.Content]) -> tuple[Message, ...]:
    conversation = _Conversation()
    return tuple(conversation.message(content, f"contents[{at}]") for at, content in enumerate(contents))


class _Conversation:
    """`_open` holds the ids of the calls that wait for their results, by the function's name."""

    def __init__(self) -> None:
        self._open: defaultdict[str, deque[str]] = defaultdict(deque)

    def message(self, content: schema.Content, path: str) -> Message:
        given = content.parts if isinstance(content.parts, list) else [content.parts] if content.parts else []
        parts: list[Part] = []
        for at, part in enumerate(given):
            self._add(parts, part, f"{path}.parts[{at}]")
        return Message("assistant" if content.role == "model" else "user", tuple(parts))

    def _add(self, parts: list[Part], part: schema.Part, path: str) -> None:
        """What the part says, then its signature, then its call: Gemini signs what led to the call."""
        parts += _shown(part, path)
        if part.thought_signature:
            sign(parts, part.thought_signature)
        if part.function_call is not None:
            parts.append(self._call(part.function_call, path))
        elif part.function_response is not None:
            parts.append(self._result(part.function_response, f"{path}.functionResponse"))

    def _call(self, call: schema.FunctionCall, path: str) -> ToolCall:
        arguments = or_empty(call.args)
        if json_object(arguments) is None:
            raise invalid(f"'{path}.functionCall.args' must be an object.", param=f"{path}.functionCall.args")
        id_ = call.id or "call_" + "_".join(filter(str.isdigit, path.replace("]", "[").split("[")))
        self._open[call.name].append(id_)
        return ToolCall(id_, call.name, bytes(arguments).decode())

    def _result(self, result: schema.FunctionResponse, path: str) -> ToolResult:
        waiting = self._open[result.name]
        id_ = result.id or (waiting[0] if waiting else None)
        if id_ is None:
            raise invalid(f"'{path}' answers no call of '{result.name}'.", param=path)
        if id_ in waiting:
            waiting.remove(id_)
        text, is_error = _said(or_empty(result.response), path)
        images = [_image(part, f"{path}.parts[{at}]") for at, part in enumerate(result.parts or ())]
        return ToolResult(id_, (Text(text), *images), is_error)


def _shown(part: schema.Part, path: str) -> list[Part]:
    if part.inline_data is not None or part.file_data is not None:
        return [_image(part, path)]
    if part.text:
        return [Thinking(part.text) if part.thought else Text(part.text)]
    if part.text is None and not (part.thought_signature or part.function_call or part.function_response):
        raise invalid(f"'{path}' must hold something: text, inlineData, a function call …", param=path)
    return []


def _said(response: msgspec.Raw, path: str) -> tuple[str, bool]:
    """A result's text, and whether it is an error: `output` and `error` are Google's own names for these."""
    try:
        members = msgspec.json.decode(response, type=dict[str, Any])
    except msgspec.ValidationError:
        raise invalid(f"'{path}.response' must be an object.", param=f"{path}.response") from None
    for name in ("output", "error"):
        if members.keys() == {name} and isinstance(members[name], str):
            return members[name], name == "error"
    return bytes(response).decode(), "error" in members


def _image(part: schema.Part | schema.ResultPart, path: str) -> Image:
    blob, file = part.inline_data, part.file_data
    if blob is not None:
        if not (blob.mime_type or "").startswith("image/"):
            raise unsupported(f"{path}.inlineData", f"of type '{blob.mime_type}' {_UNTRANSLATABLE}")
        return Image(data=standard_base64(blob.data), media_type=blob.mime_type)
    if file is None:
        raise invalid(f"'{path}' must hold inlineData or fileData.", param=path)
    is_public = file.file_uri.startswith(("https://", "http://")) and not file.file_uri.startswith(_GOOGLES_FILES)
    if not is_public or not (file.mime_type or "image/").startswith("image/"):
        raise unsupported(f"{path}.fileData", f"of '{file.file_uri}' {_UNTRANSLATABLE}")
    return Image(url=file.file_uri)
