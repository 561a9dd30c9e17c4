"""The shapes of Gemini's request, as far as they can be translated; all else is refused by name.

Source: google-genai 3.4.0, `types.py` (`Part`, `Content`, `Tool` …). Null and absent are one. Google's JSON takes a
single object for a list of one, and its own examples do so for `parts`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Blob(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`display_name` is a label that prompts can refer to."""

    data: str
    mime_type: str | None = None
    display_name: str | None = None


class FileData(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class FunctionCall(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: str
    args: msgspec.Raw = msgspec.Raw()
    id: str | None = None


class ResultPart(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: str
    response: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None
    parts: list[ResultPart] | None = None


class Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One of its members but `thought`, `thought_signature` and the hints says what it is.

    `media_resolution` is about how closely a picture is looked at, as OpenAI's `detail` is; `part_metadata` is the
    caller's own.
    """

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    media_resolution: Any = None
    part_metadata: Any = None


class Content(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`function` is the role of results in older clients."""

    parts: list[Part] | Part | None = None
    role: Literal["user", "model", "function"] | None = None


class SystemPart(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    text: str


class SystemInstruction(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Its role is ignored."""

    parts: list[SystemPart] | SystemPart | None = None
    role: str | None = None


class FunctionDeclaration(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`parameters` is Google's subset of OpenAPI 3.0, `parameters_json_schema` JSON Schema.

    The schema of the result, which Google's client writes unasked, is left out: the model sees the result itself.
    """

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None
    response: Any = None
    response_json_schema: Any = None


class Tool(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The hosted ones (`googleSearch`, `codeExecution` …) are not among its members, and so refused."""

    function_declarations: list[FunctionDeclaration] | None = None


class FunctionCallingConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    mode: Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"] | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`include_thoughts` is about what is shown of them."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class SafetySetting(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    category: str | None = None
    threshold: str | None = None
    method: Any = None
