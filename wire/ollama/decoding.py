"""The whole reading of a caller's body, for a provider of another dialect."""

from __future__ import annotations

from typing import Any

from wire.body import FLAG, NUMBER, WHOLE, Fields, Reader, refuse_others
from wire.dialect import Envelope
from wire.errors import invalid
from wire.neutral import ChatRequest, Message, ResponseFormat, Tool
from wire.ollama import schema
from wire.ollama.messages_in import decode_messages
from wire.ollama.options import read_options, refuse_others_than_ours

TRANSLATED = frozenset({
    "model", "messages", "stream", "options", "tools", "format", "think", "logprobs", "top_logprobs",
})  # fmt: skip

# Left out in translation, because the answer is the same without them.
DROPPED = frozenset({
    "keep_alive",  # how long a machine of the caller's own would keep the model in its memory
    "shift", "truncate",  # what it would do where the conversation outgrows its memory
})  # fmt: skip

_MESSAGES = Reader[list[schema.Message]](list[schema.Message])
_TOOLS = Reader[list[schema.Tool]](list[schema.Tool] | None)
_FORMAT = Reader[str | dict[str, Any]](str | dict[str, Any] | None, '"json" or a JSON schema')
_THINK = Reader[bool | str](bool | str | None, 'true, false, "low", "medium", "high" or "max"')
_STOP = Reader[str | list[str]](str | list[str] | None, "a string or an array of strings")


def decode_chat(envelope: Envelope) -> ChatRequest:
    refuse_others(envelope.fields, TRANSLATED | DROPPED, {})
    return request_of(envelope, decode_messages(_MESSAGES.read(envelope.fields, "messages") or ()))


def request_of(envelope: Envelope, messages: tuple[Message, ...]) -> ChatRequest:
    """What `/api/chat` and `/api/generate` have in common."""
    fields, options = envelope.fields, read_options(envelope.fields)
    refuse_others_than_ours(options)
    return ChatRequest(
        model=envelope.model,
        messages=messages,
        max_output_tokens=envelope.max_output_tokens,
        temperature=NUMBER.read(options, "options.temperature"),
        top_p=NUMBER.read(options, "options.top_p"),
        top_k=WHOLE.read(options, "options.top_k"),
        frequency_penalty=NUMBER.read(options, "options.frequency_penalty"),
        presence_penalty=NUMBER.read(options, "options.presence_penalty"),
        seed=WHOLE.read(options, "options.seed"),
        stop=_stop(options),
        tools=_tools(fields),
        response_format=_response_format(fields),
        reasoning_effort=_effort(fields),
        logprobs=FLAG.read(fields, "logprobs"),
        top_logprobs=WHOLE.read(fields, "top_logprobs"),
        stream=envelope.stream,
    )


def _stop(options: Fields) -> tuple[str, ...]:
    stop = _STOP.read(options, "options.stop")
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _tools(fields: Fields) -> tuple[Tool, ...]:
    functions = [tool.function for tool in _TOOLS.read(fields, "tools") or ()]
    return tuple(
        Tool(function.name, function.description, function.parameters, function.strict) for function in functions
    )


def _response_format(fields: Fields) -> ResponseFormat | None:
    """Ollama generates by the schema's grammar, which is strict."""
    wanted = _FORMAT.read(fields, "format")
    if not wanted:
        return None
    if isinstance(wanted, dict):
        return ResponseFormat("json_schema", schema=wanted, strict=True)
    if wanted != "json":
        raise invalid("'format' must be \"json\" or a JSON schema.", param="format")
    return ResponseFormat("json_object")


def _effort(fields: Fields) -> str | None:
    think = _THINK.read(fields, "think")
    if isinstance(think, bool):
        return "medium" if think else "none"
    return think or None
