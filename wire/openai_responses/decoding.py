"""The whole reading of a caller's body, for a provider of another dialect."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import FLAG, NUMBER, TEXT, WHOLE, Fields, Reader, refuse_others
from wire.dialect import Envelope
from wire.errors import unsupported
from wire.neutral import ChatRequest, Message, ResponseFormat, Text, Tool, ToolChoice
from wire.openai_responses import schema
from wire.openai_responses.messages_in import decode_input
from wire.standard_price import OPENAI

TRANSLATED = frozenset({
    "model", "input", "instructions", "stream", "max_output_tokens", "temperature", "top_p", "top_logprobs", "include",
    "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "user", "safety_identifier",
})  # fmt: skip

# Left out in translation, because the answer is the same without them.
DROPPED = frozenset({
    "client_metadata",  # labels of the client's own: Codex sends its installation's id with every call
    "max_tool_calls",  # bounds the calls of hosted tools, of which there are none
    "metadata",  # labels of stored responses
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",  # hints to OpenAI's cache
    "store",  # the door heeds it: no provider stores anything
    "stream_options",  # whether events are padded against eavesdroppers
})  # fmt: skip

# What asks for nothing that only OpenAI has, as long as it holds one of these values.
HARMLESS_VALUES: dict[str, list[Any]] = {
    "background": [False],
    "truncation": ["disabled"],
    **OPENAI,
}

LOGPROBS = "message.output_text.logprobs"

# What else may be included is about hosted tools, or comes in any case.
_INCLUDABLE = frozenset({
    LOGPROBS, "reasoning.encrypted_content", "message.input_image.image_url", "file_search_call.results",
    "web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
})  # fmt: skip

_TOOLS = Reader[list[schema.FunctionTool]](list[schema.FunctionTool] | None)
_CHOICE = Reader[str | schema.NamedChoice](str | schema.NamedChoice | None)
_TEXT = Reader[schema.TextConfig](schema.TextConfig | None)
_REASONING = Reader[schema.ReasoningConfig](schema.ReasoningConfig | None)
_INCLUDE = Reader[list[str]](list[str] | None, "an array of strings")
_TEMPERATURE = Reader[float](Annotated[float, msgspec.Meta(ge=0, le=2)] | None, "a number from 0 to 2")


def decode_chat(envelope: Envelope) -> ChatRequest:
    fields = envelope.fields
    refuse_others(fields, TRANSLATED | DROPPED, HARMLESS_VALUES)
    text = _TEXT.read(fields, "text") or schema.TextConfig()
    reasoning = _REASONING.read(fields, "reasoning") or schema.ReasoningConfig()
    top_logprobs = WHOLE.read(fields, "top_logprobs")
    return ChatRequest(
        model=envelope.model,
        messages=_instructions(fields) + decode_input(fields),
        max_output_tokens=envelope.max_output_tokens,
        temperature=_TEMPERATURE.read(fields, "temperature"),
        top_p=NUMBER.read(fields, "top_p"),
        tools=_tools(fields),
        tool_choice=_tool_choice(fields),
        parallel_tool_calls=FLAG.read(fields, "parallel_tool_calls"),
        response_format=_response_format(text),
        reasoning_effort=reasoning.effort,
        logprobs=_logprobs(fields, top_logprobs),
        top_logprobs=top_logprobs,
        stream=envelope.stream,
        end_user=envelope.end_user,
    )


def _instructions(fields: Fields) -> tuple[Message, ...]:
    instructions = TEXT.read(fields, "instructions")
    return (Message("system", (Text(instructions),)),) if instructions else ()


def _tools(fields: Fields) -> tuple[Tool, ...]:
    tools = _TOOLS.read(fields, "tools") or ()
    return tuple(Tool(tool.name, tool.description, tool.parameters, tool.strict) for tool in tools)


def _tool_choice(fields: Fields) -> ToolChoice | None:
    choice = _CHOICE.read(fields, "tool_choice")
    match choice:
        case None:
            return None
        case "auto" | "none" | "required" as mode:
            return ToolChoice(mode)
        case schema.NamedChoice():
            return ToolChoice("tool", choice.name)
        case _:
            raise unsupported("tool_choice", f"'{choice}' is not known: use none, auto, required or a function.")


def _response_format(text: schema.TextConfig) -> ResponseFormat | None:
    """The description goes into the schema: that is where other providers read one."""
    match text.format:
        case schema.JsonSchemaFormat() as wanted:
            described = {"description": wanted.description} if wanted.description else {}
            return ResponseFormat("json_schema", wanted.name, {**described, **wanted.schema}, wanted.strict)
        case schema.JsonObjectFormat():
            return ResponseFormat("json_object")
        case schema.TextFormat():
            return ResponseFormat("text")
        case None:
            return None


def _logprobs(fields: Fields, top_logprobs: int | None) -> bool | None:
    """`include` asks for them; a number of alternatives does so too."""
    wanted = _INCLUDE.read(fields, "include") or ()
    for name in wanted:
        if name not in _INCLUDABLE:
            raise unsupported("include", f"of '{name}' cannot be translated for the provider of this model.")
    return True if LOGPROBS in wanted or top_logprobs else None
