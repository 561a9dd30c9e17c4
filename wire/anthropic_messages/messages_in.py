"""Anthropic's messages -> neutral ones, one for one."""

from __future__ import annotations

from collections.abc import Sequence

from wire.anthropic_messages import schema
from wire.body import json_object
from wire.errors import invalid, unsupported
from wire.neutral import CacheHint, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

Block = schema.UserBlock | schema.AssistantBlock


def decode_system(system: str | Sequence[schema.TextBlock] | None) -> tuple[Message, ...]:
    return (Message("system", tuple(_parts(system, "system"))),) if system else ()


def decode_messages(messages: Sequence[schema.AnyMessage] | None) -> tuple[Message, ...]:
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages or ()))


def cache_hint(control: schema.CacheControl | None) -> CacheHint | None:
    """Five minutes is Anthropic's default."""
    if control is None:
        return None
    return "1h" if control.ttl == "1h" else "5m"


def _message(message: schema.AnyMessage, path: str) -> Message:
    match message:
        case schema.UserMessage():
            return Message("user", tuple(_parts(message.content, f"{path}.content")))
        case schema.AssistantMessage():
            return Message("assistant", tuple(_parts(message.content, f"{path}.content")))
        case schema.SystemMessage():
            return Message("system", tuple(_parts(message.content, f"{path}.content")))


def _parts(content: str | Sequence[Block], path: str) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    return [_part(block, f"{path}[{index}]") for index, block in enumerate(content)]


def _part(block: Block, path: str) -> Part:
    match block:
        case schema.TextBlock() | schema.ImageBlock():
            return _shown(block, path)
        case schema.ToolUseBlock():
            return _tool_call(block, path)
        case schema.ToolResultBlock():
            return _tool_result(block, path)
        case schema.ThinkingBlock():
            return Thinking(block.thinking, signature=block.signature or None)
        case schema.RedactedThinkingBlock():
            return Thinking(redacted=block.data)


def _shown(block: schema.TextBlock | schema.ImageBlock, path: str) -> Text | Image:
    cache = cache_hint(block.cache_control)
    if isinstance(block, schema.TextBlock):
        if block.citations:
            raise unsupported(f"{path}.citations", "cannot be translated for the provider of this model.")
        return Text(block.text, cache)
    if block.transformations:
        raise unsupported(f"{path}.transformations", "cannot be translated for the provider of this model.")
    if isinstance(block.source, schema.UrlSource):
        return Image(url=block.source.url, cache=cache)
    return Image(data=block.source.data, media_type=block.source.media_type, cache=cache)


def _tool_call(block: schema.ToolUseBlock, path: str) -> ToolCall:
    """A cache hint on a call has no place among the neutral parts, and goes."""
    if block.toolset_name or (block.caller or {}).get("type", "direct") != "direct":
        raise unsupported(
            path, "is a call of a hosted tool, which cannot be translated for the provider of this model."
        )
    if json_object(block.input) is None:
        raise invalid(f"'{path}.input' must be an object.", param=f"{path}.input")
    return ToolCall(block.id, block.name, bytes(block.input).decode())


def _tool_result(block: schema.ToolResultBlock, path: str) -> ToolResult:
    if block.toolset_name:
        raise unsupported(f"{path}.toolset_name", "cannot be translated for the provider of this model.")
    content = [schema.TextBlock(block.content)] if isinstance(block.content, str) else block.content or ()
    parts = tuple(_shown(shown, f"{path}.content[{index}]") for index, shown in enumerate(content))
    return ToolResult(block.tool_use_id, parts, block.is_error or False, cache_hint(block.cache_control))
