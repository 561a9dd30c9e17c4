"""The shapes of Anthropic's Messages request, as far as they can be translated; all else is refused by name.

Source: anthropic-sdk-python 2.12.0, `types/*_param.py`. Null and absent are one. The sampling parameters have left the
SDK's types, but the API still takes them for the models that know them.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class CacheControl(msgspec.Struct):
    """A hint, so that keys which are new to us do no harm."""

    ttl: str | None = None


class TextBlock(msgspec.Struct, tag="text", tag_field="type", forbid_unknown_fields=True):
    text: str
    cache_control: CacheControl | None = None
    citations: list[Any] | None = None


class Base64Source(msgspec.Struct, tag="base64", tag_field="type", forbid_unknown_fields=True):
    data: str
    media_type: str


class UrlSource(msgspec.Struct, tag="url", tag_field="type", forbid_unknown_fields=True):
    url: str


class ImageBlock(msgspec.Struct, tag="image", tag_field="type", forbid_unknown_fields=True):
    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None
    transformations: dict[str, Any] | None = None


class ThinkingBlock(msgspec.Struct, tag="thinking", tag_field="type", forbid_unknown_fields=True):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(msgspec.Struct, tag="redacted_thinking", tag_field="type", forbid_unknown_fields=True):
    data: str


class ToolUseBlock(msgspec.Struct, tag="tool_use", tag_field="type", forbid_unknown_fields=True):
    """`caller` says who asked for the call; the model itself is "direct"."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: CacheControl | None = None
    caller: dict[str, Any] | None = None
    toolset_name: str | None = None


class ToolResultBlock(msgspec.Struct, tag="tool_result", tag_field="type", forbid_unknown_fields=True):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: str | None = None


UserBlock = TextBlock | ImageBlock | ToolResultBlock
AssistantBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock


class UserMessage(msgspec.Struct, tag="user", tag_field="role", forbid_unknown_fields=True):
    content: str | list[UserBlock]


class AssistantMessage(msgspec.Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True):
    content: str | list[AssistantBlock]


class SystemMessage(msgspec.Struct, tag="system", tag_field="role", forbid_unknown_fields=True):
    """Claude Code sends them, between the others.

    https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
    """

    content: str | list[TextBlock]


AnyMessage = UserMessage | AssistantMessage | SystemMessage


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """`eager_input_streaming` is about when the caller gets the input, not about what is in it."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    type: str | None = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None


class ToolKind(msgspec.Struct):
    """Hosted tools, and those that Anthropic defines, have a type other than "custom"."""

    type: str | None = None


class ContextManagement(msgspec.Struct):
    edits: list[ToolKind] | None = None


class AutoChoice(msgspec.Struct, tag="auto", tag_field="type", forbid_unknown_fields=True):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(msgspec.Struct, tag="any", tag_field="type", forbid_unknown_fields=True):
    disable_parallel_tool_use: bool | None = None


class NamedChoice(msgspec.Struct, tag="tool", tag_field="type", forbid_unknown_fields=True):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(msgspec.Struct, tag="none", tag_field="type", forbid_unknown_fields=True):
    pass


ToolChoice = AutoChoice | AnyChoice | NamedChoice | NoChoice


class EnabledThinking(msgspec.Struct, tag="enabled", tag_field="type", forbid_unknown_fields=True):
    """`display` is how Anthropic shows its thinking; others have one way."""

    budget_tokens: int
    display: str | None = None


class AdaptiveThinking(msgspec.Struct, tag="adaptive", tag_field="type", forbid_unknown_fields=True):
    display: str | None = None


class DisabledThinking(msgspec.Struct, tag="disabled", tag_field="type", forbid_unknown_fields=True):
    pass


ThinkingConfig = EnabledThinking | AdaptiveThinking | DisabledThinking


class JsonFormat(msgspec.Struct, tag="json_schema", tag_field="type", forbid_unknown_fields=True):
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    effort: str | None = None
    format: JsonFormat | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None
