"""The shapes of OpenAI's Responses request, as far as they can be translated; all else is refused by name.

Source: openai-python 3.54.0, `types/responses/*_param.py`. Null and absent are one. Items carry ids and a status from
the answers that they come from, which mean nothing to a model.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class InputText(msgspec.Struct, tag="input_text", tag_field="type", forbid_unknown_fields=True):
    """`prompt_cache_breakpoint` is a hint to OpenAI's cache; without it the answer is the same."""

    text: str
    prompt_cache_breakpoint: Any = None


class InputImage(msgspec.Struct, tag="input_image", tag_field="type", forbid_unknown_fields=True):
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    prompt_cache_breakpoint: Any = None


class OutputText(msgspec.Struct, tag="output_text", tag_field="type", forbid_unknown_fields=True):
    """`annotations` are citations, `logprobs` figures, `parsed` repeats the text: clients echo what no model reads."""

    text: str
    annotations: Any = None
    logprobs: Any = None
    parsed: Any = None


class Refusal(msgspec.Struct, tag="refusal", tag_field="type", forbid_unknown_fields=True):
    refusal: str


Content = InputText | InputImage | OutputText | Refusal


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """The only item whose type may be left out. `phase` is a hint to newer models of OpenAI."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    type: Literal["message"] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class FunctionCall(msgspec.Struct, forbid_unknown_fields=True):
    """`parsed_arguments` repeats the arguments: openai-node echoes what it has parsed."""

    call_id: str
    name: str
    arguments: str
    type: str = "function_call"
    id: str | None = None
    status: str | None = None
    caller: dict[str, Any] | None = None
    namespace: str | None = None
    parsed_arguments: Any = None


class FunctionCallOutput(msgspec.Struct, forbid_unknown_fields=True):
    call_id: str
    output: str | list[InputText | InputImage]
    type: str = "function_call_output"
    id: str | None = None
    status: str | None = None
    caller: dict[str, Any] | None = None
    namespace: str | None = None
    name: str | None = None


class ReasoningText(msgspec.Struct):
    text: str


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    type: str = "reasoning"
    id: str | None = None
    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: str | None = None


Item = Message | FunctionCall | FunctionCallOutput | Reasoning


class Kind(msgspec.Struct):
    """What tells the kinds of items, and of tools, apart."""

    type: str | None = None


class Seal(msgspec.Struct):
    """What tells a reasoning item of another provider."""

    type: str | None = None
    encrypted_content: str | None = None


class FunctionTool(msgspec.Struct, tag="function", tag_field="type", forbid_unknown_fields=True):
    """`output_schema` describes to OpenAI's programs what a function returns."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: Literal[False] | None = None
    output_schema: Any = None


class NamedChoice(msgspec.Struct, tag="function", tag_field="type", forbid_unknown_fields=True):
    name: str


class TextFormat(msgspec.Struct, tag="text", tag_field="type", forbid_unknown_fields=True):
    pass


class JsonObjectFormat(msgspec.Struct, tag="json_object", tag_field="type", forbid_unknown_fields=True):
    pass


class JsonSchemaFormat(msgspec.Struct, tag="json_schema", tag_field="type", forbid_unknown_fields=True):
    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, forbid_unknown_fields=True):
    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningConfig(msgspec.Struct, forbid_unknown_fields=True):
    """`summary` says in which words OpenAI shows its models' thinking; others have one way."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: Literal["auto"] | None = None
    mode: Literal["standard"] | None = None
