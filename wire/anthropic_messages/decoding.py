"""The whole reading of a caller's body, for a provider of another dialect."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.anthropic_messages import schema
from wire.anthropic_messages.messages_in import cache_hint, decode_messages, decode_system
from wire.body import NUMBER, WHOLE, Fields, Reader, refuse_others
from wire.dialect import Envelope
from wire.errors import unsupported
from wire.neutral import ChatRequest, ResponseFormat, Tool, ToolChoice
from wire.standard_price import ANTHROPIC

TRANSLATED = frozenset({
    "model", "messages", "system", "max_tokens", "metadata", "stream", "stop_sequences",
    "temperature", "top_k", "top_p", "thinking", "output_config", "tools", "tool_choice", "context_management",
})  # fmt: skip

# Left out in translation, because the answer is the same without them.
DROPPED = frozenset({
    "cache_control",  # a hint to Anthropic's cache
    "diagnostics",  # about that cache
    "service_tier",  # "auto" and "standard_only" differ in which of Anthropic's capacity serves the call
})  # fmt: skip

# What asks for nothing that only Anthropic has, as long as it holds one of these values.
HARMLESS_VALUES: dict[str, list[Any]] = {**ANTHROPIC}

_MESSAGES = Reader[list[schema.AnyMessage]](list[schema.AnyMessage])
_SYSTEM = Reader[str | list[schema.TextBlock]](str | list[schema.TextBlock] | None)
_TOOLS = Reader[list[schema.Tool]](list[schema.Tool] | None)
_TOOL_KINDS = Reader[list[schema.ToolKind]](list[schema.ToolKind] | None)
_CHOICE = Reader[schema.ToolChoice](schema.ToolChoice | None)
_THINKING = Reader[schema.ThinkingConfig](schema.ThinkingConfig | None)
_OUTPUT = Reader[schema.OutputConfig](schema.OutputConfig | None)
_STOPS = Reader[list[str]](list[str] | None, "an array of strings")
_TEMPERATURE = Reader[float](Annotated[float, msgspec.Meta(ge=0, le=1)] | None, "a number from 0 to 1")
_CONTEXT = Reader[dict[str, list[dict[str, Any]]]](dict[str, list[dict[str, Any]]] | None)


def decode_chat(envelope: Envelope) -> ChatRequest:
    fields = envelope.fields
    refuse_others(fields, TRANSLATED | DROPPED, HARMLESS_VALUES)
    _refuse_context_edits(fields)
    if envelope.max_output_tokens == 0:
        raise unsupported("max_tokens", "of 0 warms Anthropic's prompt cache, which the provider of this model lacks.")
    choice = _CHOICE.read(fields, "tool_choice")
    output = _OUTPUT.read(fields, "output_config") or schema.OutputConfig()
    thinking = _THINKING.read(fields, "thinking")
    return ChatRequest(
        model=envelope.model,
        messages=decode_system(_SYSTEM.read(fields, "system")) + decode_messages(_MESSAGES.read(fields, "messages")),
        max_output_tokens=envelope.max_output_tokens,
        temperature=_TEMPERATURE.read(fields, "temperature"),
        top_p=NUMBER.read(fields, "top_p"),
        top_k=WHOLE.read(fields, "top_k"),
        stop=tuple(_STOPS.read(fields, "stop_sequences") or ()),
        tools=_tools(fields),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=_parallel_tool_calls(choice),
        response_format=_response_format(output),
        reasoning_effort="none" if isinstance(thinking, schema.DisabledThinking) else output.effort,
        thinking_budget_tokens=thinking.budget_tokens if isinstance(thinking, schema.EnabledThinking) else None,
        stream=envelope.stream,
        end_user=envelope.end_user,
    )


def _refuse_context_edits(fields: Fields) -> None:
    """Clearing old thinking (Claude Code asks for it always) does nothing where old thinking is never sent."""
    edits = (_CONTEXT.read(fields, "context_management") or {}).get("edits", ())
    for edit in edits:
        if not str(edit.get("type")).startswith("clear_thinking_"):
            raise unsupported("context_management", f"of {edit.get('type')} cannot be translated for this provider.")


def _tools(fields: Fields) -> tuple[Tool, ...]:
    for index, kind in enumerate(_TOOL_KINDS.read(fields, "tools") or ()):
        if kind.type not in (None, "custom"):
            raise unsupported(f"tools[{index}].type", f"'{kind.type}' is a tool that only Anthropic has.")
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(_TOOLS.read(fields, "tools") or ()))


def _tool(tool: schema.Tool, path: str) -> Tool:
    if tool.defer_loading:
        raise unsupported(f"{path}.defer_loading", "cannot be translated for the provider of this model.")
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache_hint(tool.cache_control))


def _tool_choice(choice: schema.ToolChoice | None) -> ToolChoice | None:
    match choice:
        case schema.AutoChoice():
            return ToolChoice("auto")
        case schema.AnyChoice():
            return ToolChoice("required")
        case schema.NamedChoice():
            return ToolChoice("tool", choice.name)
        case schema.NoChoice():
            return ToolChoice("none")
        case None:
            return None


def _parallel_tool_calls(choice: schema.ToolChoice | None) -> bool | None:
    if choice is None or isinstance(choice, schema.NoChoice) or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _response_format(output: schema.OutputConfig) -> ResponseFormat | None:
    """Anthropic keeps to a schema strictly, always."""
    return ResponseFormat("json_schema", schema=output.format.schema, strict=True) if output.format else None
