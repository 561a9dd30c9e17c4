"""Neutral messages -> Gemini's `systemInstruction` and `contents`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from wire.arguments import as_object
from wire.body import Fields, json_object
from wire.errors import invalid, unsupported
from wire.gemini.signatures import UNSIGNED, encode_signature
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from wire.signatures import is_geminis

_ROLES = {"user": "user", "assistant": "model"}
_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
}

Encoded = dict[str, Any]


def encode_system(messages: Sequence[Message]) -> Encoded | None:
    """All system messages, wherever they stood: Gemini knows one instruction, at the start."""
    parts: list[Encoded] = []
    for index, message in enumerate(messages):
        for part in message.parts if message.role == "system" else ():
            if not isinstance(part, Text):
                raise unsupported(f"messages[{index}]", "of the system may hold text alone for Gemini.")
            parts += [{"text": part.text}] if part.text.strip() else []
    return {"parts": parts} if parts else None


def encode_contents(messages: Sequence[Message]) -> list[Encoded]:
    """Neighbours of one role become one content: all results of a step's calls belong into one."""
    names = {part.id: part.name for message in messages for part in message.parts if isinstance(part, ToolCall)}
    turns = groupby(_turns(messages, names), key=lambda turn: turn[0])
    encoded = [{"role": role, "parts": _in_order(turn)} for role, turn in turns]
    if not encoded:
        raise unsupported("messages", "must hold a message of the user for Gemini, beside the system's.")
    return encoded


def encode_call(call: ToolCall, signature: str | None) -> Encoded:
    encoded: Encoded = {"functionCall": {"id": call.id, "name": call.name, "args": as_object(call.arguments)}}
    return encoded | ({"thoughtSignature": signature} if signature else {})


def _turns(messages: Sequence[Message], names: dict[str, str]) -> Iterator[tuple[str, list[Encoded]]]:
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message.name is not None:
            raise unsupported(f"{path}.name", "has no counterpart in Gemini's API.")
        if message.role == "assistant":
            parts = _model_parts(message.parts, path)
        else:
            said = message.parts if message.role == "user" else ()
            parts = [encoded for part in said for encoded in _user_part(part, names, path)]
        if parts:
            yield _ROLES.get(message.role, "user"), parts


def _in_order(turn: Iterator[tuple[str, list[Encoded]]]) -> list[Encoded]:
    """Results come before all else: they answer the turn before."""
    parts = [part for _, parts in turn for part in parts]
    return sorted(parts, key=lambda part: "functionResponse" not in part)


def _model_parts(parts: Sequence[Part], path: str) -> list[Encoded]:
    """The signature of a call comes as a thought before it.

    Thoughts that Gemini did not sign stay out: it reads nothing from them.
    """
    encoded: list[Encoded] = []
    pending: Thinking | None = None
    called = False
    for part in parts:
        if isinstance(part, ToolCall):
            signature = encode_signature(pending.signature) if pending else None if called else UNSIGNED
            encoded += [*_thought_text(pending), encode_call(part, signature)]
            pending, called = None, True
            continue
        encoded += _signed_thought(pending)
        pending = part if isinstance(part, Thinking) and is_geminis(part) else None
        if not isinstance(part, Thinking):
            encoded += _shown(part, path)
    return encoded + _signed_thought(pending)


def _thought_text(thought: Thinking | None) -> list[Encoded]:
    return [{"text": thought.text, "thought": True}] if thought and thought.text else []


def _signed_thought(thought: Thinking | None) -> list[Encoded]:
    """One without words is the signature of the text before it."""
    if thought is None:
        return []
    kind = {"thought": True} if thought.text else {}
    return [{"text": thought.text, **kind, "thoughtSignature": encode_signature(thought.signature)}]


def _user_part(part: Part, names: dict[str, str], path: str) -> list[Encoded]:
    if not isinstance(part, ToolResult):
        return _shown(part, path)
    if part.call_id not in names:
        raise invalid(f"'{path}' answers the call '{part.call_id}', which no earlier message makes.", param=path)
    response: Encoded = {"id": part.call_id, "name": names[part.call_id], "response": _response(part)}
    images = [encoded for each in part.parts if isinstance(each, Image) for encoded in _shown(each, path)]
    return [{"functionResponse": response | ({"parts": images} if images else {})}]


def _response(result: ToolResult) -> msgspec.Raw | dict[str, str]:
    """An object goes out as it is, unless it says `output` or `error`, which mean something to Google."""
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    if result.is_error:
        return {"error": text}
    whole = json_object(text)
    if whole is None or not msgspec.json.decode(whole, type=Fields).keys().isdisjoint(("output", "error")):
        return {"output": text}
    return whole


def _shown(part: Part, path: str) -> list[Encoded]:
    match part:
        case Text():
            return [{"text": part.text}] if part.text.strip() else []
        case Image(url=None):
            return [{"inlineData": {"mimeType": part.media_type, "data": part.data}}]
        case Image():
            return [{"fileData": {"fileUri": part.url, **_media_type(part.url or "")}}]
        case Thinking():
            return []
        case _:
            raise unsupported(path, f"holds a {type(part).__name__}, for which Gemini has no place there.")


def _media_type(url: str) -> dict[str, str]:
    """Google asks for it; a URL may not tell."""
    ending = url.partition("?")[0].rpartition(".")[2].lower()
    return {"mimeType": _MEDIA_TYPES[ending]} if ending in _MEDIA_TYPES else {}
