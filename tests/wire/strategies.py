"""Neutral requests and answers for Hypothesis, as far as each dialect can say them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from wire.neutral import (
    CacheHint,
    ChatRequest,
    ChatResponse,
    Choice,
    FinishReason,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(CHARACTERS, min_size=1, max_size=30).filter(str.strip)
names = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1, max_size=20)
ids = names.map(lambda name: f"call_{name}")
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(CHARACTERS, max_size=8),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARACTERS, max_size=8),
    max_size=3,
)
# As OpenAI's strict mode and Anthropic take them: others are changed on the way (`test_schemas.py`).
schemas: st.SearchStrategy[dict[str, Any]] = st.dictionaries(names, st.just({"type": "string"}), max_size=2).map(
    lambda members: {
        "type": "object", "properties": members, "required": [*members], "additionalProperties": False,
    }
)  # fmt: skip
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())
urls = names.map(lambda name: f"https://pictures.example/{name}.png")
base64 = st.binary(min_size=1, max_size=40).map(lambda data: b64encode(data).decode())
counts = st.integers(0, 10**9)
probabilities = st.floats(0, 1)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


calls = st.builds(ToolCall, ids, names, arguments)
call_lists = st.lists(calls, max_size=3, unique_by=lambda call: call.id)
pictures = st.builds(Image, url=urls) | st.builds(
    Image, data=base64, media_type=st.sampled_from(["image/png", "image/jpeg"])
)

# --- what OpenAI's dialect can say ---

plain_texts = st.builds(Text, texts)
openai_pictures = st.builds(msgspec.structs.replace, pictures, detail=maybe(st.sampled_from(["low", "high", "auto"])))


@st.composite
def openai_assistant(draw: st.DrawFn) -> Message:
    made: list[Part] = list(draw(call_lists))
    said: list[Part] = list(draw(st.lists(plain_texts, max_size=3, min_size=0 if made else 1)))
    thought: list[Part] = list(draw(st.lists(st.builds(Thinking, texts), max_size=1 if made else 0)))
    return Message("assistant", (*thought, *said, *made), draw(maybe(names)))


def openai_message(role: str, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.just(role), st.lists(parts, min_size=1, max_size=3).map(tuple), maybe(names))


openai_results = st.builds(ToolResult, ids, st.lists(plain_texts, min_size=1, max_size=2).map(tuple))
openai_messages = st.one_of(
    openai_message("system", plain_texts),
    openai_message("user", plain_texts | openai_pictures),
    openai_assistant(),
    openai_results.map(lambda result: Message("user", (result,))),
)
openai_tools = st.builds(Tool, names, maybe(texts), maybe(schemas), maybe(st.booleans()))
choices = st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("tool", "f")])
openai_formats = st.sampled_from([ResponseFormat("text"), ResponseFormat("json_object")]) | st.builds(
    ResponseFormat, st.just("json_schema"), names, schemas, maybe(st.booleans())
)


@st.composite
def openai_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Of a model that knows the effort "none", and takes sampling while it does not think."""
    effort = draw(maybe(st.sampled_from(["none", "minimal", "low", "high"])))
    sampled = effort in (None, "none")
    return {
        "model": f"gpt-5.1/{draw(names)}",
        "reasoning_effort": effort,
        "temperature": draw(maybe(st.floats(0, 2))) if sampled else None,
        "top_p": draw(maybe(probabilities)) if sampled else None,
    }


@st.composite
def openai_requests(draw: st.DrawFn) -> ChatRequest:
    tools = tuple(draw(st.lists(openai_tools, max_size=2)))
    return ChatRequest(
        **draw(openai_settings()),
        messages=tuple(draw(st.lists(openai_messages, min_size=1, max_size=5))),
        max_output_tokens=draw(maybe(st.integers(1, 10**6))),
        choices=draw(st.integers(1, 5)),
        frequency_penalty=draw(maybe(st.floats(-2, 2))),
        presence_penalty=draw(maybe(st.floats(-2, 2))),
        seed=draw(maybe(counts)),
        stop=tuple(draw(st.lists(texts, max_size=4))),
        tools=tools,
        tool_choice=draw(maybe(choices)) if tools else None,
        parallel_tool_calls=draw(maybe(st.booleans())) if tools else None,
        response_format=draw(maybe(openai_formats)),
        logprobs=draw(maybe(st.booleans())),
        top_logprobs=draw(maybe(st.integers(0, 20))),
        stream=draw(st.booleans()),
        end_user=draw(maybe(names)),
    )


# --- what Anthropic's dialect can say ---

hints: st.SearchStrategy[CacheHint | None] = st.sampled_from([None, "5m", "1h"])
hinted_texts = st.builds(Text, texts, hints)
hinted_pictures = st.builds(msgspec.structs.replace, pictures, cache=hints)
shown = st.lists(hinted_texts | hinted_pictures, max_size=2).map(tuple)
anthropic_results = st.builds(ToolResult, ids, shown, st.booleans(), hints)
thoughts = st.builds(Thinking, texts, signature=names) | st.builds(Thinking, redacted=names)


@st.composite
def anthropic_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    turns = [Message("system", tuple(draw(st.lists(hinted_texts, min_size=1, max_size=2))))]
    for _ in range(draw(st.integers(1, 3))):
        results = draw(st.lists(anthropic_results, max_size=2))
        said = draw(st.lists(hinted_texts | hinted_pictures, min_size=0 if results else 1, max_size=2))
        answered = draw(st.lists(thoughts | plain_texts | calls, min_size=1, max_size=3))
        turns += [Message("user", (*results, *said)), Message("assistant", tuple(answered))]
    return tuple(turns[draw(st.integers(0, 1)) :])


@st.composite
def anthropic_requests(draw: st.DrawFn) -> ChatRequest:
    tools = tuple(
        draw(st.lists(st.builds(Tool, names, maybe(texts), schemas, maybe(st.booleans()), hints), max_size=2))
    )
    choice = draw(maybe(choices)) if tools else None
    formats = schemas.map(lambda schema: ResponseFormat("json_schema", schema=schema, strict=True))
    return ChatRequest(
        model=draw(names),
        messages=draw(anthropic_turns()),
        max_output_tokens=draw(st.integers(1, 10**6)),
        temperature=draw(maybe(probabilities)),
        top_p=draw(maybe(probabilities)),
        top_k=draw(maybe(counts)),
        stop=tuple(draw(st.lists(texts, max_size=6))),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=draw(maybe(st.booleans())) if choice and choice.mode != "none" else None,
        response_format=draw(maybe(formats)),
        reasoning_effort=draw(maybe(st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"]))),
        stream=draw(st.booleans()),
        end_user=draw(maybe(names)),
    )


# --- answers ---


def finish_reasons(parts: Sequence[Part]) -> st.SearchStrategy[FinishReason]:
    if any(isinstance(part, ToolCall) for part in parts):
        return st.sampled_from(["tool_calls", "length"])
    return st.sampled_from(["stop", "length", "content_filter"])


@st.composite
def usages(draw: st.DrawFn, *, anthropic: bool) -> Usage:
    cached, written_5m, written_1h, plain = (draw(counts) for _ in range(4))
    audio, image, audio_out = (0, 0, 0) if anthropic else (draw(counts), draw(counts), draw(counts))
    written_1h = written_1h if anthropic else 0
    reasoning = draw(counts)
    return Usage(
        input_tokens=cached + written_5m + written_1h + audio + image + plain,
        cached_input_tokens=cached,
        cache_write_5m_tokens=written_5m,
        cache_write_1h_tokens=written_1h,
        audio_input_tokens=audio,
        image_input_tokens=image,
        output_tokens=reasoning + audio_out + draw(counts),
        reasoning_tokens=reasoning,
        audio_output_tokens=audio_out,
    )


@st.composite
def openai_choice(draw: st.DrawFn, index: int) -> Choice:
    thought: list[Part] = [Thinking(draw(texts))] if draw(st.booleans()) else []
    said: list[Part] = [Text(draw(texts))] if draw(st.booleans()) else []
    parts = (*thought, *said, *draw(call_lists))
    return Choice(index, parts, draw(finish_reasons(parts)))


@st.composite
def openai_responses(draw: st.DrawFn) -> ChatResponse:
    made = tuple(draw(openai_choice(index)) for index in range(draw(st.integers(1, 3))))
    return ChatResponse(draw(ids), draw(names), made, draw(maybe(usages(anthropic=False))), draw(counts))


@st.composite
def anthropic_responses(draw: st.DrawFn) -> ChatResponse:
    """No two texts in a row, which a stream would join."""
    parts: list[Part] = []
    for part in draw(st.lists(thoughts | plain_texts | calls, max_size=4, unique_by=id)):
        if not (parts and isinstance(part, Text) and isinstance(parts[-1], Text)):
            parts.append(part)
    finish = draw(finish_reasons(parts))
    stop_sequence = draw(maybe(texts)) if finish == "stop" else None
    choice = Choice(0, tuple(parts), finish, stop_sequence)
    return ChatResponse(draw(ids), draw(names), (choice,), draw(usages(anthropic=True)))
