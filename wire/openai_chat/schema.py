"""The shapes of OpenAI's chat request, as far as they can be translated; all else is refused by name.

Source: openai-python 3.54.0, `types/chat/chat_completion_*_param.py`. Null and absent are one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class TextPart(msgspec.Struct, tag="text", tag_field="type", forbid_unknown_fields=True):
    """`prompt_cache_breakpoint` is a hint to OpenAI's cache; without it the answer is the same."""

    text: str
    prompt_cache_breakpoint: Any = None


class ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, tag="image_url", tag_field="type", forbid_unknown_fields=True):
    image_url: ImageUrl
    prompt_cache_breakpoint: Any = None


class RefusalPart(msgspec.Struct, tag="refusal", tag_field="type", forbid_unknown_fields=True):
    refusal: str


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """`parsed_arguments` repeats the arguments, for openai-node echoes what it has parsed."""

    name: str
    arguments: str
    parsed_arguments: Any = None


class Call(msgspec.Struct, tag="function", tag_field="type", forbid_unknown_fields=True):
    """`index` comes back from clients that put streamed calls together."""

    id: str
    function: Function
    index: Any = None


class SystemMessage(msgspec.Struct, tag="system", tag_field="role", forbid_unknown_fields=True):
    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(msgspec.Struct, tag="developer", tag_field="role", forbid_unknown_fields=True):
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(msgspec.Struct, tag="user", tag_field="role", forbid_unknown_fields=True):
    content: str | list[TextPart | ImagePart]
    name: str | None = None


class AssistantMessage(msgspec.Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True):
    """`reasoning_content` (DeepSeek) and `reasoning` (vLLM, OpenRouter) are the model's thinking, sent back.

    Clients echo what the model does not read: `annotations` are citations of web pages, `parsed` repeats the content
    (openai-node), `provider_specific_fields` what was foreign in the answer (LiteLLM).
    """

    content: str | list[TextPart | RefusalPart] | None = None
    tool_calls: list[Call] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    name: str | None = None
    annotations: Any = None
    parsed: Any = None
    provider_specific_fields: Any = None
    audio: Any = None
    function_call: Any = None


class ToolMessage(msgspec.Struct, tag="tool", tag_field="role", forbid_unknown_fields=True):
    """`name` repeats the function's, which the call has told already."""

    tool_call_id: str
    content: str | list[TextPart | ImagePart]
    name: str | None = None


AnyMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionDefinition(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(msgspec.Struct, tag="function", tag_field="type", forbid_unknown_fields=True):
    function: FunctionDefinition


class FunctionName(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class NamedChoice(msgspec.Struct, tag="function", tag_field="type", forbid_unknown_fields=True):
    function: FunctionName


class JsonSchema(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(msgspec.Struct, tag="text", tag_field="type", forbid_unknown_fields=True):
    pass


class JsonObjectFormat(msgspec.Struct, tag="json_object", tag_field="type", forbid_unknown_fields=True):
    pass


class JsonSchemaFormat(msgspec.Struct, tag="json_schema", tag_field="type", forbid_unknown_fields=True):
    json_schema: JsonSchema


AnyFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
