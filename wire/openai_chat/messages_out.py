"""Neutral messages -> OpenAI's. A message that holds tool results becomes several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wire import images
from wire.errors import unsupported
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult

_IMAGE_FOLLOWS = "The result is the image in the next message."


def encode_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    encoded = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message.role == "user":
            encoded += _user(message, path)
        else:
            encoded.append(_assistant(message, path) if message.role == "assistant" else _system(message, path))
    return encoded


def _system(message: Message, path: str) -> dict[str, Any]:
    """`system`, not `developer`: OpenAI takes either from any model, other hosts know only the former."""
    return {"role": "system", "content": _texts(message.parts, path), **_name(message)}


def _user(message: Message, path: str) -> list[dict[str, Any]]:
    """First the tools' answers, which OpenAI wants right behind their calls, then what the user adds."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    shown = [part for result in results for part in result.parts if isinstance(part, Image)]
    said = shown + [part for part in message.parts if not isinstance(part, ToolResult)]
    encoded = [_tool_message(result, path) for result in results]
    if said or not results:
        encoded.append({"role": "user", "content": _content(said, path), **_name(message)})
    return encoded


def _tool_message(result: ToolResult, path: str) -> dict[str, Any]:
    """A tool message holds text alone, so that images move to the user message behind it.

    OpenAI has no mark for a failed tool: there, as elsewhere, the text of the result tells.
    """
    texts = [part for part in result.parts if isinstance(part, Text)]
    if not texts:
        texts = [Text(_IMAGE_FOLLOWS if result.parts else "error" if result.is_error else "")]
    return {"role": "tool", "tool_call_id": result.call_id, "content": _texts(texts, path)}


def _assistant(message: Message, path: str) -> dict[str, Any]:
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    said = [part for part in message.parts if not isinstance(part, ToolCall | Thinking)]
    encoded: dict[str, Any] = {"role": "assistant", "content": _texts(said, path) if said else None, **_name(message)}
    if calls:
        encoded |= {"tool_calls": calls, **_reasoning(message)}
    elif not said:
        encoded["content"] = ""
    return encoded


def _reasoning(message: Message) -> dict[str, Any]:
    """What a thinking model thought before it called tools, sent back to it as `reasoning_content`.

    DeepSeek and Kimi answer 400 where it is missing from such a message, and ignore it in others
    (https://api-docs.deepseek.com/guides/thinking_mode); Groq, Mistral and Cerebras refuse it anywhere, so that it
    goes out only where it is needed. Signed thinking is for the provider that signed it, and stays out.
    """
    thoughts = [part.text for part in message.parts if isinstance(part, Thinking) and part.text and not part.signature]
    return {"reasoning_content": "".join(thoughts)} if thoughts else {}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def _content(parts: Sequence[Part], path: str) -> str | list[dict[str, Any]]:
    """Only a user's message may hold images."""
    if any(isinstance(part, Image) for part in parts):
        return [_image(part) if isinstance(part, Image) else _text(part, path) for part in parts]
    return _texts(parts, path)


def _texts(parts: Sequence[Part], path: str) -> str | list[dict[str, Any]]:
    texts = [_text(part, path) for part in parts]
    return texts if len(texts) > 1 else "".join(text["text"] for text in texts)


def _text(part: Part, path: str) -> dict[str, Any]:
    if not isinstance(part, Text):
        raise unsupported(path, f"holds a {type(part).__name__}, for which OpenAI's dialect has no place there.")
    return {"type": "text", "text": part.text}


def _image(image: Image) -> dict[str, Any]:
    detail = {"detail": image.detail} if image.detail else {}
    return {"type": "image_url", "image_url": {"url": images.to_url(image), **detail}}


def _name(message: Message) -> dict[str, str]:
    return {"name": message.name} if message.name else {}
