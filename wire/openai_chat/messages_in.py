"""OpenAI's messages -> neutral ones, one for one, so that an index means the same message in both."""

from __future__ import annotations

from collections.abc import Sequence

from wire import images
from wire.errors import unsupported
from wire.neutral import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from wire.openai_chat import schema


def decode_messages(messages: Sequence[schema.AnyMessage]) -> tuple[Message, ...]:
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _message(message: schema.AnyMessage, path: str) -> Message:
    match message:
        case schema.SystemMessage() | schema.DeveloperMessage():
            return Message("system", tuple(_content(message.content, path)), message.name)
        case schema.UserMessage():
            return Message("user", tuple(_content(message.content, path)), message.name)
        case schema.ToolMessage():
            return Message("user", (ToolResult(message.tool_call_id, tuple(_content(message.content, path))),))
        case schema.AssistantMessage():
            return Message("assistant", _assistant_parts(message, path), message.name)


def _content(content: str | Sequence[schema.TextPart | schema.ImagePart], path: str) -> list[Text | Image]:
    if isinstance(content, str):
        return [Text(content)]
    return [_part(part, f"{path}.content[{index}]") for index, part in enumerate(content)]


def _part(part: schema.TextPart | schema.ImagePart, path: str) -> Text | Image:
    if isinstance(part, schema.TextPart):
        return Text(part.text)
    return images.from_url(part.image_url.url, detail=part.image_url.detail, param=f"{path}.image_url.url")


def _assistant_parts(message: schema.AssistantMessage, path: str) -> tuple[Part, ...]:
    if message.audio:
        raise unsupported(f"{path}.audio", "cannot be translated for the provider of this model.")
    if message.function_call:
        raise unsupported(f"{path}.function_call", "is OpenAI's old form: use tool_calls.")
    thinking = message.reasoning_content or message.reasoning
    parts: list[Part] = [Thinking(thinking)] if thinking else []
    parts += _assistant_texts(message)
    parts += [ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return tuple(parts)


def _assistant_texts(message: schema.AssistantMessage) -> list[Text]:
    """A refusal is what the model said, so it stays in the conversation as text."""
    content = [schema.TextPart(message.content)] if isinstance(message.content, str) else message.content or []
    texts = [part.text if isinstance(part, schema.TextPart) else part.refusal for part in content]
    return [Text(text) for text in [*texts, message.refusal] if text]
