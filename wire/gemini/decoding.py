"""The whole reading of a caller's body, for a provider of another dialect."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import FLAG, NUMBER, TEXT, WHOLE, Fields, Reader, refuse_others
from wire.dialect import Envelope
from wire.errors import invalid, unsupported
from wire.gemini import schema
from wire.gemini.messages_in import decode_contents, decode_system
from wire.gemini.names import camel
from wire.gemini.openapi import json_schema
from wire.gemini.opening import CONFIG
from wire.neutral import ChatRequest, ResponseFormat, Tool, ToolChoice
from wire.standard_price import GEMINI

TRANSLATED = frozenset({
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "model",
    *(CONFIG + name for name in (
        "maxOutputTokens", "candidateCount", "temperature", "topP", "topK", "frequencyPenalty", "presencePenalty",
        "seed", "stopSequences", "responseLogprobs", "logprobs", "thinkingConfig", "responseMimeType",
        "responseSchema", "responseJsonSchema",
    )),
})  # fmt: skip

# Left out in translation, because the answer is the same without them, or they are hints.
DROPPED = frozenset({
    "labels",  # of the bill that Google writes
    CONFIG + "mediaResolution",  # as OpenAI's `detail`, which goes no further than OpenAI either
})  # fmt: skip

# What asks for nothing that only Google has, as long as it holds one of these values.
HARMLESS_VALUES: dict[str, list[Any]] = {
    "store": [False],
    CONFIG + "responseModalities": [["TEXT"]],
    CONFIG + "audioTimestamp": [False],
    CONFIG + "enableEnhancedCivicAnswers": [False],
    **GEMINI,
}

# Google's filters, which no other provider has, may be off.
_OFF = (None, "OFF", "BLOCK_NONE", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
_LEVELS = {"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
_UNSPECIFIED = (None, "THINKING_LEVEL_UNSPECIFIED")
_AUTOMATIC = -1
_CHOICES = {
    "AUTO": ToolChoice("auto"),
    "VALIDATED": ToolChoice("auto"),
    "ANY": ToolChoice("required"),
    "NONE": ToolChoice("none"),
}

_CONTENTS = Reader[list[schema.Content] | schema.Content](list[schema.Content] | schema.Content)
_SYSTEM = Reader[schema.SystemInstruction](schema.SystemInstruction | None)
_TOOLS = Reader[list[schema.Tool] | schema.Tool](list[schema.Tool] | schema.Tool | None)
_TOOL_CONFIG = Reader[schema.ToolConfig](schema.ToolConfig | None)
_SAFETY = Reader[list[schema.SafetySetting]](list[schema.SafetySetting] | None)
_THINKING = Reader[schema.ThinkingConfig](schema.ThinkingConfig | None)
_OBJECT = Reader[dict[str, Any]](dict[str, Any] | None, "an object")
_STOPS = Reader[list[str]](list[str] | None, "an array of strings")
_TEMPERATURE = Reader[float](Annotated[float, msgspec.Meta(ge=0, le=2)] | None, "a number from 0 to 2")
_CAMEL = ("contents", "systemInstruction", "tools", "toolConfig", "safetySettings", CONFIG + "thinkingConfig")


def decode_chat(envelope: Envelope) -> ChatRequest:
    refuse_others(envelope.fields, TRANSLATED | DROPPED, HARMLESS_VALUES)
    fields = envelope.fields | {name: camel(envelope.fields[name]) for name in _CAMEL if name in envelope.fields}
    _refuse_safety(fields)
    calling = (_TOOL_CONFIG.read(fields, "toolConfig") or schema.ToolConfig()).function_calling_config
    tools = _tools(fields, is_strict=calling is not None and calling.mode == "VALIDATED")
    contents = _CONTENTS.read(fields, "contents") or []
    thinking = _THINKING.read(fields, f"{CONFIG}thinkingConfig") or schema.ThinkingConfig()
    return ChatRequest(
        model=envelope.model,
        messages=decode_system(_SYSTEM.read(fields, "systemInstruction"))
        + decode_contents(contents if isinstance(contents, list) else [contents]),
        max_output_tokens=envelope.max_output_tokens,
        choices=envelope.choices,
        temperature=_TEMPERATURE.read(fields, f"{CONFIG}temperature"),
        top_p=NUMBER.read(fields, f"{CONFIG}topP"),
        top_k=_top_k(fields),
        frequency_penalty=NUMBER.read(fields, f"{CONFIG}frequencyPenalty"),
        presence_penalty=NUMBER.read(fields, f"{CONFIG}presencePenalty"),
        seed=WHOLE.read(fields, f"{CONFIG}seed"),
        stop=tuple(_STOPS.read(fields, f"{CONFIG}stopSequences") or ()),
        tools=tools,
        tool_choice=_tool_choice(calling, tools),
        response_format=_response_format(fields),
        reasoning_effort=_effort(thinking),
        thinking_budget_tokens=thinking.thinking_budget if (thinking.thinking_budget or 0) > 0 else None,
        logprobs=FLAG.read(fields, f"{CONFIG}responseLogprobs"),
        top_logprobs=WHOLE.read(fields, f"{CONFIG}logprobs"),
        stream=envelope.stream,
    )


def _refuse_safety(fields: Fields) -> None:
    for at, setting in enumerate(_SAFETY.read(fields, "safetySettings") or ()):
        if setting.threshold not in _OFF:
            raise unsupported(f"safetySettings[{at}]", "is a filter of Google's: the provider of this model has none.")


def _top_k(fields: Fields) -> int | None:
    """Google's clients send it as a float."""
    top_k = NUMBER.read(fields, f"{CONFIG}topK")
    if top_k is not None and top_k != int(top_k):
        raise invalid(f"'{CONFIG}topK' must be a whole number.", param=f"{CONFIG}topK")
    return None if top_k is None else int(top_k)


def _tools(fields: Fields, *, is_strict: bool) -> tuple[Tool, ...]:
    given = _TOOLS.read(fields, "tools") or []
    tools = given if isinstance(given, list) else [given]
    return tuple(
        _tool(declared, f"tools[{at}].functionDeclarations[{number}]", strict=True if is_strict else None)
        for at, tool in enumerate(tools)
        for number, declared in enumerate(tool.function_declarations or ())
    )


def _tool(declared: schema.FunctionDeclaration, path: str, *, strict: bool | None) -> Tool:
    parameters = declared.parameters_json_schema
    if parameters is None and declared.parameters is not None:
        parameters = json_schema(declared.parameters, f"{path}.parameters")
    return Tool(declared.name, declared.description, parameters, strict)


def _tool_choice(calling: schema.FunctionCallingConfig | None, tools: tuple[Tool, ...]) -> ToolChoice | None:
    """VALIDATED is AUTO with strict tools."""
    if calling is None or calling.mode in (None, "MODE_UNSPECIFIED"):
        return None
    allowed = set(calling.allowed_function_names or ())
    if calling.mode == "ANY" and len(allowed) == 1:
        return ToolChoice("tool", allowed.pop())
    if allowed and allowed != {tool.name for tool in tools}:
        path = "toolConfig.functionCallingConfig.allowedFunctionNames"
        raise unsupported(path, "must name one function, or all, and with mode ANY, for the provider of this model.")
    return _CHOICES[calling.mode]


def _response_format(fields: Fields) -> ResponseFormat | None:
    """Gemini keeps to a schema strictly, always."""
    kind = TEXT.read(fields, f"{CONFIG}responseMimeType")
    if kind is None:
        return None
    if kind == "text/plain":
        return ResponseFormat("text")
    if kind != "application/json":
        raise unsupported(f"{CONFIG}responseMimeType", f"of '{kind}' cannot be translated for this provider.")
    wanted = _OBJECT.read(fields, f"{CONFIG}responseJsonSchema")
    if wanted is None:
        subset = _OBJECT.read(fields, f"{CONFIG}responseSchema")
        wanted = None if subset is None else json_schema(subset, f"{CONFIG}responseSchema")
    return ResponseFormat("json_object") if wanted is None else ResponseFormat("json_schema", None, wanted, strict=True)


def _effort(thinking: schema.ThinkingConfig) -> str | None:
    """A budget of 0 is no thinking; -1 is as much as the model likes, which is what saying nothing means."""
    if thinking.thinking_level not in _UNSPECIFIED:
        level = str(thinking.thinking_level).upper()
        if level not in _LEVELS:
            path = f"{CONFIG}thinkingConfig.thinkingLevel"
            raise invalid(f"'{path}' must be one of {', '.join(sorted(_LEVELS))}.", param=path)
        return level.lower()
    budget = thinking.thinking_budget
    if budget is not None and budget < _AUTOMATIC:
        path = f"{CONFIG}thinkingConfig.thinkingBudget"
        raise invalid(f"'{path}' must be -1 or more.", param=path)
    return "none" if budget == 0 else None
