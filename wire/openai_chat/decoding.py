"""The whole reading of a caller's chat body, for a provider of another dialect."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import FLAG, NUMBER, TEXT, WHOLE, Fields, Reader, refuse_others
from wire.dialect import Envelope
from wire.errors import unsupported
from wire.neutral import ChatRequest, ResponseFormat, Tool, ToolChoice
from wire.openai_chat import schema
from wire.openai_chat.messages_in import decode_messages
from wire.standard_price import OPENAI

TRANSLATED = frozenset({
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop",
    "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "reasoning_effort", "user", "safety_identifier",
})  # fmt: skip

# Left out in translation, because the answer is the same without them.
DROPPED = frozenset({
    "metadata",  # labels of completions stored at OpenAI
    "prediction",  # makes a known answer come faster
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",  # hints to OpenAI's cache
})  # fmt: skip

# What asks for nothing that only OpenAI has, as long as it holds one of these values.
HARMLESS_VALUES: dict[str, list[Any]] = {
    "function_call": ["auto", "none"],
    "modalities": [["text"]],
    "store": [False],
    "verbosity": ["medium"],
    **OPENAI,
}

_MESSAGES = Reader[list[schema.AnyMessage]](list[schema.AnyMessage])
_TOOLS = Reader[list[schema.FunctionTool]](list[schema.FunctionTool] | None)
_CHOICE = Reader[str | schema.NamedChoice](str | schema.NamedChoice | None)
_FORMAT = Reader[schema.AnyFormat](schema.AnyFormat | None)
_STOP = Reader[str | list[str]](str | list[str] | None, "a string or an array of strings")
_TEMPERATURE = Reader[float](Annotated[float, msgspec.Meta(ge=0, le=2)] | None, "a number from 0 to 2")


def decode_chat(envelope: Envelope) -> ChatRequest:
    fields = envelope.fields
    refuse_others(fields, TRANSLATED | DROPPED, HARMLESS_VALUES)
    messages = _MESSAGES.read(fields, "messages")
    return ChatRequest(
        model=envelope.model,
        messages=decode_messages(messages or ()),
        max_output_tokens=envelope.max_output_tokens,
        choices=envelope.choices,
        temperature=_TEMPERATURE.read(fields, "temperature"),
        top_p=NUMBER.read(fields, "top_p"),
        top_k=WHOLE.read(fields, "top_k"),
        frequency_penalty=NUMBER.read(fields, "frequency_penalty"),
        presence_penalty=NUMBER.read(fields, "presence_penalty"),
        seed=WHOLE.read(fields, "seed"),
        stop=_stop(fields),
        tools=_tools(fields),
        tool_choice=_tool_choice(fields),
        parallel_tool_calls=FLAG.read(fields, "parallel_tool_calls"),
        response_format=_response_format(fields),
        reasoning_effort=TEXT.read(fields, "reasoning_effort"),
        logprobs=FLAG.read(fields, "logprobs"),
        top_logprobs=WHOLE.read(fields, "top_logprobs"),
        stream=envelope.stream,
        show_usage=envelope.show_usage,
        end_user=envelope.end_user,
    )


def _stop(fields: Fields) -> tuple[str, ...]:
    stop = _STOP.read(fields, "stop")
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _tools(fields: Fields) -> tuple[Tool, ...]:
    functions = [tool.function for tool in _TOOLS.read(fields, "tools") or ()]
    return tuple(
        Tool(
            name=function.name,
            description=function.description,
            parameters=function.parameters,
            strict=function.strict,
        )
        for function in functions
    )


def _tool_choice(fields: Fields) -> ToolChoice | None:
    choice = _CHOICE.read(fields, "tool_choice")
    match choice:
        case None:
            return None
        case "auto" | "none" | "required" as mode:
            return ToolChoice(mode)
        case schema.NamedChoice():
            return ToolChoice("tool", choice.function.name)
        case _:
            raise unsupported("tool_choice", f"'{choice}' is not known: use none, auto, required or a function.")


def _response_format(fields: Fields) -> ResponseFormat | None:
    wanted = _FORMAT.read(fields, "response_format")
    match wanted:
        case schema.JsonSchemaFormat():
            return _json_schema(wanted.json_schema)
        case schema.JsonObjectFormat():
            return ResponseFormat("json_object")
        case schema.TextFormat():
            return ResponseFormat("text")
        case None:
            return None


def _json_schema(wanted: schema.JsonSchema) -> ResponseFormat:
    """The description goes into the schema: that is where other providers read one."""
    described = {"description": wanted.description} if wanted.description else {}
    return ResponseFormat("json_schema", wanted.name, {**described, **(wanted.schema or {})}, wanted.strict)
